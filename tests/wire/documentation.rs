//! `/openapi.json` and `/docs`.

use std::collections::BTreeSet;

use reqwest::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::Value;

use crate::support::World;

/// What is read before the page: nothing in it may come from another host.
const PAGE: [&str; 3] = ["/docs/", "/docs/swagger-initializer.js", "/docs/index.css"];

#[tokio::test]
async fn the_page_loads_nothing_from_other_hosts() {
    let world = World::counted().await;
    let fetch = async |path: &str| {
        let answer = world.client.get(format!("{}{path}", world.signet.api)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(
            !policy.contains("http") && !policy.contains('*') && !policy.contains("unsafe-eval"),
            "{policy}"
        );
        answer.text().await.unwrap()
    };
    for path in PAGE {
        let text = fetch(path).await;
        assert!(!text.contains("http:") && !text.contains("https:"), "{path} names another host:\n{text}");
    }
    let page = fetch("/docs/").await;
    let links = page.split(['"', '\'']).filter(|text| text.ends_with(".js") || text.ends_with(".css"));
    let links: BTreeSet<_> = links.map(|link| link.trim_start_matches("./").to_owned()).collect();
    assert!(links.len() >= 4, "{links:?}");
    for link in links {
        assert!(!link.contains("//"), "{link}");
        fetch(&format!("/docs/{link}")).await;
    }
    // What the policy of the page would not let run.
    assert!(
        !page.contains("<script>") && !page.contains("javascript:") && !page.contains("onload="),
        "{page}"
    );
    assert!(fetch("/docs/swagger-initializer.js").await.contains("/openapi.json"));
    let redirect = world.client.get(format!("{}/docs", world.signet.api)).send().await.unwrap();
    assert!(redirect.status().is_redirection());
    assert_eq!(redirect.headers()["location"], "/docs/");
}

#[tokio::test]
async fn the_document_is_json_and_names_every_field_of_a_problem() {
    let world = World::counted().await;
    let answer = world.client.get(format!("{}/openapi.json", world.signet.api)).send().await.unwrap();
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
    let document: Value = answer.json().await.unwrap();
    let refused = world.sign(serde_json::json!({"image": "x"})).await;
    let described = &document["components"]["schemas"]["ProblemBody"]["properties"];
    for field in refused.body.as_object().unwrap().keys() {
        assert!(described.get(field).is_some(), "{field} is not described");
    }
}
