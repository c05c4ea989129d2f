//! `keys/…`

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Caller, envelope, listed, plain, refusal};

/// The description of a new key; times and public keys are checked and blanked.
fn described(caller: &Caller, versions: &[&str]) -> Value {
    let version = json!({
        "certificate_chain": "", "creation_time": "", "hybrid_public_key": "", "name": "P-256", "public_key": "",
    });
    let keys: serde_json::Map<String, Value> =
        versions.iter().map(|number| ((*number).to_owned(), version.clone())).collect();
    json!({
        "allow_plaintext_backup": false, "auto_rotate_period": 0, "deletion_allowed": false, "derived": false,
        "exportable": false, "imported_key": false, "keys": keys, "latest_version": 1, "min_available_version": 0,
        "min_decryption_version": 1, "min_encryption_version": 0, "name": caller.key, "supports_decryption": false,
        "supports_derivation": false, "supports_encryption": false, "supports_signing": true, "type": "ecdsa-p256",
    })
}

fn blank(mut data: Value) -> Value {
    for version in data["keys"].as_object_mut().expect("a key has versions").values_mut() {
        let time = version["creation_time"].take();
        time.as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok()).expect("a time in RFC 3339");
        version["creation_time"] = json!("");
        let pem = version["public_key"].take();
        let pem = pem.as_str().expect("the public key is a text");
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{pem}");
        assert!(pem.ends_with("\n-----END PUBLIC KEY-----\n"), "{pem}");
        version["public_key"] = json!("");
    }
    data
}

fn blank_envelope(answer: Answer) -> Value {
    let mut body = envelope(answer);
    body["data"] = blank(body["data"].take());
    body
}

#[tokio::test]
async fn making_a_key_answers_with_the_key_that_reading_shows() {
    let caller = Caller::new();
    let path = format!("transit/keys/{}", caller.key);
    assert_eq!(caller.get(&path).await, (404, json!({"errors": []})));

    let made = caller.post(&path, json!({"type": "ecdsa-p256"})).await;
    let expected = plain(described(&caller, &["1"]));
    assert_eq!(blank_envelope(made.clone()), expected);
    assert_eq!(envelope(caller.get(&path).await), envelope(made.clone()));

    let put = caller
        .call(Method::PUT, &path, &caller.vault.root_token, json!({"type": "rsa-2048"}).to_string())
        .await;
    assert_eq!(envelope(put), envelope(made), "a name that is taken keeps its key");
}

#[tokio::test]
async fn keys_are_listed_by_name() {
    let caller = Caller::with_key().await;
    let list = Method::from_bytes(b"LIST").expect("LIST is a token");
    let by_method = caller.call(list, "transit/keys", &caller.vault.root_token, String::new()).await;
    let by_query = caller.get("transit/keys?list=true").await;
    for answer in [by_method, by_query] {
        let names = envelope(answer)["data"]["keys"].take();
        let names: Vec<String> = serde_json::from_value(names).expect("names are texts");
        assert!(names.contains(&caller.key));
        assert!(names.is_sorted());
    }
}

#[tokio::test]
async fn a_key_of_a_type_that_does_not_exist_is_refused() {
    let caller = Caller::new();
    let path = format!("transit/keys/{}", caller.key);
    for (body, answer) in [
        (json!({"type": "nonsense"}), refusal(400, "unknown key type nonsense")),
        (json!({"type": 5}), refusal(400, "unknown key type 5")),
        (json!({"type": ""}), refusal(400, "unknown key type ")),
        (json!({"type": null}), refusal(400, "unknown key type ")),
        (
            json!({"type": "ecdsa-p256", "derived": true}),
            listed(500, "key derivation and convergent encryption not supported for keys of type ecdsa-p256"),
        ),
        (
            json!({"type": "ecdsa-p256", "convergent_encryption": true}),
            refusal(400, "convergent encryption requires derivation to be enabled"),
        ),
    ] {
        assert_eq!(caller.post(&path, body.clone()).await, answer, "{body}");
    }
    assert_eq!(caller.get(&path).await.0, 404, "none of them made a key");
}

#[tokio::test]
async fn a_name_outside_the_grammar_is_no_path() {
    let caller = Caller::new();
    for name in ["-a", "a-", "a.", ".a", "a%20b", "a%2Fb%2Fc", "%C3%A9"] {
        for path in [format!("transit/keys/{name}"), format!("transit/sign/{name}")] {
            let answer = caller.post(&path, json!({"type": "ecdsa-p256"})).await;
            // In `sign/` what follows a slash is the hash.
            let is_hash = path == "transit/sign/a%2Fb%2Fc";
            let expected = match is_hash {
                true => refusal(400, "invalid hash algorithm \"b/c\""),
                false => listed(404, "unsupported path"),
            };
            assert_eq!(answer, expected, "{path}");
        }
    }
}

#[tokio::test]
async fn rotation_adds_a_version_and_keeps_the_old_one() {
    let caller = Caller::with_key().await;
    let before = caller.read_key().await;
    let rotated = caller.post(&format!("transit/keys/{}/rotate", caller.key), json!({})).await;
    let after = envelope(rotated)["data"].take();
    assert_eq!(after["latest_version"], 2);
    assert_eq!(after["keys"]["1"], before["keys"]["1"]);
    assert_ne!(after["keys"]["2"]["public_key"], before["keys"]["1"]["public_key"]);
    assert_eq!(caller.read_key().await, after);

    let missing = caller.post("transit/keys/no-such-key/rotate", json!({})).await;
    assert_eq!(missing, refusal(400, "key not found"));
}

#[tokio::test]
async fn minimum_versions_hide_versions_and_come_back() {
    let caller = Caller::with_key().await;
    caller.rotate().await;
    let raised = envelope(caller.configure(json!({"min_decryption_version": 2})).await);
    let versions = raised["data"]["keys"].as_object().expect("a key has versions");
    assert_eq!(versions.keys().collect::<Vec<_>>(), ["2"]);

    let lowered = envelope(caller.configure(json!({"min_decryption_version": 0})).await);
    assert_eq!(
        lowered["warnings"],
        json!(["since Vault 0.3, transit key numbering starts at 1; forcing minimum to 1"])
    );
    assert_eq!(lowered["data"]["min_decryption_version"], 1);
    assert_eq!(lowered["data"]["keys"].as_object().map(serde_json::Map::len), Some(2));
}

#[tokio::test]
async fn settings_that_make_no_sense_change_nothing() {
    let caller = Caller::with_key().await;
    caller.rotate().await;
    let before = caller.read_key().await;
    for (settings, error) in [
        (
            json!({"min_decryption_version": 3}),
            "cannot set min decryption version of 3, latest key version is 2",
        ),
        (json!({"min_decryption_version": -1}), "min decryption version cannot be negative"),
        (
            json!({"min_encryption_version": 3}),
            "cannot set min encryption version of 3, latest key version is 2",
        ),
        (json!({"min_encryption_version": -1}), "min encryption version cannot be negative"),
        (
            json!({"min_encryption_version": 1, "min_decryption_version": 2}),
            "cannot set min encryption/decryption values; min encryption version of 1 must be greater than or \
             equal to min decryption version of 2",
        ),
        (
            json!({"min_decryption_version": "x"}),
            "Field validation failed: error converting input for field \"min_decryption_version\": cannot parse '' \
             as int: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            json!({"deletion_allowed": "x"}),
            "Field validation failed: error converting input for field \"deletion_allowed\": cannot parse '' as \
             bool: strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
    ] {
        assert_eq!(caller.configure(settings.clone()).await, refusal(400, error), "{settings}");
        assert_eq!(caller.read_key().await, before, "{settings}");
    }
    let missing = caller.post("transit/keys/no-such-key/config", json!({})).await;
    assert_eq!(missing, refusal(400, "no existing key named no-such-key could be found"));
}

#[tokio::test]
async fn a_key_can_be_made_exportable_and_never_again_not() {
    let caller = Caller::with_key().await;
    for setting in [true, false] {
        let settings = json!({"exportable": setting, "allow_plaintext_backup": setting});
        let data = envelope(caller.configure(settings).await)["data"].take();
        assert_eq!((&data["exportable"], &data["allow_plaintext_backup"]), (&json!(true), &json!(true)));
    }
}

#[tokio::test]
async fn a_key_is_deleted_only_where_that_is_allowed() {
    let caller = Caller::with_key().await;
    let path = format!("transit/keys/{}", caller.key);
    let delete = || caller.call(Method::DELETE, &path, &caller.vault.root_token, String::new());
    let error = |reason: &str| refusal(400, &format!("error deleting policy {}: {reason}", caller.key));

    assert_eq!(delete().await, error("deletion is not allowed for this key"));
    envelope(caller.configure(json!({"deletion_allowed": "true"})).await);
    assert_eq!(delete().await, (204, Value::Null));
    assert_eq!(caller.get(&path).await, (404, json!({"errors": []})));
    assert_eq!(delete().await, error("could not delete key; not found"));
}

#[tokio::test]
async fn fields_that_nobody_knows_are_named_in_a_warning() {
    let caller = Caller::with_key().await;
    let body = envelope(caller.configure(json!({"zeta": 1, "alpha": 2})).await);
    assert_eq!(body["warnings"], json!(["Endpoint ignored these unrecognized parameters: [alpha zeta]"]));
}
