//! Paths, methods and headers that nobody offers.

use reqwest::Method;
use reqwest::header::ALLOW;

use crate::support::{Answer, World};

async fn call(world: &World, method: Method, path: &str) -> Answer {
    let request =
        world.client.request(method, format!("{}{path}", world.signet.api)).bearer_auth(&world.token);
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_a_404_problem() {
    let world = World::counted().await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/",
        "/v1/signature",
        "/v1/signatures/",
        "/v1/signatures:batch/",
        "/v1/keys/",
        "/v1/keys/a/b",
        "/v1/../../etc/passwd",
        "/v1/%2e%2e/%2e%2e/etc/passwd",
        "/metrics",
        "/readyz",
        "/%00",
        "/%ff",
        "//v1/keys",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer = call(&world, method.clone(), path).await;
            world.assert_problem(&answer, 404, "not-found");
        }
    }
    let long = format!("/{}", "a".repeat(8000));
    world.assert_problem(&call(&world, Method::GET, &long).await, 404, "not-found");
    world.assert_untouched();
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_a_405_problem_that_names_those_it_has() {
    let world = World::counted().await;
    for (method, path, allowed) in [
        (Method::GET, "/v1/signatures", "POST"),
        (Method::PUT, "/v1/signatures", "POST"),
        (Method::DELETE, "/v1/signatures", "POST"),
        (Method::OPTIONS, "/v1/signatures", "POST"),
        (Method::GET, "/v1/signatures:batch", "POST"),
        (Method::POST, "/v1/signatures/x", "GET"),
        (Method::DELETE, "/v1/signatures/x", "GET"),
        (Method::POST, "/v1/keys", "GET"),
        (Method::PATCH, "/v1/keys/x", "GET"),
        (Method::PUT, "/v1/keys/x/versions/1/public-key", "GET"),
        (Method::DELETE, "/v1/log/entries", "GET"),
        (Method::DELETE, "/v1/log/entries/0", "GET"),
        (Method::POST, "/openapi.json", "GET"),
    ] {
        let answer = call(&world, method.clone(), path).await;
        world.assert_problem(&answer, 405, "method-not-allowed");
        let named = answer.headers[ALLOW].to_str().unwrap();
        assert!(named.contains(allowed), "{method} {path}: {named}");
    }
    world.assert_untouched();
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let world = World::counted().await;
    for (path, status) in [
        ("/v1/keys", 200),
        ("/openapi.json", 200),
        ("/v1/log/entries", 200),
        ("/v1/signatures/x", 400),
        ("/v1/signatures", 405),
        ("/no/such", 404),
    ] {
        let answer = call(&world, Method::HEAD, path).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (status, &"".into()), "{path}");
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
    }
}

#[tokio::test]
async fn an_id_or_a_name_that_can_be_none_is_refused_and_an_unknown_one_is_404() {
    let world = World::counted().await;
    let unknown = uuid::Uuid::new_v4();
    let key = &world.key;
    for (path, status, code) in [
        ("/v1/signatures/x".to_owned(), 400, "invalid-request"),
        (format!("/v1/signatures/{unknown}x"), 400, "invalid-request"),
        (format!("/v1/signatures/{unknown}%00"), 400, "invalid-request"),
        ("/v1/signatures/%ff".to_owned(), 400, "invalid-request"),
        ("/v1/signatures/..%2fkeys".to_owned(), 400, "invalid-request"),
        (format!("/v1/signatures/{}", "a".repeat(5000)), 400, "invalid-request"),
        (format!("/v1/signatures/{unknown}"), 404, "signature-not-found"),
        ("/v1/keys/no-such-key".to_owned(), 404, "key-not-found"),
        ("/v1/keys/%ff".to_owned(), 400, "invalid-request"),
        ("/v1/keys/..%2f..%2fsys%2fseal".to_owned(), 400, "invalid-request"),
        ("/v1/keys/a%20b".to_owned(), 400, "invalid-request"),
        ("/v1/keys/no-such-key/versions/1/public-key".to_owned(), 404, "key-not-found"),
        (format!("/v1/keys/{key}/versions/0/public-key"), 400, "invalid-request"),
        (format!("/v1/keys/{key}/versions/x/public-key"), 400, "invalid-request"),
        (format!("/v1/keys/{key}/versions/%ff/public-key"), 400, "invalid-request"),
        (format!("/v1/keys/{key}/versions/4294967296/public-key"), 400, "invalid-request"),
        (format!("/v1/keys/{key}/versions/2/public-key"), 404, "key-version-unavailable"),
    ] {
        let answer = call(&world, Method::GET, &path).await;
        world.assert_problem(&answer, status, code);
    }
    world.assert_untouched();
}

#[tokio::test]
async fn public_keys_are_for_everybody() {
    let world = World::counted().await;
    let key = &world.key;
    for (path, content_type) in [
        ("/v1/keys".to_owned(), "application/json"),
        (format!("/v1/keys/{key}"), "application/json"),
        (format!("/v1/keys/{key}/versions/1/public-key"), "application/x-pem-file"),
    ] {
        let answer = world.client.get(format!("{}{path}", world.signet.api)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], content_type, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains("BEGIN PUBLIC KEY"), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_request_id_is_taken_where_it_is_one_and_replaced_where_it_is_not() {
    let world = World::counted().await;
    let ask = async |values: &[&[u8]]| {
        let mut request = world.client.get(format!("{}/no/such", world.signet.api));
        for value in values {
            request = request.header("X-Request-Id", *value);
        }
        let answer = Answer::read(request.send().await.unwrap()).await;
        world.assert_problem(&answer, 404, "not-found");
        answer.body["request_id"].as_str().unwrap().to_owned()
    };
    let longest = "a".repeat(128);
    for taken in ["job-4711.retry_2", "a", &longest] {
        assert_eq!(ask(&[taken.as_bytes()]).await, taken);
    }
    let too_long = "a".repeat(129);
    for malformed in ["", "a b", "a\"b", "{}", "é", "a,b", "<script>", &too_long] {
        let id = ask(&[malformed.as_bytes()]).await;
        assert!(uuid::Uuid::parse_str(&id).is_ok(), "{malformed:?} became {id}");
    }
    let id = ask(&[b"\xff"]).await;
    assert!(uuid::Uuid::parse_str(&id).is_ok(), "{id}");
    assert_ne!(ask(&[]).await, ask(&[]).await);
}
