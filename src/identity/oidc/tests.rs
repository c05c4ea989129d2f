//! Tokens and key sets without a network. `tests/wire/oidc.rs` has what needs one.

use std::sync::{LazyLock, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::TokenAlgorithm;
use crate::domain::Timestamp;

const NOW: i64 = 1_800_000_000;

fn issuer(lines: &str) -> IdentityConfig {
    let text = format!(
        "audience = 'signet'\n[[issuers]]\nname = 'corp'\nissuer = 'https://ci.example.com'\n{lines}"
    );
    toml::from_str(&text).unwrap()
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn claims() -> Value {
    json!({"iss": "https://ci.example.com", "aud": "signet", "sub": "job", "iat": NOW, "exp": NOW + 300, "jti": "1"})
}

/// A token whose signature `sign` makes.
fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", text(signature))
}

fn verify(lines: &str, keys: &Value, token: &str) -> Result<Workload, String> {
    let identity = issuer(lines);
    let issuer =
        OfflineIssuer::new(&identity, &identity.issuers[0], json!({"keys": keys}).to_string().as_bytes())?;
    issuer.verify(token, Timestamp::from_second(NOW).unwrap()).map_err(|refusal| refusal.to_string())
}

fn rsa_jwk(pair: &RsaKeyPair) -> Value {
    let public = pair.public_key();
    let (n, e) = (public.modulus(), public.exponent());
    json!({"kty": "RSA", "kid": "k", "n": text(n.big_endian_without_leading_zero()), "e": text(e.big_endian_without_leading_zero())})
}

fn ec_jwk(pair: &EcdsaKeyPair, curve: &str) -> Value {
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({"kty": "EC", "crv": curve, "kid": "k", "x": text(x), "y": text(y)})
}

#[test]
fn every_algorithm_verifies_its_own_signatures_and_no_other() {
    let random = SystemRandom::new();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let by_rsa = |encoding: &'static dyn RsaEncoding, message: &[u8]| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(encoding, &random, message, &mut signature).unwrap();
        signature
    };
    let sign = |algorithm: TokenAlgorithm, message: &[u8]| match algorithm {
        TokenAlgorithm::RS256 => by_rsa(&RSA_PKCS1_SHA256, message),
        TokenAlgorithm::RS384 => by_rsa(&RSA_PKCS1_SHA384, message),
        TokenAlgorithm::RS512 => by_rsa(&RSA_PKCS1_SHA512, message),
        TokenAlgorithm::PS256 => by_rsa(&RSA_PSS_SHA256, message),
        TokenAlgorithm::PS384 => by_rsa(&RSA_PSS_SHA384, message),
        TokenAlgorithm::PS512 => by_rsa(&RSA_PSS_SHA512, message),
        TokenAlgorithm::ES256 => p256.sign(&random, message).unwrap().as_ref().to_vec(),
        TokenAlgorithm::ES384 => p384.sign(&random, message).unwrap().as_ref().to_vec(),
        TokenAlgorithm::EdDSA => ed.sign(message).as_ref().to_vec(),
    };
    let named = |mut jwk: Value, kid: &str| {
        jwk["kid"] = json!(kid);
        jwk
    };
    let keys = json!([
        named(rsa_jwk(&rsa), "rsa"),
        named(ec_jwk(&p256, "P-256"), "p256"),
        named(ec_jwk(&p384, "P-384"), "p384"),
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": text(ed.public_key().as_ref())},
    ]);
    let names = TokenAlgorithm::ALL.map(|algorithm| format!("'{}'", algorithm.name()));
    let all = format!("algorithms = [{}]", names.join(", "));
    let kid = |algorithm: TokenAlgorithm| match &algorithm.name()[..2] {
        "RS" | "PS" => "rsa",
        "ES" if algorithm == TokenAlgorithm::ES256 => "p256",
        "ES" => "p384",
        _ => "ed",
    };
    for says in TokenAlgorithm::ALL {
        let header = json!({"alg": says.name(), "kid": kid(says)});
        for signs in TokenAlgorithm::ALL {
            let found = verify(&all, &keys, &token(&header, &claims(), |message| sign(signs, message)));
            assert_eq!(found.is_ok(), says == signs, "{says:?} signed as {signs:?}: {found:?}");
        }
        let alone = format!("algorithms = ['{}']", says.name());
        for other in TokenAlgorithm::ALL {
            let header = json!({"alg": other.name(), "kid": kid(other)});
            let found = verify(&alone, &keys, &token(&header, &claims(), |message| sign(other, message)));
            assert_eq!(found.is_ok(), says == other, "{other:?} where {says:?} is configured: {found:?}");
        }
    }
}

#[test]
fn keys_that_are_not_for_this_are_skipped_and_the_others_are_used() {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let weak = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let right = ec_jwk(&pair, "P-256");
    let with = |member: &str, value: Value| {
        let mut jwk = right.clone();
        jwk[member] = value;
        jwk
    };
    let mut short = rsa_jwk(&weak);
    short["n"] = json!(text([&[0xc0], &[7; 127][..]].concat()));
    let header = json!({"alg": "ES256", "kid": "k"});
    let token = token(&header, &claims(), |message| pair.sign(&random, message).unwrap().as_ref().to_vec());
    let lines = "algorithms = ['RS256', 'ES256']";
    for (what, jwk) in [
        ("plain", right.clone()),
        ("for signatures", with("use", json!("sig"))),
        ("for JWT-SVIDs", with("use", json!("jwt-svid"))),
        ("for its algorithm", with("alg", json!("ES256"))),
        ("for verifying", with("key_ops", json!(["verify"]))),
        ("with more that nobody knows", with("x5t", json!("abc"))),
    ] {
        assert!(verify(lines, &json!([jwk]), &token).is_ok(), "{what}");
    }
    let skipped = [
        ("for encryption", with("use", json!("enc"))),
        ("for something unknown", with("use", json!("x509-svid"))),
        ("for another algorithm", with("alg", json!("ES384"))),
        ("for an unknown algorithm", with("alg", json!("none"))),
        ("for signing alone", with("key_ops", json!(["sign"]))),
        ("with its private part", with("d", json!("AAAA"))),
        ("of another curve", with("crv", json!("P-384"))),
        ("off its curve", with("x", json!(text([1; 32])))),
        ("with a short number", with("x", json!("AAAA"))),
        ("with padding", with("x", json!(format!("{}=", right["x"].as_str().unwrap())))),
        ("of another type", with("kty", json!("RSA"))),
        ("of a type of the wrong type", with("kty", json!(7))),
        ("symmetric", json!({"kty": "oct", "kid": "k", "k": "AAAA"})),
        ("with a long name", with("kid", json!("k".repeat(257)))),
        ("too short", short),
        ("no map", json!("key")),
        ("nothing", json!(null)),
    ];
    for (what, jwk) in &skipped {
        let refused = verify(lines, &json!([jwk]), &token).unwrap_err();
        assert!(refused.contains("none of its 1 keys can be used"), "{what}: {refused}");
    }
    // A bad key among good ones costs nobody anything.
    let mut all: Vec<_> = skipped.iter().map(|(_, jwk)| jwk.clone()).collect();
    all.push(right.clone());
    verify(lines, &json!(all), &token).unwrap();
    let set =
        jwks::KeySet::parse(json!({"keys": all}).to_string().as_bytes(), &[TokenAlgorithm::ES256]).unwrap();
    assert_eq!((set.len(), set.skipped), (1, skipped.len()));
    // Two keys of one name: which one is meant would be a guess.
    let refused = verify(lines, &json!([right, right]), &token).unwrap_err();
    assert!(refused.contains("several fitting keys \"k\""), "{refused}");
}

#[test]
fn an_ecdsa_signature_of_zeros_is_none() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let keys = json!([ec_jwk(&pair, "P-256")]);
    // The order of P-256, which is zero again.
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    for half in [vec![0; 32], order] {
        let header = json!({"alg": "ES256", "kid": "k"});
        let refused = verify("algorithms = ['ES256']", &keys, &token(&header, &claims(), |_| half.repeat(2)));
        assert!(refused.unwrap_err().contains("not by the issuer's key"));
    }
}

#[test]
fn the_principal_has_the_name_that_the_configured_claim_has() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let keys = json!([{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": text(pair.public_key().as_ref())}]);
    let verify = |lines: &str, claims: &Value| {
        let token = token(&json!({"alg": "EdDSA", "kid": "k"}), claims, |message| {
            pair.sign(message).as_ref().to_vec()
        });
        verify(&format!("algorithms = ['EdDSA']\n{lines}"), &keys, &token)
    };
    let with = |claim: &str, value: Value| {
        let mut claims = claims();
        claims[claim] = value;
        claims
    };
    for (lines, claim, value, name) in [
        ("", "sub", json!("job"), "job"),
        ("platform = 'gitlab'", "project_id", json!("4711"), "4711"),
        ("platform = 'gitlab'", "project_id", json!(4711), "4711"),
        ("platform = 'github'", "repository_id", json!("74"), "74"),
        ("platform = 'buildkite'", "pipeline_id", json!("0184"), "0184"),
        ("platform = 'circleci'", "oidc.circleci.com/project-id", json!("c0ff"), "c0ff"),
        ("platform = 'jenkins'", "sub", json!("https://ci/job/app/"), "https://ci/job/app/"),
        ("platform = 'kubernetes'", "sub", json!("system:serviceaccount:a:b"), "system:serviceaccount:a:b"),
        ("platform = 'spiffe'", "sub", json!("spiffe://example.com/ci"), "spiffe://example.com/ci"),
        ("platform = 'gitlab'\nprincipal_claim = 'namespace_id'", "namespace_id", json!("72"), "72"),
    ] {
        let workload = verify(lines, &with(claim, value)).unwrap();
        assert_eq!((workload.issuer.as_str(), workload.name.as_str()), ("corp", name), "{lines}");
    }
    for value in
        [json!(1.5), json!(true), json!(null), json!({}), json!(""), json!("a\u{7}"), json!("é".repeat(513))]
    {
        let refused = verify("platform = 'gitlab'", &with("project_id", value.clone())).unwrap_err();
        assert!(refused.contains("`project_id` names the principal"), "{value}: {refused}");
    }
    assert!(verify("platform = 'gitlab'", &claims()).unwrap_err().contains("`project_id` is missing"));
    assert_eq!(verify("", &with("sub", json!("é".repeat(512)))).unwrap().name.chars().count(), 512);
}

#[test]
fn a_token_is_named_by_its_jti_and_else_by_what_is_signed() {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let keys = json!([ec_jwk(&pair, "P-256")]);
    let name = |claims: &Value| {
        let sign = |message: &[u8]| pair.sign(&random, message).unwrap().as_ref().to_vec();
        let token = token(&json!({"alg": "ES256", "kid": "k"}), claims, sign);
        verify("algorithms = ['ES256']", &keys, &token).unwrap().token
    };
    let mut other = claims();
    other["exp"] = json!(NOW + 200);
    assert_eq!(name(&claims()), name(&other), "renewed, with the same jti");
    other["jti"] = json!("2");
    assert_ne!(name(&claims()), name(&other));
    let mut without = claims();
    without.as_object_mut().unwrap().remove("jti");
    // Each time another signature, of the same.
    assert_eq!(name(&without), name(&without));
    other.as_object_mut().unwrap().remove("jti");
    assert_ne!(name(&without), name(&other));
}

proptest! {
    #[test]
    fn no_token_makes_it_panic_and_none_without_a_signature_is_believed(
        token in prop_oneof![
            ".*",
            "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}",
            (member_text(), member_text()).prop_map(|(header, claims)| token(&header, &claims, |_| vec![0; 64])),
        ]
    ) {
        prop_assert!(FIXED.verify(&token, Timestamp::from_second(NOW).unwrap()).is_err());
    }

    #[test]
    fn no_claims_make_it_panic_and_those_that_are_believed_have_what_is_needed(claims in member_text()) {
        let header = json!({"alg": "EdDSA", "kid": "k"});
        let token = token(&header, &claims, |message| PAIR.sign(message).as_ref().to_vec());
        match FIXED.verify(&token, Timestamp::from_second(NOW).unwrap()) {
            Ok(workload) => {
                prop_assert_eq!(&claims["iss"], "https://ci.example.com");
                let sub = claims["sub"].as_str().map_or_else(|| claims["sub"].to_string(), str::to_owned);
                prop_assert_eq!(sub, workload.name);
                let near = |claim: &str, range: std::ops::Range<f64>| range.contains(&(claims[claim].as_f64().unwrap() - NOW as f64));
                prop_assert!(near("iat", -3660.0..61.0) && near("exp", -60.0..1e12), "{}", claims);
            }
            Err(refusal) => {
                let said = refusal.to_string();
                prop_assert!(said.len() < 1_000 && !said.contains(char::is_control), "{}", said);
            }
        }
    }
}

static PAIR: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

/// Believes what [`PAIR`] has signed.
static FIXED: LazyLock<OfflineIssuer> = LazyLock::new(|| {
    let identity = issuer("algorithms = ['EdDSA']");
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": text(PAIR.public_key().as_ref())}]});
    OfflineIssuer::new(&identity, &identity.issuers[0], keys.to_string().as_bytes()).unwrap()
});

/// Something like a header or claims: names that matter with values that nearly fit.
fn member_text() -> impl Strategy<Value = Value> {
    let names = ["alg", "kid", "typ", "crit", "jku", "iss", "aud", "sub", "iat", "exp", "nbf", "jti", "more"];
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-10_000..10_000_i64).prop_map(|off| json!(NOW + off)),
        ".{0,20}".prop_map(Value::from),
        proptest::sample::select(vec![
            "EdDSA",
            "RS256",
            "none",
            "k",
            "JWT",
            "signet",
            "https://ci.example.com",
            "job"
        ])
        .prop_map(Value::from),
        Just(json!(["signet", "x"])),
        Just(json!({"a": {"b": []}})),
    ];
    // Of a right one, with some changed: what is all random is refused for the first thing that is looked at.
    proptest::collection::vec((proptest::sample::select(names.to_vec()), value), 0..3).prop_map(|changes| {
        let mut members = claims();
        members["alg"] = json!("EdDSA");
        members["kid"] = json!("k");
        for (name, value) in changes {
            members[name] = value;
        }
        members
    })
}

/// A clock that tests set.
struct At(Mutex<i64>);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(*self.0.lock().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn what_was_verified_before_is_verified_no_more_until_it_expires_or_its_key_goes() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let other = Ed25519KeyPair::generate().unwrap();
    let key = |pair: &Ed25519KeyPair| json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())}]});
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.json");
    std::fs::write(&file, key(&pair).to_string()).unwrap();
    let identity = issuer(&format!("algorithms = ['EdDSA']\njwks_file = '{}'", file.display()));
    let clock = Arc::new(At(Mutex::new(NOW)));
    let stopped = CancellationToken::new();
    let authenticator =
        OidcAuthenticator::start(&identity, clock.clone(), &Arc::default(), &stopped).unwrap();
    let token = token(&json!({"alg": "EdDSA"}), &claims(), |message| pair.sign(message).as_ref().to_vec());

    let first = authenticator.authenticate(&token).await.unwrap();
    let second = authenticator.authenticate(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second), "it was verified again");
    *clock.0.lock().unwrap() = NOW + 300 + 59;
    assert!(authenticator.authenticate(&token).await.is_ok());
    *clock.0.lock().unwrap() = NOW + 300 + 60;
    assert_eq!(authenticator.authenticate(&token).await.unwrap_err(), Refusal::Expired);
    *clock.0.lock().unwrap() = NOW;
    assert!(authenticator.authenticate(&token).await.is_ok());

    std::fs::write(&file, key(&other).to_string()).unwrap();
    let keeper = &authenticator.issuers.values().next().unwrap().keeper;
    let known = keeper.keys().digest;
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(20));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while keeper.keys().digest == known {
        pause.tick().await;
        assert!(tokio::time::Instant::now() < deadline, "the file was not read again");
    }
    assert_eq!(authenticator.authenticate(&token).await.unwrap_err(), Refusal::Signature);
    stopped.cancel();
}
