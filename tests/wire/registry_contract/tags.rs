//! The list of tags.

use serde_json::{Value, json};

use super::{expected, fault, header, repositories};

#[tokio::test]
async fn tags_are_listed_in_order_and_in_pages() {
    for repository in repositories() {
        let name = &repository.registry.name;
        for tag in ["c", "a", "d", "b"] {
            repository.push_image(tag).await;
        }
        let mut all: Value = repository.get("tags/list").await.json().await.expect("the list is JSON");
        if !repository.quirks.orders_tags {
            let mut tags: Vec<String> = serde_json::from_value(all["tags"].take()).expect("tags are texts");
            tags.sort_unstable();
            all["tags"] = json!(tags);
        }
        assert_eq!(all, json!({"name": repository.name, "tags": ["a", "b", "c", "d"]}), "{name}");
        if !repository.quirks.orders_tags {
            continue;
        }

        let mut path = "tags/list?n=3".to_owned();
        let mut pages = Vec::new();
        loop {
            let answer = repository.get(&path).await;
            let link = header(&answer, "link");
            let page: Value = answer.json().await.expect("the page is JSON");
            pages.push(page["tags"].clone());
            let Some(link) = link else { break };
            let (target, relation) = link.split_once('>').expect("a link has a target");
            assert_eq!(relation.replace(' ', ""), ";rel=\"next\"", "{name}");
            path = target.trim_start_matches('<').to_owned();
        }
        assert_eq!(pages, [json!(["a", "b", "c"]), json!(["d"])], "{name}");
    }
}

#[tokio::test]
async fn a_repository_that_is_not_there_has_no_list() {
    for repository in repositories() {
        let answer = fault(repository.get("tags/list").await).await;
        assert_eq!(answer, expected(404, "NAME_UNKNOWN"), "{}", repository.registry.name);
    }
}
