//! `verify/…`, one signature a call.

use serde_json::json;

use super::{Caller, encoded, envelope, plain, refusal};

#[tokio::test]
async fn a_signature_is_valid_for_its_input_hash_and_version_alone() {
    let caller = Caller::with_key().await;
    caller.rotate().await;
    let path = format!("transit/verify/{}", caller.key);
    for marshaling in ["asn1", "jws"] {
        let signed =
            caller.sign(json!({"input": encoded("hello"), "marshaling_algorithm": marshaling})).await;
        let signature = envelope(signed)["data"]["signature"].as_str().expect("it is a text").to_owned();
        let other_version = signature.replacen("vault:v2:", "vault:v1:", 1);
        for (hash, input, signature, valid) in [
            ("", "hello", &signature, true),
            ("/sha2-256", "hello", &signature, true),
            ("/sha2-512", "hello", &signature, false),
            ("", "hallo", &signature, false),
            ("", "", &signature, false),
            ("", "hello", &other_version, false),
        ] {
            let body =
                json!({"input": encoded(input), "signature": signature, "marshaling_algorithm": marshaling});
            let answer = caller.post(&format!("{path}{hash}"), body).await;
            assert_eq!(envelope(answer), plain(json!({"valid": valid})), "{marshaling} {hash} {input}");
        }
    }
}

#[tokio::test]
async fn a_text_that_is_no_signature_of_the_key_is_refused_with_a_reason() {
    let caller = Caller::with_key().await;
    let path = format!("transit/verify/{}", caller.key);
    for (signature, error) in [
        ("", "invalid signature: no prefix"),
        ("x", "invalid signature: no prefix"),
        ("vault:v1", "invalid signature: wrong number of fields"),
        ("vault:vx:aaaa", "invalid signature: version number could not be decoded"),
        ("vault:v0:aaaa", "ciphertext or signature version is disallowed by policy (too old)"),
        ("vault:v2:aaaa", "invalid signature: version is too new"),
        ("vault:v1:!!", "invalid base64 signature value"),
        ("vault:v1:aaaa", "supplied signature is invalid"),
        ("vault:v1:", "supplied signature is invalid"),
    ] {
        let answer = caller.post(&path, json!({"input": encoded("x"), "signature": signature})).await;
        assert_eq!(answer, refusal(400, error), "{signature}");
    }
    let missing = refusal(400, "missing one of 'signature', 'hmac' or 'cmac' arguments to verify");
    assert_eq!(caller.post(&path, json!({"input": encoded("x")})).await, missing);
    let nobody = caller.post("transit/verify/no-such-key", json!({"signature": "vault:v1:aaaa"})).await;
    assert_eq!(nobody, refusal(400, "signature verification key not found"));
    let body = json!({"input": "!!", "signature": "vault:v1:aaaa"});
    let error = "failed to parse item: failed to parse input: illegal base64 data at input byte 0";
    assert_eq!(caller.post(&path, body).await, refusal(400, error));
}
