//! `keys/…/trim`, and the other settings that take versions away or bring new ones.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Caller, encoded, envelope, listed, refusal};

async fn trim(caller: &Caller, body: Value) -> Answer {
    caller.post(&format!("transit/keys/{}/trim", caller.key), body).await
}

async fn with_three_versions() -> Caller {
    let caller = Caller::with_key().await;
    caller.rotate().await;
    caller.rotate().await;
    caller
}

#[tokio::test]
async fn versions_are_trimmed_below_both_minimums_alone() {
    let caller = with_three_versions().await;
    let to = |version: i32| json!({"min_available_version": version});
    let unset = "minimum available version cannot be set when minimum encryption version is not set";
    assert_eq!(trim(&caller, json!({})).await, refusal(400, "missing min_available_version"));
    assert_eq!(trim(&caller, to(2)).await, refusal(400, unset));
    envelope(caller.configure(json!({"min_encryption_version": 3})).await);
    let above = "minimum available version cannot be greater than minimum decryption version";
    assert_eq!(trim(&caller, to(2)).await, refusal(400, above));
    envelope(caller.configure(json!({"min_decryption_version": 2})).await);
    for (version, error) in [
        (4, "minimum available version cannot be greater than minmum encryption version"),
        (3, above),
        (0, "minimum available version should be positive"),
        (-1, "minimum available version cannot be decremented"),
    ] {
        assert_eq!(trim(&caller, to(version)).await, refusal(400, error), "{version}");
    }

    let trimmed = envelope(trim(&caller, to(2)).await)["data"].take();
    assert_eq!((&trimmed["min_available_version"], &trimmed["latest_version"]), (&json!(2), &json!(3)));
    assert_eq!(
        trimmed["keys"].as_object().map(|keys| keys.keys().cloned().collect()),
        Some(vec!["2".to_owned(), "3".to_owned()])
    );
    assert_eq!(caller.read_key().await, trimmed);
    assert_eq!(trim(&caller, to(1)).await, refusal(400, "minimum available version cannot be decremented"));
    let answer = caller.post("transit/keys/no-such-key/trim", to(1)).await;
    assert_eq!(answer, refusal(400, "invalid key name"));
}

#[tokio::test]
async fn what_was_trimmed_does_not_come_back() {
    let caller = with_three_versions().await;
    envelope(caller.configure(json!({"min_encryption_version": 2, "min_decryption_version": 2})).await);
    envelope(trim(&caller, json!({"min_available_version": 2})).await);
    let before = caller.read_key().await;
    for (settings, error) in [
        (
            json!({"min_decryption_version": 1}),
            "min decryption version should not be less then min available version",
        ),
        (
            json!({"min_encryption_version": 1}),
            "cannot set min encryption/decryption values; min encryption version of 1 must be greater than or equal \
             to min decryption version of 2",
        ),
        (
            json!({"min_encryption_version": 0}),
            "min encryption version should not be less than min available version",
        ),
        (
            json!({"min_encryption_version": 0, "min_decryption_version": 1}),
            "min encryption version should not be less than min available version",
        ),
    ] {
        assert_eq!(caller.configure(settings.clone()).await, refusal(400, error), "{settings}");
        assert_eq!(caller.read_key().await, before, "{settings}");
    }
    let too_low = "requested version for signing is less than the minimum encryption key version";
    let old = caller.sign(json!({"input": encoded("x"), "key_version": 1})).await;
    assert_eq!(old, listed(500, too_low));
    let old = caller
        .post(
            &format!("transit/verify/{}", caller.key),
            json!({"input": encoded("x"), "signature": "vault:v1:aaaa"}),
        )
        .await;
    assert_eq!(old, refusal(400, "ciphertext or signature version is disallowed by policy (too old)"));
    caller.rotate().await;
    assert_eq!(caller.read_key().await["latest_version"], 4);
}

#[tokio::test]
async fn a_key_of_the_same_name_is_another_key() {
    let caller = Caller::with_key().await;
    let path = format!("transit/keys/{}", caller.key);
    let before = caller.read_key().await;
    envelope(caller.configure(json!({"deletion_allowed": true})).await);
    let deleted = caller.call(Method::DELETE, &path, &caller.vault.root_token, String::new()).await;
    assert_eq!(deleted, (204, Value::Null));
    assert_eq!(caller.sign(json!({"input": encoded("x")})).await, refusal(400, "signing key not found"));
    envelope(caller.post(&path, json!({"type": "ecdsa-p256"})).await);
    let after = caller.read_key().await;
    assert_eq!((&after["latest_version"], &after["deletion_allowed"]), (&json!(1), &json!(false)));
    assert_ne!(after["keys"]["1"]["public_key"], before["keys"]["1"]["public_key"]);
}

#[tokio::test]
async fn automatic_rotation_is_every_hour_at_most() {
    let caller = Caller::new();
    let path = format!("transit/keys/{}", caller.key);
    let too_often = refusal(400, "auto rotate period must be 0 to disable or at least an hour");
    let made = caller.post(&path, json!({"type": "ecdsa-p256", "auto_rotate_period": "59m"})).await;
    assert_eq!(made, too_often);
    let made = caller.post(&path, json!({"type": "ecdsa-p256", "auto_rotate_period": "1h"})).await;
    assert_eq!(envelope(made)["data"]["auto_rotate_period"], 3600);
    for (period, seconds) in [
        (json!("24h"), 86_400),
        (json!("1h30m"), 5_400),
        (json!(3600), 3_600),
        (json!("1d"), 86_400),
        (json!("0"), 0),
    ] {
        let data = envelope(caller.configure(json!({"auto_rotate_period": period})).await)["data"].take();
        assert_eq!(data["auto_rotate_period"], seconds, "{period}");
    }
    assert_eq!(caller.configure(json!({"auto_rotate_period": "10s"})).await, too_often);
    let field = "Field validation failed: error converting input for field \"auto_rotate_period\": ";
    for (period, error) in [
        (json!("x"), "time: invalid duration \"x\""),
        (json!(-1), "cannot provide negative value '-1'"),
        (json!(true), "could not parse duration from input"),
    ] {
        let answer = caller.configure(json!({"auto_rotate_period": period})).await;
        assert_eq!(answer, refusal(400, &format!("{field}{error}")), "{period}");
    }
}
