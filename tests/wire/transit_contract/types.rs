//! Every type of key that signs: what is published of it, and what it makes of which request.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::future::join_all;
use serde_json::{Value, json};
use signet::domain::{Content, HashAlgorithm, KeyType, PublicKey, SigningInput};

use super::{Answer, Caller, encoded, envelope, listed, plain, refusal};

const PURE: &str = "only Pure Ed25519 signatures supported";

/// A key of each type, made at once: RSA takes its time.
async fn one_of_each() -> Vec<(KeyType, Caller)> {
    let make = async |key_type: KeyType| {
        let caller = Caller::with_key_of(&key_type.to_string()).await;
        (key_type, caller)
    };
    join_all(KeyType::SUPPORTED.map(make)).await
}

/// The public key of version 1, as Signet reads it.
async fn public_key(caller: &Caller) -> PublicKey {
    let mut key = caller.read_key().await;
    let text = key["keys"]["1"]["public_key"].take();
    let text = text.as_str().expect("the version is published");
    match key["type"] == "ed25519" {
        true => {
            let bytes = STANDARD.decode(text).expect("it is base64");
            PublicKey::from_ed25519(&bytes.try_into().expect("32 bytes")).expect("it is a key")
        }
        false => PublicKey::from_pem(text).expect("it is a key in PEM"),
    }
}

/// The bytes of `vault:v1:…`.
fn bytes_of(data: &Value) -> Vec<u8> {
    let text = data["signature"].as_str().expect("the signature is a text");
    STANDARD.decode(text.strip_prefix("vault:v1:").expect("it names its version")).expect("it is base64")
}

#[tokio::test]
async fn each_type_is_published_in_its_form() {
    for (key_type, caller) in one_of_each().await {
        let key = caller.read_key().await;
        assert_eq!(key["type"], key_type.to_string());
        assert_eq!(key["supports_signing"], true);
        assert_eq!(key["supports_derivation"], key_type == KeyType::Ed25519, "{key_type}");
        let name = match &key_type {
            KeyType::EcdsaP256 => "P-256".to_owned(),
            KeyType::EcdsaP384 => "P-384".to_owned(),
            KeyType::EcdsaP521 => "P-521".to_owned(),
            other => other.to_string(),
        };
        assert_eq!(key["keys"]["1"]["name"], name);
        assert_eq!(public_key(&caller).await.key_type(), &key_type);
    }
}

#[tokio::test]
async fn each_type_signs_what_signet_asks_for_with_each_hash() {
    let content = Content::from("a payload");
    for (key_type, caller) in one_of_each().await {
        let key = public_key(&caller).await;
        for hash in HashAlgorithm::ALL {
            let input = SigningInput::of(&key_type, hash, &content);
            let (path, mut body) = match &input {
                SigningInput::Digest { algorithm, .. } => (
                    format!("transit/sign/{}/{algorithm}", caller.key),
                    json!({"prehashed": true, "marshaling_algorithm": "asn1", "signature_algorithm": "pkcs1v15"}),
                ),
                SigningInput::Message(_) => {
                    (format!("transit/sign/{}", caller.key), json!({"prehashed": false}))
                }
            };
            let bytes = match &input {
                SigningInput::Digest { bytes, .. } => encoded(bytes),
                SigningInput::Message(message) => encoded(message),
            };
            body["key_version"] = json!(1);
            let mut single = body.clone();
            single["input"] = json!(bytes);
            let single = envelope(caller.post(&path, single).await);
            assert!(key.verifies(&input, &bytes_of(&single["data"])), "{key_type} {hash}");

            body["batch_input"] = json!([{"input": bytes, "reference": "0"}, {"input": "!", "reference": "1"}, {"input": bytes}]);
            let batch = envelope(caller.post(&path, body).await)["data"]["batch_results"].take();
            for (index, reference) in [(0, "0"), (2, "")] {
                assert!(key.verifies(&input, &bytes_of(&batch[index])), "{key_type} {hash}");
                assert_eq!(
                    (&batch[index]["reference"], &batch[index]["key_version"]),
                    (&json!(reference), &json!(1))
                );
            }
            assert_eq!(batch[1]["error"], "unable to decode input: illegal base64 data at input byte 0");
        }
    }
}

#[tokio::test]
async fn each_type_hashes_what_is_not_a_digest_yet() {
    let content = Content::from("a payload");
    for (key_type, caller) in one_of_each().await {
        let key = public_key(&caller).await;
        for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha384] {
            let path = format!("transit/sign/{}/{hash}", caller.key);
            let body = json!({"input": encoded("a payload"), "signature_algorithm": "pkcs1v15"});
            let signature = bytes_of(&envelope(caller.post(&path, body).await)["data"]);
            assert!(
                key.verifies(&SigningInput::of(&key_type, hash, &content), &signature),
                "{key_type} {hash}"
            );
        }
    }
}

#[tokio::test]
async fn jws_is_in_base64url_and_of_fixed_length_for_each_curve() {
    for (key_type, caller) in one_of_each().await {
        let answer = caller.sign(json!({"input": encoded("hello"), "marshaling_algorithm": "jws"})).await;
        let data = envelope(answer)["data"].take();
        let text = data["signature"].as_str().expect("the signature is a text");
        let signature = URL_SAFE_NO_PAD.decode(text.strip_prefix("vault:v1:").expect("it names its version"));
        let length = match key_type {
            KeyType::EcdsaP256 | KeyType::Ed25519 => 64,
            KeyType::EcdsaP384 => 96,
            KeyType::EcdsaP521 => 132,
            KeyType::Rsa2048 => 256,
            KeyType::Rsa3072 => 384,
            _ => 512,
        };
        assert_eq!(signature.expect("it is base64url").len(), length, "{key_type}");
    }
}

#[tokio::test]
async fn rsa_signs_with_pss_unless_told_otherwise_and_digests_of_the_right_length_alone() {
    let caller = Caller::with_key_of("rsa-2048").await;
    let key = public_key(&caller).await;
    let pss = bytes_of(&envelope(caller.sign(json!({"input": encoded("hello")})).await)["data"]);
    let hello = SigningInput::of(&KeyType::Rsa2048, HashAlgorithm::Sha256, &Content::from("hello"));
    assert!(!key.verifies(&hello, &pss));
    let verify = format!("transit/verify/{}", caller.key);
    let signature = format!("vault:v1:{}", encoded(&pss));
    for (algorithm, valid) in [("pss", true), ("pkcs1v15", false)] {
        let body =
            json!({"input": encoded("hello"), "signature": signature, "signature_algorithm": algorithm});
        assert_eq!(envelope(caller.post(&verify, body).await), plain(json!({"valid": valid})), "{algorithm}");
    }

    for (algorithm, error) in [
        ("pkcs1v15", "crypto/rsa: input must be hashed message"),
        ("pss", "crypto/rsa: input must be hashed with given hash"),
        ("no such", "unsupported rsa signature algorithm no such"),
    ] {
        for length in [0, 31, 48] {
            let input = encoded(vec![7; length]);
            let mut body = json!({"prehashed": true, "signature_algorithm": algorithm, "input": input});
            assert_eq!(caller.sign(body.clone()).await, listed(500, error), "{algorithm} {length}");
            body["batch_input"] = json!([{"input": input, "reference": "a"}]);
            let failed = json!({"batch_results": [{"key_version": 0, "error": error, "reference": "a"}]});
            assert_eq!(envelope(caller.sign(body).await), plain(failed), "{algorithm} {length}");
        }
    }
}

#[tokio::test]
async fn ed25519_signs_no_digests_and_takes_no_hash_that_is_its_own() {
    let caller = Caller::with_key_of("ed25519").await;
    let sign = async |hash: &str, body: Value| -> Answer {
        caller.post(&format!("transit/sign/{}{hash}", caller.key), body).await
    };
    let prehashed = format!("failed to parse batch item: {PURE}, prehashed must be false");
    for hash in ["", "/sha2-256", "/sha2-512"] {
        let body = json!({"input": encoded([7; 32]), "prehashed": true});
        assert_eq!(sign(hash, body).await, refusal(400, &prehashed), "{hash}");
        let body = json!({"batch_input": [{"input": encoded([7; 32]), "reference": "a"}], "prehashed": true});
        let failed = json!({"batch_results": [{"key_version": 0, "error": prehashed, "reference": "a"}]});
        assert_eq!(envelope(sign(hash, body).await), plain(failed), "{hash}");
    }
    let own = format!("failed to parse batch item: {PURE}, hash_alogithm should not be set");
    assert_eq!(sign("/sha2-512", json!({"input": encoded("x")})).await, refusal(400, &own));
    // All of these are one signature: Ed25519 has no chance in it.
    let plainly = envelope(sign("", json!({"input": encoded("x")})).await)["data"].take();
    for (hash, more) in [
        ("/sha2-256", json!({})),
        ("/sha2-384", json!({})),
        ("/sha1", json!({"signature_algorithm": "pkcs1v15"})),
        ("", json!({"signature_algorithm": "no such", "marshaling_algorithm": "asn1"})),
    ] {
        let mut body = more;
        body["input"] = json!(encoded("x"));
        assert_eq!(envelope(sign(hash, body.clone()).await)["data"], plainly, "{hash} {body}");
    }
}

#[tokio::test]
async fn a_message_of_768_kib_is_the_longest_that_fits_into_a_request() {
    let caller = Caller::with_key_of("ed25519").await;
    let key = public_key(&caller).await;
    let longest = vec![b'x'; SigningInput::MAX_MESSAGE];
    let signed = caller.sign(json!({"batch_input": [{"input": encoded(&longest), "reference": "0"}]})).await;
    let signature = bytes_of(&envelope(signed)["data"]["batch_results"][0]);
    assert!(key.verifies(&SigningInput::Message(longest.clone().into()), &signature));
    let too_long = [longest, vec![b'x']].concat();
    let answer = caller.sign(json!({"batch_input": [{"input": encoded(&too_long)}]})).await;
    assert_eq!(answer, refusal(500, "JSON string value exceeds allowed length"));
}

#[tokio::test]
async fn each_type_verifies_its_own_signatures_alone() {
    for (key_type, caller) in one_of_each().await {
        let is_ecdsa = key_type.to_string().starts_with("ecdsa");
        let path = format!("transit/verify/{}", caller.key);
        let signed = caller.sign(json!({"input": encoded("hello"), "signature_algorithm": "pkcs1v15"})).await;
        let signature = envelope(signed)["data"]["signature"].as_str().expect("it is a text").to_owned();
        let verify = async |hash: &str, input: &str, signature: &str, more: Value| -> Answer {
            let mut body = more;
            body["input"] = json!(encoded(input));
            body["signature"] = json!(signature);
            caller.post(&format!("{path}{hash}"), body).await
        };
        let pkcs1 = json!({"signature_algorithm": "pkcs1v15"});
        for (input, valid) in [("hello", true), ("hallo", false), ("", false)] {
            let answer = verify("", input, &signature, pkcs1.clone()).await;
            assert_eq!(envelope(answer), plain(json!({"valid": valid})), "{key_type} {input}");
        }
        // What is no signature at all is told from one of somebody else for ECDSA alone.
        for junk in ["vault:v1:aaaa", "vault:v1:"] {
            let answer = verify("", "hello", junk, pkcs1.clone()).await;
            match is_ecdsa {
                true => assert_eq!(answer, refusal(400, "supplied signature is invalid"), "{key_type}"),
                false => assert_eq!(envelope(answer), plain(json!({"valid": false})), "{key_type}"),
            }
        }
        let other_hash = verify("/sha2-512", "hello", &signature, pkcs1).await;
        match key_type {
            KeyType::Ed25519 => {
                let own = format!(
                    "failed to parse item: failed to parse batch item: {PURE}, hash_alogithm should not be set"
                );
                assert_eq!(other_hash, refusal(400, &own));
            }
            _ => assert_eq!(envelope(other_hash), plain(json!({"valid": false})), "{key_type}"),
        }
    }
}

#[tokio::test]
async fn public_keys_are_exported_as_they_are_published() {
    for key_type in ["ecdsa-p384", "rsa-2048", "ed25519"] {
        let caller = Caller::with_key_of(key_type).await;
        caller.rotate().await;
        let key = caller.read_key().await;
        // But for the last line break of ECDSA keys.
        let exported = |number: &str| {
            let text = key["keys"][number]["public_key"].as_str().expect("the version is published");
            if key_type == "ecdsa-p384" { text.trim_end().to_owned() } else { text.to_owned() }
        };
        let keys = |numbers: &[&str]| -> Value {
            numbers.iter().map(|number| ((*number).to_owned(), json!(exported(number)))).collect()
        };
        let path = format!("transit/export/public-key/{}", caller.key);
        for (version, numbers) in [("", &["1", "2"][..]), ("/1", &["1"]), ("/2", &["2"]), ("/latest", &["2"])]
        {
            let expected = json!({"keys": keys(numbers), "name": caller.key, "type": key_type});
            assert_eq!(envelope(caller.get(&format!("{path}{version}")).await), plain(expected), "{version}");
        }
        envelope(caller.configure(json!({"min_decryption_version": 2})).await);
        for (version, error) in [
            ("1", "version for export is below minimum decryption version"),
            ("3", "version does not exist or cannot be found"),
            ("x", "invalid key version"),
        ] {
            assert_eq!(caller.get(&format!("{path}/{version}")).await, refusal(400, error), "{version}");
        }
        let private = caller.get(&format!("transit/export/signing-key/{}", caller.key)).await;
        assert_eq!(private, refusal(400, "private key material is not exportable"));
    }
    let caller = Caller::with_key().await;
    assert_eq!(caller.get("transit/export/public-key/no-such-key").await, (404, json!({"errors": []})));
    let bogus = caller.get(&format!("transit/export/bogus/{}", caller.key)).await;
    assert_eq!(bogus, refusal(400, "invalid export type: bogus"));
}
