//! Who may call, and what a server says that is sealed or does not know the path.

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{Answer, Caller, encoded, envelope, listed, refusal};
use crate::support::servers;

/// What every kind of unknown token hears.
fn unknown_token() -> Answer {
    refusal(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
}

/// A new token, with nothing but `fields`.
async fn token(caller: &Caller, fields: Value) -> String {
    let made = envelope(caller.post("auth/token/create", fields).await);
    assert_eq!(made["mount_type"], "token");
    assert_eq!(made["data"], Value::Null);
    made["auth"]["client_token"].as_str().expect("the token is a text").to_owned()
}

#[tokio::test]
async fn no_token_a_wrong_one_and_a_revoked_one_are_403() {
    let caller = Caller::with_key().await;
    let sign = format!("transit/sign/{}", caller.key);
    let body = json!({"input": encoded("x")}).to_string();
    let with = async |token: &str| caller.call(Method::POST, &sign, token, body.clone()).await;

    assert_eq!(with("").await, refusal(403, "permission denied"));
    assert_eq!(with("wrong").await, unknown_token());

    let token = token(&caller, json!({"policies": ["root"]})).await;
    assert_eq!(with(&token).await.0, 200);
    assert_eq!(caller.post("auth/token/revoke", json!({"token": token})).await, (204, Value::Null));
    assert_eq!(with(&token).await, unknown_token());
    assert_eq!(caller.post("auth/token/revoke", json!({"token": token})).await, (204, Value::Null));
    assert_eq!(caller.post("auth/token/revoke", json!({})).await, refusal(400, "missing token ID"));
}

#[tokio::test]
async fn a_token_without_rights_may_only_look_at_and_revoke_itself() {
    let caller = Caller::with_key().await;
    let token = token(&caller, json!({"policies": ["default"]})).await;
    let denied = listed(403, "permission denied");
    let call = async |method: Method, path: &str| caller.call(method, path, &token, String::new()).await;
    assert_eq!(call(Method::POST, &format!("transit/sign/{}", caller.key)).await, denied);
    assert_eq!(call(Method::GET, &format!("transit/keys/{}", caller.key)).await, denied);
    assert_eq!(call(Method::POST, "auth/token/create").await, denied);

    let seen = envelope(call(Method::GET, "auth/token/lookup-self").await);
    assert_eq!(seen["mount_type"], "token");
    assert_eq!((&seen["data"]["id"], &seen["data"]["policies"]), (&json!(token), &json!(["default"])));
    assert_eq!(call(Method::POST, "auth/token/revoke-self").await, (204, Value::Null));
    assert_eq!(call(Method::GET, "auth/token/lookup-self").await, unknown_token());
}

#[tokio::test]
async fn the_root_token_sees_itself() {
    let caller = Caller::new();
    let mut data = envelope(caller.get("auth/token/lookup-self").await)["data"].take();
    for (field, is_right) in [
        ("accessor", Value::is_string as fn(&Value) -> bool),
        ("creation_time", Value::is_u64),
        ("issue_time", Value::is_string),
        // The real root token was not made by a call, where `tests/run` did not make it.
        ("display_name", Value::is_string),
        ("path", Value::is_string),
    ] {
        let value = data.as_object_mut().and_then(|fields| fields.remove(field));
        assert!(value.as_ref().is_some_and(is_right), "{field}: {value:?}");
    }
    let expected = json!({
        "creation_ttl": 0, "entity_id": "", "expire_time": null, "explicit_max_ttl": 0, "id": caller.vault.root_token,
        "meta": null, "num_uses": 0, "orphan": true, "policies": ["root"], "renewable": false, "ttl": 0,
        "type": "service",
    });
    assert_eq!(data, expected);
}

#[tokio::test]
async fn a_bearer_header_is_as_good_as_vaults_own() {
    let caller = Caller::with_key().await;
    let url = format!("{}/v1/transit/keys/{}", caller.vault.address, caller.key);
    let answer = caller.client.get(url).bearer_auth(&caller.vault.root_token).send().await;
    let answer = answer.expect("the server answers");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_told_apart() {
    let caller = Caller::with_key().await;
    let root = caller.vault.root_token.clone();
    let key = &caller.key;
    let list = Method::from_bytes(b"LIST").expect("LIST is a token");
    let (no_path, no_operation) = (listed(404, "unsupported path"), listed(405, "unsupported operation"));
    let cases = [
        (Method::GET, "transit/no-such".to_owned(), no_path.clone()),
        (Method::GET, "auth/token/no-such".to_owned(), no_path.clone()),
        (Method::GET, "sys/no-such".to_owned(), no_path.clone()),
        (list.clone(), format!("transit/keys/{key}"), no_path.clone()),
        (list, format!("transit/sign/{key}"), no_path),
        (Method::GET, "transit/keys".to_owned(), no_operation.clone()),
        (Method::GET, format!("transit/sign/{key}"), no_operation.clone()),
        (Method::DELETE, format!("transit/sign/{key}"), no_operation.clone()),
        (Method::GET, format!("transit/verify/{key}"), no_operation.clone()),
        (Method::GET, format!("transit/keys/{key}/rotate"), no_operation.clone()),
        (Method::GET, format!("transit/keys/{key}/config"), no_operation.clone()),
        (Method::GET, "auth/token/create".to_owned(), no_operation),
        (Method::GET, "sys/seal".to_owned(), (405, json!({"errors": []}))),
        (Method::POST, "sys/health".to_owned(), (405, json!({"errors": []}))),
        (
            Method::GET,
            "no-mount/keys/a".to_owned(),
            refusal(404, "no handler for route \"no-mount/keys/a\". route entry not found."),
        ),
    ];
    for (method, path, answer) in cases {
        assert_eq!(caller.call(method.clone(), &path, &root, String::new()).await, answer, "{method} {path}");
    }
    let stranger = caller.call(Method::GET, "no-mount/keys/a", "wrong", String::new()).await;
    assert_eq!(stranger, unknown_token(), "who may not ask learns nothing");
}

#[tokio::test]
async fn health_needs_no_token() {
    let caller = Caller::new();
    let (status, body) = caller.call(Method::GET, "sys/health", "", String::new()).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&body["initialized"], &body["sealed"], &body["standby"]),
        (&json!(true), &json!(false), &json!(false))
    );
    assert_eq!(body["version"], "1.21.2");
    let (status, body) = caller.call(Method::GET, "sys/seal-status", "", String::new()).await;
    assert_eq!((status, &body["sealed"], &body["type"]), (200, &json!(false), &json!("shamir")));
}

#[tokio::test]
async fn a_sealed_server_answers_503_to_everything_but_its_state() {
    let (caller, _running) = private_caller().await;
    let sealed = refusal(503, "Vault is sealed");
    assert_eq!(
        caller.call(Method::PUT, "sys/seal", "", String::new()).await,
        refusal(403, "permission denied")
    );
    assert_eq!(caller.post("sys/seal", json!({})).await, (204, Value::Null));

    for token in [caller.vault.root_token.as_str(), "wrong", ""] {
        for path in ["transit/keys/a", "no-mount/a", "auth/token/lookup-self"] {
            let answer = caller.call(Method::GET, path, token, String::new()).await;
            assert_eq!(answer, sealed, "{path} as {token:?}");
        }
    }
    let (status, mut health) = caller.get("sys/health").await;
    assert_eq!(status, 503);
    assert!(health["server_time_utc"].take().is_u64());
    let expected = json!({
        "initialized": true, "sealed": true, "standby": true, "performance_standby": false,
        "replication_performance_mode": "unknown", "replication_dr_mode": "unknown", "server_time_utc": null,
        "version": "1.21.2", "enterprise": false, "echo_duration_ms": 0, "clock_skew_ms": 0,
        "replication_primary_canary_age_ms": 0,
    });
    assert_eq!(health, expected);
    let (status, state) = caller.get("sys/seal-status").await;
    assert_eq!((status, &state["sealed"]), (200, &json!(true)));

    assert_eq!(caller.post("sys/seal", json!({})).await, (204, Value::Null), "sealing twice is no fault");
    let nothing = refusal(400, "'key' must be specified in request body as JSON, or 'reset' set to true");
    assert_eq!(caller.post("sys/unseal", json!({})).await, nothing);
    assert_eq!(caller.post("sys/unseal", json!({"key": encoded([0; 32])})).await.0, 400);
    assert_eq!(caller.get("transit/keys/a").await, sealed);
}

async fn private_caller() -> (Caller, Option<servers::Running>) {
    let client: Client = servers::client();
    let (vault, running) = servers::private_vault(&client).await;
    (Caller { client, vault, key: servers::unique("key") }, running)
}
