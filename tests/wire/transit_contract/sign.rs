//! `sign/…`

use aws_lc_rs::digest::{self, Algorithm, Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Answer, Caller, encoded, envelope, listed, plain, refusal};

/// The public key of one version, as DER.
async fn public_key(caller: &Caller, version: &str) -> Vec<u8> {
    let key = caller.read_key().await;
    let pem = key["keys"][version]["public_key"].as_str().expect("the version is published");
    let (label, der) = pem_rfc7468::decode_vec(pem.as_bytes()).expect("it is PEM");
    assert_eq!(label, "PUBLIC KEY");
    der
}

/// Takes `vault:v<version>:<signature>` apart, and checks the version that is told beside it.
fn split(data: &Value) -> (u64, &str) {
    let version = data["key_version"].as_u64().expect("the version is a number");
    let signature = data["signature"].as_str().expect("the signature is a text");
    let rest = signature.strip_prefix(&format!("vault:v{version}:")).expect("it names its version");
    (version, rest)
}

/// What ECDSA on P-256 signs of a digest of any length.
fn number(digest: &[u8]) -> Digest {
    let kept = &digest[..digest.len().min(32)];
    let mut number = [0; 32];
    number[32 - kept.len()..].copy_from_slice(kept);
    Digest::import_less_safe(&number, &SHA256).expect("32 bytes are a SHA-256 digest")
}

#[tokio::test]
async fn a_signature_verifies_under_the_published_key_and_says_its_version() {
    let caller = Caller::with_key().await;
    let input = b"a payload";
    let body = envelope(caller.sign(json!({"input": encoded(input)})).await);
    let (version, signature) = split(&body["data"]);
    assert_eq!(version, 1);
    let signature = STANDARD.decode(signature).expect("asn1 is in base64");
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key(&caller, "1").await);
    key.verify(input, &signature).expect("sha2-256 is the default");
    assert_eq!(body, plain(json!({"key_version": 1, "signature": body["data"]["signature"]})));
}

#[tokio::test]
async fn the_hash_of_the_path_outranks_the_one_of_the_body() {
    let caller = Caller::with_key().await;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key(&caller, "1").await);
    let hashes: [(&str, Value, &'static Algorithm); 6] = [
        ("", json!({}), &SHA256),
        ("", json!({"hash_algorithm": "sha2-512"}), &SHA512),
        ("", json!({"algorithm": "sha2-384"}), &SHA256),
        ("", json!({"hash_algorithm": ""}), &SHA256),
        ("/sha2-384", json!({"hash_algorithm": "sha2-512"}), &SHA384),
        ("/sha2-256", json!({"hash_algorithm": "bogus"}), &SHA256),
    ];
    for (in_path, mut body, algorithm) in hashes {
        body["input"] = json!(encoded("hello"));
        let answer = caller.post(&format!("transit/sign/{}{in_path}", caller.key), body.clone()).await;
        let answer = envelope(answer);
        let signature = STANDARD.decode(split(&answer["data"]).1).expect("asn1 is in base64");
        let digest = number(digest::digest(algorithm, b"hello").as_ref());
        key.verify_digest(&digest, &signature).unwrap_or_else(|_| panic!("{in_path} {body}"));
    }
}

#[tokio::test]
async fn a_digest_of_any_length_is_signed_as_it_is() {
    let caller = Caller::with_key().await;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key(&caller, "1").await);
    for length in [0, 5, 32, 48, 64] {
        let input = vec![7; length];
        let path = format!("transit/sign/{}/sha2-256", caller.key);
        let answer = caller.post(&path, json!({"input": encoded(&input), "prehashed": true})).await;
        let signature = STANDARD.decode(split(&envelope(answer)["data"]).1).expect("asn1 is in base64");
        key.verify_digest(&number(&input), &signature).unwrap_or_else(|_| panic!("{length} bytes"));
    }
}

#[tokio::test]
async fn jws_is_the_two_numbers_side_by_side_in_base64url() {
    let caller = Caller::with_key().await;
    let answer = caller.sign(json!({"input": encoded("hello"), "marshaling_algorithm": "jws"})).await;
    let signature = URL_SAFE_NO_PAD.decode(split(&envelope(answer)["data"]).1).expect("jws is in base64url");
    assert_eq!(signature.len(), 64);
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key(&caller, "1").await);
    key.verify(b"hello", &signature).expect("it is r and s");
}

#[tokio::test]
async fn each_version_signs_with_its_own_key() {
    let caller = Caller::with_key().await;
    caller.rotate().await;
    for (requested, signs) in [(json!(0), 2), (json!(null), 2), (json!(1), 1), (json!("1"), 1), (json!(2), 2)]
    {
        let answer = caller.sign(json!({"input": encoded("hello"), "key_version": requested})).await;
        let body = envelope(answer);
        let (version, signature) = split(&body["data"]);
        assert_eq!(version, signs, "{requested}");
        let der = public_key(&caller, &version.to_string()).await;
        let signature = STANDARD.decode(signature).expect("asn1 is in base64");
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der)
            .verify(b"hello", &signature)
            .expect("it verifies");
    }
}

#[tokio::test]
async fn a_version_that_cannot_sign_is_500_alone_and_an_error_of_the_item_in_a_batch() {
    let caller = Caller::with_key().await;
    caller.rotate().await;
    caller.rotate().await;
    let too_low = "requested version for signing is less than the minimum encryption key version";
    let too_high = "requested version for signing is higher than the latest key version";
    for (settings, version, error) in [
        (json!({}), -1, "requested version for signing is negative"),
        (json!({}), 4, too_high),
        (json!({}), 4_000_000, too_high),
        (json!({"min_decryption_version": 2}), 1, "no such key version"),
        (json!({"min_encryption_version": 3}), 2, too_low),
        (json!({}), 1, too_low),
    ] {
        envelope(caller.configure(settings).await);
        let single = caller.sign(json!({"input": encoded("x"), "key_version": version})).await;
        assert_eq!(single, listed(500, error), "version {version}");
        let batch =
            json!({"key_version": version, "batch_input": [{"input": encoded("x"), "reference": "a"}]});
        let failed = json!({"batch_results": [{"key_version": 0, "error": error, "reference": "a"}]});
        assert_eq!(envelope(caller.sign(batch).await), plain(failed), "version {version}");
    }
}

#[tokio::test]
async fn a_fault_of_the_caller_is_400_with_a_reason() {
    let caller = Caller::with_key().await;
    let not_base64 =
        |place: usize| format!("unable to decode input: illegal base64 data at input byte {place}");
    let pkcs1 = "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15";
    for (body, error) in [
        (json!({"input": "!!!"}), not_base64(0)),
        (json!({"input": "aGVsbG8"}), not_base64(4)),
        (json!({"input": "aGVs bG8="}), not_base64(4)),
        (json!({"input": "_-_-"}), not_base64(0)),
        (json!({"input": 5}), not_base64(0)),
        (json!({"input": "!!", "key_version": 99}), not_base64(0)),
        (json!({"input": encoded("x"), "context": "!!"}), "failed to base64-decode context".to_owned()),
        (json!({"hash_algorithm": "bogus"}), "invalid hash algorithm \"bogus\"".to_owned()),
        (json!({"hash_algorithm": "none"}), pkcs1.to_owned()),
        (json!({"marshaling_algorithm": "x"}), "invalid marshaling type \"x\"".to_owned()),
        (json!({"marshaling_algorithm": ""}), "invalid marshaling type \"\"".to_owned()),
    ] {
        assert_eq!(caller.sign(body.clone()).await, refusal(400, &error), "{body}");
    }
    let nobody = caller.post("transit/sign/no-such-key", json!({"batch_input": []})).await;
    assert_eq!(nobody, refusal(400, "signing key not found"));
}

#[tokio::test]
async fn a_field_of_the_wrong_kind_is_named() {
    let caller = Caller::with_key().await;
    for (field, value) in [
        ("input", json!(["a"])),
        ("input", json!({})),
        ("prehashed", json!("x")),
        ("prehashed", json!(2)),
        ("key_version", json!("x")),
        ("key_version", json!(1.5)),
        ("key_version", json!([1])),
        ("hash_algorithm", json!([1])),
    ] {
        let (status, body) = caller.sign(json!({field: value})).await;
        let start = format!("Field validation failed: error converting input for field \"{field}\": ");
        assert_eq!(status, 400, "{field} {value}");
        assert!(body["errors"][0].as_str().is_some_and(|text| text.starts_with(&start)), "{body}");
    }
}

#[tokio::test]
async fn fields_are_read_forgivingly() {
    let caller = Caller::with_key().await;
    for body in [
        json!({"input": "aGVs\r\nbG8="}),
        json!({"input": "aGVsbG9="}),
        json!({"input": encoded("x"), "prehashed": "true"}),
        json!({"input": encoded("x"), "prehashed": 1}),
        json!({"input": encoded("x"), "key_version": ""}),
        json!({"input": encoded("x"), "signature_algorithm": "no such"}),
        json!({"input": null}),
        json!({}),
        json!({"batch_input": null}),
    ] {
        let answer = envelope(caller.sign(body.clone()).await);
        assert_eq!(split(&answer["data"]).0, 1, "{body}");
    }
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_each_item_fails_alone() {
    let caller = Caller::with_key().await;
    let good = encoded("hello");
    let batch = json!([
        {"input": good, "reference": "a"},
        {"input": "!!", "reference": "b"},
        {"reference": "c"},
        {"input": ""},
        {"input": good, "context": "!!"},
        {"input": good, "reference": 5, "unknown": 1},
        {"input": null},
        null,
    ]);
    let mut body = envelope(caller.sign(json!({"batch_input": batch, "input": "ignored"})).await);
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key(&caller, "1").await);
    for (index, input) in [(0, "hello"), (3, ""), (5, "hello"), (6, "")] {
        let item = &mut body["data"]["batch_results"][index];
        let signature = STANDARD.decode(split(item).1).expect("asn1 is in base64");
        key.verify(input.as_bytes(), &signature).expect("the order is kept");
        item["signature"] = json!("");
    }
    let failed =
        |error: &str, reference: &str| json!({"key_version": 0, "error": error, "reference": reference});
    let signed = |reference: &str| json!({"signature": "", "key_version": 1, "reference": reference});
    let results = json!([
        signed("a"),
        failed("unable to decode input: illegal base64 data at input byte 0", "b"),
        failed("missing input", "c"),
        signed(""),
        failed("failed to base64-decode context", ""),
        signed("5"),
        signed(""),
        failed("missing input", ""),
    ]);
    assert_eq!(body, plain(json!({"batch_results": results})));
}

#[tokio::test]
async fn a_batch_that_is_none_fails_as_a_whole() {
    let caller = Caller::with_key().await;
    let parse = |reason: &str| listed(500, &format!("failed to parse batch input: {reason}"));
    let cases: [(Value, Answer); 7] = [
        (json!({"batch_input": []}), refusal(400, "missing batch input to process")),
        (json!({"batch_input": [], "input": encoded("x")}), refusal(400, "missing batch input to process")),
        (json!({"batch_input": "x"}), parse("'': source data must be an array or slice, got string")),
        (json!({"batch_input": {}}), parse("'': source data must be an array or slice, got map")),
        (
            json!({"batch_input": ["x"]}),
            parse("1 error(s) decoding:\n\n* '[0]' expected a map, got 'string'"),
        ),
        (
            json!({"batch_input": [{"input": encoded("x")}, 5]}),
            parse("1 error(s) decoding:\n\n* '[1]' expected a map, got 'string'"),
        ),
        (
            json!({"batch_input": [{}], "marshaling_algorithm": "x"}),
            refusal(400, "invalid marshaling type \"x\""),
        ),
    ];
    for (body, answer) in cases {
        assert_eq!(caller.sign(body.clone()).await, answer, "{body}");
    }
    for field in ["input", "reference", "unknown"] {
        let (status, body) = caller.sign(json!({"batch_input": [{field: [1]}]})).await;
        assert_eq!(status, 500);
        let start = format!(
            "1 error occurred:\n\t* failed to parse batch input: 1 error(s) decoding:\n\n* '[0][{field}]' expected \
             type 'string'"
        );
        assert!(body["errors"][0].as_str().is_some_and(|text| text.starts_with(&start)), "{body}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limits_is_refused_before_anything_is_signed() {
    let caller = Caller::with_key().await;
    let item = json!({"input": encoded("x")});
    let batch = |length: usize| json!({"batch_input": vec![&item; length]});
    let all = envelope(caller.sign(batch(10_000)).await);
    assert_eq!(all["data"]["batch_results"].as_array().map(Vec::len), Some(10_000));
    assert_eq!(caller.sign(batch(10_001)).await, refusal(500, "JSON array exceeds allowed element count"));

    let text = |length: usize| json!({"input": "A".repeat(length)});
    envelope(caller.sign(text(1 << 20)).await);
    let too_long = caller.sign(text((1 << 20) + 4)).await;
    assert_eq!(too_long, refusal(500, "JSON string value exceeds allowed length"));

    let too_large = caller.sign(json!({"a": vec!["A".repeat(1 << 20); 33]})).await;
    assert_eq!(too_large, refusal(413, "http: request body too large"));
}

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_refused() {
    let caller = Caller::with_key().await;
    let path = format!("transit/sign/{}", caller.key);
    let send =
        |body: &str| caller.call(reqwest::Method::POST, &path, &caller.vault.root_token, body.to_owned());
    for broken in [r#"{"input":"aGVsbG8=""#, "{bad", r#"{"input":"aGVsbG8="} {}"#] {
        assert_eq!(send(broken).await.0, 500, "{broken}");
    }
    let array = "error parsing JSON: failed to parse JSON input: json: cannot unmarshal array into Go value of type \
                 map[string]interface {}";
    assert_eq!(send("[1]").await, refusal(400, array));
    assert_eq!(send("").await.0, 200, "no body is an empty one");
}
