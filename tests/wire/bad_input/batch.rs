//! `POST /v1/signatures:batch`: one bad request fails alone.

use serde_json::{Value, json};

use crate::support::World;
use crate::support::problem::assert_problem_body;
use crate::support::proxy::signing_calls;
use crate::support::world::Settings;

const PATH: &str = "/v1/signatures:batch";

#[tokio::test]
async fn a_bad_item_fails_alone_with_what_it_would_have_got_alone() {
    let world = World::counted().await;
    let (first, last) = (world.push_image().await, world.push_image().await);
    let (repository, digest) = first.split_once('@').unwrap();
    let bad = [
        (json!({"image": format!("{repository}:1.2")}), 400, "digest-required"),
        (json!({"image": format!("{repository}@sha256:abc")}), 400, "invalid-request"),
        (json!({"image": format!("registry.example.com/app@{digest}")}), 400, "invalid-request"),
        (json!({"image": first, "format": "x509"}), 400, "format-unsupported"),
        (json!({"image": first, "key": "no-such-key"}), 404, "key-not-found"),
        (json!({"image": first, "key_version": 9}), 409, "key-version-unavailable"),
        (json!({"image": first, "imagee": "x"}), 400, "invalid-request"),
        (json!({"image": first, "annotations": {"k": "v".repeat(20_000)}}), 413, "payload-too-large"),
        (json!({"image": first, "annotations": {"k": 7}}), 400, "invalid-request"),
        (json!({}), 400, "invalid-request"),
        (json!([]), 400, "invalid-request"),
        (Value::Null, 400, "invalid-request"),
        (json!({"image": format!("{}x@{digest}", world.repository)}), 403, "forbidden"),
    ];
    let mut requests = vec![json!({"image": first})];
    requests.extend(bad.iter().map(|(request, ..)| request.clone()));
    requests.push(json!({"image": last}));

    let answer = world.post(PATH, &world.token, json!({"requests": requests}).to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.body["results"].as_array().unwrap();
    assert_eq!(results.len(), requests.len());
    for (result, image) in [(&results[0], &first), (&results[results.len() - 1], &last)] {
        assert_eq!(
            (&result["status"], &result["signature"]["image"]),
            (&json!(201), &json!(image)),
            "{result}"
        );
        assert!(result.get("problem").is_none(), "{result}");
        assert_eq!(world.signatures(image).await, 1);
    }
    for (result, (request, status, code)) in results[1..].iter().zip(&bad) {
        assert_eq!(result["status"], *status, "{request}: {result}");
        assert_problem_body(&result["problem"], *status, code);
        assert_eq!(result["problem"]["request_id"], answer.headers["x-request-id"].to_str().unwrap());
        assert!(result.get("signature").is_none(), "{result}");
    }
    let items: usize = signing_calls(&world.vault_proxy.take_calls())
        .iter()
        .map(|call| {
            serde_json::from_slice::<Value>(&call.body).unwrap()["batch_input"].as_array().unwrap().len()
        })
        .sum();
    assert_eq!(items, 2, "only the two good ones were signed");
}

#[tokio::test]
async fn the_same_image_twice_in_one_batch_is_signed_once() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let requests = json!({"requests": vec![json!({"image": image}); 8]});
    let answer = world.post(PATH, &world.token, requests.to_string()).await;
    let mut statuses: Vec<_> = answer.body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["status"].as_u64().unwrap())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200; 7], vec![201]].concat());
    assert_eq!(world.signatures(&image).await, 1);
}

#[tokio::test]
async fn a_batch_that_is_none_or_too_long_is_refused_as_a_whole() {
    let lines = vec![("limits", "batch_items = 3".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let image = world.push_image().await;
    for (body, words) in [
        (json!({"requests": []}), "1 to 3"),
        (json!({"requests": vec![json!({"image": image}); 4]}), "1 to 3"),
        (json!({"requests": {"image": image}}), "requests"),
        (json!({"request": [{"image": image}]}), "requests"),
        (json!({"requests": [{"image": image}], "key": "k"}), "key"),
        (json!([{"image": image}]), ""),
        (json!({}), "requests"),
    ] {
        let answer = world.refused_at(PATH, body.to_string(), 400, "invalid-request").await;
        assert!(answer.detail().contains(words), "{body}: {}", answer.detail());
    }
    let answer = world.post(PATH, &world.outsider, json!({"requests": [{"image": image}]}).to_string()).await;
    assert_problem_body(&answer.body["results"][0]["problem"], 403, "forbidden");
}
