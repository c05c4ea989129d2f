//! `/v1/log/signatures`, `/v1/log/counts`, and the search index behind them.

use serde_json::{Value, json};

use crate::support::World;
use crate::support::attached::digest_of;

#[tokio::test]
async fn signatures_are_listed_with_their_state_and_where_they_are_attached() {
    let world = World::start().await;
    let images = [world.push_image().await, world.push_image().await];
    let mut made = Vec::new();
    for image in &images {
        made.push(world.sign_image(image).await.body);
    }
    let digest = digest_of(&images[0]);
    let all = world.searched(&format!("/v1/log/signatures?key={}&key_version=1", world.key)).await.body;
    assert_eq!(all["next"], Value::Null);
    let listed = all["signatures"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    for (listed, made) in listed.iter().zip(&made) {
        assert_eq!(listed["id"], made["id"]);
        assert_eq!(listed["state"], "attached");
        assert_eq!(listed["key"], made["key"]);
        assert_eq!(listed["repository"], json!(world.repository));
        assert_eq!(listed["principal"], "token:ci");
        assert_eq!(listed["reference"], made["signatures"][0]["reference"]);
        assert_eq!(listed["manifest"], made["signatures"][0]["manifest"]);
        assert_eq!(listed["log"]["signature"], made["log"]["index"]);
    }
    for (query, found) in [
        (format!("digest={digest}"), 1),
        (format!("repository={}", world.repository), 2),
        (format!("repository={}/**", world.repository.split('/').next().unwrap()), 2),
        ("state=attached".to_owned(), 2),
        ("state=signed".to_owned(), 0),
        ("state=pending".to_owned(), 0),
        ("state=indeterminate".to_owned(), 0),
        ("principal=token:nobody".to_owned(), 0),
        ("to=2020-01-01T00:00:00Z".to_owned(), 0),
        ("from=2020-01-01T00:00:00Z&to=2999-01-01T00:00:00Z".to_owned(), 2),
    ] {
        let answer = world.searched(&format!("/v1/log/signatures?{query}")).await.body;
        assert_eq!(answer["signatures"].as_array().unwrap().len(), found, "{query}: {answer}");
    }
    let first = world.searched("/v1/log/signatures?limit=1").await.body;
    let second = world.get(first["next"].as_str().unwrap()).await.body;
    assert_eq!(
        (&first["signatures"][0]["id"], &second["signatures"][0]["id"]),
        (&made[0]["id"], &made[1]["id"])
    );
    assert_eq!((&second["next"], &second["size"]), (&Value::Null, &first["size"]));
}

#[tokio::test]
async fn the_newest_entries_come_first_for_whom_that_asks_and_pages_go_back_from_there() {
    let world = World::start().await;
    for _ in 0..3 {
        let image = world.push_image().await;
        assert_eq!(world.sign_image(&image).await.status, 201);
    }
    let question = format!("key={}&kind=outcome", world.key);
    let oldest = world.searched(&format!("/v1/log/entries?{question}")).await.body;
    assert_eq!(oldest["searched_from"], Value::Null);
    let expected: Vec<_> = oldest["entries"].as_array().unwrap().iter().rev().cloned().collect();
    assert_eq!(expected.len(), 3);

    let mut page = world.searched(&format!("/v1/log/entries?{question}&order=newest&limit=1")).await.body;
    let size = page["size"].as_u64().unwrap();
    let mut found = Vec::new();
    loop {
        found.extend(page["entries"].as_array().unwrap().clone());
        assert_eq!((page["size"].as_u64(), page["searched_through"].as_u64()), (Some(size), Some(size - 1)));
        let Some(next) = page["next"].as_str().map(str::to_owned) else { break };
        let before = page["searched_from"].as_u64().unwrap();
        assert!(found.iter().all(|entry| entry["index"].as_u64().unwrap() >= before), "{page}");
        for part in
            ["order=newest", "limit=1", "kind=outcome", &format!("before={before}"), &format!("size={size}")]
        {
            assert!(next.contains(part), "{part}: {next}");
        }
        // What comes meanwhile is of another walk.
        let image = world.push_image().await;
        assert_eq!(world.sign_image(&image).await.status, 201);
        page = world.searched(&next).await.body;
    }
    assert_eq!(page["searched_from"], 0, "all was searched");
    assert_eq!(found, expected);
    let now = world.searched(&format!("/v1/log/entries?{question}&order=newest&limit=1")).await.body;
    assert!(now["entries"][0]["index"].as_u64() > expected[0]["index"].as_u64(), "{now}");

    let from_there = world.searched("/v1/log/entries?order=newest&before=2").await.body;
    let indexes: Vec<_> =
        from_there["entries"].as_array().unwrap().iter().map(|entry| &entry["index"]).collect();
    assert_eq!(indexes, [1, 0]);
    let searched = (&from_there["searched_from"], &from_there["searched_through"], &from_there["size"]);
    assert_eq!(searched, (&json!(0), &json!(1), &json!(2)));
    let nothing = world.searched("/v1/log/entries?order=newest&before=0").await.body;
    assert_eq!((&nothing["searched_from"], &nothing["searched_through"]), (&Value::Null, &Value::Null));
    assert_eq!(nothing["next"], Value::Null);
    let same = world.searched(&format!("/v1/log/entries?{question}&order=oldest&limit=3")).await.body;
    assert_eq!(same["entries"], oldest["entries"]);
}

#[tokio::test]
async fn entries_are_counted_by_what_they_say() {
    let world = World::start().await;
    for _ in 0..3 {
        let image = world.push_image().await;
        assert_eq!(world.sign_image(&image).await.status, 201);
    }
    let counts = async |query: &str| world.searched(&format!("/v1/log/counts?{query}")).await.body;
    let by_kind = counts(&format!("by=kind&repository={}", world.repository)).await;
    for kind in ["intent", "outcome", "attach"] {
        let groups = by_kind["groups"].as_array().unwrap();
        let group = groups.iter().find(|group| group["group"] == kind).unwrap();
        assert_eq!(group["entries"], 3, "{by_kind}");
    }
    assert_eq!(by_kind["entries"], 9);
    let by_key = counts("by=key&kind=outcome").await;
    assert_eq!(by_key["groups"], json!([{"group": world.key, "key_version": 1, "entries": 3}]));
    let by_month = counts("by=month&kind=outcome").await;
    assert_eq!(
        by_month["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["entries"].as_u64().unwrap())
            .sum::<u64>(),
        3
    );
    let top = counts("by=kind&top=1").await;
    assert_eq!(top["groups"].as_array().unwrap().len(), 1);
    assert!(top["entries"].as_u64() > top["groups"][0]["entries"].as_u64(), "of all groups: {top}");
}

#[tokio::test]
async fn an_operator_has_the_index_made_again_while_it_answers() {
    let world = World::start().await;
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    let before = world.entries("kind=outcome").await;
    let indexed = world.metric("signet_log_index_entries_total").await;
    let asked = world.client.post(format!("{}/log/reindex", world.signet.admin)).send().await.unwrap();
    assert_eq!(asked.status(), 202);
    assert_eq!(world.entries("kind=outcome").await, before);
    world.logs("the search index was made again").await;
    assert_eq!(world.entries("kind=outcome").await, before);
    assert!(world.metric("signet_log_index_entries_total").await > indexed);
    assert_eq!(world.sign_image(&image).await.status, 200, "it is found again");
}
