//! Tokens as strangers write them: none makes the parser panic, and none is believed but with a right signature, for our
//! audience, and in its time.
//!
//! The first byte chooses what the others are: a whole token, a header and claims, or claims that the issuer's key signs.
#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use signet::config::IdentityConfig;
use signet::domain::Timestamp;
use signet::identity::OfflineIssuer;

const NOW: i64 = 1_800_000_000;

static PAIR: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any 32 bytes are a seed"));

static ISSUER: LazyLock<OfflineIssuer> = LazyLock::new(|| {
    let text = "audience = 'signet'\n[[issuers]]\nname = 'corp'\nissuer = 'https://ci.example.com'\nalgorithms = ['EdDSA']\n";
    let identity: IdentityConfig = toml::from_str(text).expect("it is right");
    let x = URL_SAFE_NO_PAD.encode(PAIR.public_key().as_ref());
    let keys = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{x}"}}]}}"#);
    OfflineIssuer::new(&identity, &identity.issuers[0], keys.as_bytes()).expect("it is right")
});

fuzz_target!(|input: &[u8]| {
    let Some((manner, bytes)) = input.split_first() else { return };
    match manner % 4 {
        0 => {
            let refused = std::str::from_utf8(bytes).map(|token| verify(token).is_none());
            assert_ne!(refused, Ok(false), "a token without the key");
        }
        1 => {
            let split = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
            let (header, claims) = bytes.split_at(split);
            verify(&signed(header, claims.get(1..).unwrap_or_default()));
        }
        2 => {
            let token = signed(br#"{"alg":"EdDSA","kid":"k"}"#, bytes);
            if verify(&token).is_some() {
                assert_claims(bytes);
            }
        }
        _ => {
            // Members before those that are needed: of what is there twice, none may count.
            let rest = format!(
                r#""iss":"https://ci.example.com","aud":"signet","sub":"job","iat":{NOW},"exp":{}}}"#,
                NOW + 300
            );
            let claims = [b"{", bytes, b",", rest.as_bytes()].concat();
            let token = signed(br#"{"alg":"EdDSA","kid":"k"}"#, &claims);
            if let Some(name) = verify(&token) {
                assert_eq!(name, "job");
                assert_claims(&claims);
            }
        }
    }
});

/// The principal's name.
fn verify(token: &str) -> Option<String> {
    let now = Timestamp::from_second(NOW).expect("it is a time");
    match ISSUER.verify(token, now) {
        Ok(workload) => Some(workload.name),
        Err(refusal) => {
            let said = refusal.to_string();
            assert!(said.len() < 2_000 && !said.contains(char::is_control), "{said:?}");
            None
        }
    }
}

/// As another reader would read them.
fn assert_claims(claims: &[u8]) {
    let claims: Value = serde_json::from_slice(claims).expect("what was believed is JSON");
    let time = |claim: &str| claims[claim].as_f64().expect("what was believed has its times");
    assert_eq!(claims["iss"], "https://ci.example.com");
    assert!(
        claims["aud"] == "signet"
            || claims["aud"].as_array().is_some_and(|names| names.iter().any(|name| name == "signet"))
    );
    let now = NOW as f64;
    assert!(
        time("exp") + 60.0 >= now && time("iat") < now + 61.0 && time("iat") + 3_660.0 >= now,
        "{claims}"
    );
}

fn signed(header: &[u8], claims: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = PAIR.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
