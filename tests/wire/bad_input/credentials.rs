//! Callers whom nobody knows, and those who may not.

use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::json;

use super::{good_request, with};
use crate::support::attached::digest_of;
use crate::support::world::Settings;
use crate::support::{Answer, World};

/// Posts a good request with these `Authorization` headers.
async fn post_as(world: &World, body: &str, authorizations: &[String]) -> Answer {
    let mut request = world.client.post(format!("{}/v1/signatures", world.signet.api)).body(body.to_owned());
    for authorization in authorizations {
        request = request.header(AUTHORIZATION, authorization);
    }
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn whoever_shows_no_valid_token_is_401_and_learns_nothing_more() {
    let world = World::counted().await;
    let body = good_request(&world).await.to_string();
    let (right, digest) = (&world.token, hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&world.token)));
    let cases: [Vec<String>; 14] = [
        vec![],
        vec![String::new()],
        vec!["Bearer".into()],
        vec!["Bearer ".into()],
        vec!["Bearer wrong".into()],
        vec![format!("Bearer {digest}")],
        vec![format!("Bearer {right}x")],
        vec![format!("Bearer {right} {right}")],
        vec![format!("Bearer {}", right.to_uppercase())],
        vec![format!("Basic {right}")],
        vec![right.clone()],
        vec![format!("Token {right}")],
        vec![format!("Bearer {right}"), format!("Bearer {right}")],
        vec![format!("Bearer {right}"), "Bearer wrong".into()],
    ];
    let mut details = std::collections::BTreeSet::new();
    for case in cases {
        world.take_all_calls();
        let answer = post_as(&world, &body, &case).await;
        world.assert_problem(&answer, 401, "unauthenticated");
        assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer realm=\"signet\"");
        details.insert(answer.detail().to_owned());
        world.assert_untouched();
    }
    assert_eq!(details.len(), 1, "why differs: {details:?}");
    // What the body says does not matter before the caller is known.
    world.assert_problem(&post_as(&world, "no json", &[]).await, 401, "unauthenticated");
    assert_eq!(post_as(&world, &body, &[format!("bearer {right}")]).await.status, 201);
}

#[tokio::test]
async fn a_token_that_has_expired_is_401() {
    let lines = vec![("identity.tokens", "expires = '2026-01-02T03:04:05Z'".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let body = good_request(&world).await.to_string();
    world.refused(body, 401, "unauthenticated").await;
}

#[tokio::test]
async fn a_token_that_no_rule_names_is_403_and_the_log_has_the_refusal() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    let digest = digest_of(good["image"].as_str().unwrap());
    let answer = world.post("/v1/signatures", &world.outsider, good.to_string()).await;
    world.assert_problem(&answer, 403, "forbidden");
    world.assert_untouched();
    let id = answer.body["request_id"].clone();

    let refusal = logged_refusal(&world, &format!("digest={digest}&principal=token:outsider")).await;
    assert_eq!(refusal["kind"], "refusal");
    assert_eq!(refusal["request_id"], id);
    assert_eq!(refusal["key"], json!(world.key));
    assert_eq!(refusal["repository"], json!(world.repository));
    assert!(refusal.get("rule").is_none(), "no rule spoke: {refusal}");
}

#[tokio::test]
async fn a_right_token_outside_its_rules_is_403_and_the_log_has_the_refusal() {
    let mut world = World::counted().await;
    let (host, name) = world.repository.split_once('/').unwrap();
    let denied = format!("{}/secret", world.repository);
    world.write_policy(&format!(
        "  - id: not-that\n    effect: deny\n    identity: {{token: ci}}\n    repositories: ['{denied}']\n    keys: ['{}']\n",
        world.key
    ));
    let outside = [
        (format!("{host}/other/app"), None),
        (format!("{host}/{name}x"), None),
        (denied.clone(), Some("not-that")),
    ];
    world.restart();
    world.public_key(1).await;
    let good = good_request(&world).await;
    let digest = digest_of(good["image"].as_str().unwrap());
    for (repository, rule) in outside {
        let body = with(&good, "image", format!("{repository}@{digest}"));
        let answer = world.refused(body.clone(), 403, "forbidden").await;
        assert!(!answer.body.to_string().contains("not-that"), "the rule is nobody's business: {answer:?}");
        let refusal = logged_refusal(&world, &format!("repository={repository}")).await;
        assert_eq!(refusal["rule"].as_str(), rule, "{refusal}");
        assert_eq!(refusal["principal"], "token:ci");
    }
}

#[tokio::test]
async fn a_format_outside_the_rules_is_403_also_where_the_image_decides_it() {
    let mut world = World::start().await;
    let bundled = world.push_image().await;
    assert_eq!(world.sign(json!({"image": bundled, "format": "bundle"})).await.status, 201);
    world.write_policy("    formats: [cosign]\n");
    world.restart();
    let fresh = world.push_image().await;
    for body in [
        json!({"image": fresh, "format": "bundle"}),
        json!({"image": bundled, "format": "bundle"}),
        json!({"image": bundled, "annotations": {"k": "v"}}),
    ] {
        let answer = world.sign(body.clone()).await;
        world.assert_problem(&answer, 403, "forbidden");
    }
    assert_eq!(world.sign_image(&fresh).await.status, 201);
    assert_eq!(world.signatures(&bundled).await, 1);
}

#[tokio::test]
async fn without_log_read_the_log_is_403_and_signatures_are_not_there() {
    let world = World::start().await;
    let image = world.push_image().await;
    let signed = world.sign_image(&image).await;
    let id = signed.body["id"].as_str().unwrap();
    for (path, status, code) in [
        ("/v1/log/entries".to_owned(), 403, "forbidden"),
        ("/v1/log/entries/0".to_owned(), 403, "forbidden"),
        ("/v1/log/entries/4711".to_owned(), 403, "forbidden"),
        (format!("/v1/signatures/{id}"), 404, "signature-not-found"),
        (format!("/v1/signatures/{}", uuid::Uuid::new_v4()), 404, "signature-not-found"),
    ] {
        let request = world.client.get(format!("{}{path}", world.signet.api)).bearer_auth(&world.outsider);
        let answer = Answer::read(request.send().await.unwrap()).await;
        world.assert_problem(&answer, status, code);
        assert!(!answer.body.to_string().contains(&image), "{path}: {answer:?}");
    }
    assert_eq!(world.get(&format!("/v1/signatures/{id}")).await.status, 200);
}

/// The one refusal that `query` finds, when the log has it: nobody waits for it with the answer.
async fn logged_refusal(world: &World, query: &str) -> serde_json::Value {
    let refusal = async || {
        let mut found = world.entries(&format!("{query}&decision=deny")).await;
        assert!(found.len() < 2, "{found:?}");
        found.pop()
    };
    world.eventually("the refusal is in the log", refusal).await
}
