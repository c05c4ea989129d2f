//! Issuers that do not answer as they should.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{ask, believing, is_recognised, settled, with_sections};
use crate::support::issuer::{Issuer, Manner, SigningKey};

#[tokio::test]
async fn keys_that_can_not_be_had_are_401_and_soon_and_nothing_is_followed() {
    let trap = Issuer::start().await;
    let key = SigningKey::rsa("k");
    trap.publish([key.jwk()]);
    let large = |announced| Manner::Large { bytes: 50 * 1024 * 1024, announced };
    let symmetric =
        json!({"keys": [{"kty": "oct", "kid": "k", "alg": "HS256", "k": "c2VjcmV0"}]}).to_string();
    let many = json!({"keys": vec![key.jwk(); 101]}).to_string();
    let twice = json!({"keys": [key.jwk()]}).to_string().replacen('{', "{\"keys\":[],", 1);
    let cases = [
        ("announced", large(true), "has more than 1048576 bytes"),
        ("unannounced", large(false), "has more than 1048576 bytes"),
        ("redirect", Manner::Redirect(trap.jwks_uri()), "redirects are not followed"),
        ("hang", Manner::Hang, "timed out"),
        ("broken", Manner::Status(500), "500"),
        ("symmetric", Manner::Text(symmetric), "none of its 1 keys can be used"),
        ("empty", Manner::Text("{\"keys\":[]}".to_owned()), "none of its 0 keys can be used"),
        ("many", Manner::Text(many), "more than 100 keys"),
        ("twice", Manner::Text(twice), "no set of keys"),
        ("no-json", Manner::Text("<html>".to_owned()), "no set of keys"),
        ("elsewhere", Manner::KeysAt(trap.jwks_uri()), "not the issuer's own host"),
        ("impostor", Manner::As(trap.url.clone()), "another issuer"),
    ];
    let mut issuers = Vec::new();
    for (_, manner, _) in &cases {
        let issuer = Issuer::start().await;
        issuer.publish([key.jwk()]);
        issuer.answer_with(manner.clone());
        issuers.push(issuer);
    }
    let sections = cases.iter().zip(&issuers).map(|((name, ..), issuer)| issuer.section(name, ""));
    let world = with_sections(sections.collect()).await;
    for ((name, ..), issuer) in cases.iter().zip(&issuers) {
        let began = Instant::now();
        assert!(!is_recognised(&world, &key.sign(&issuer.claims())).await, "{name}");
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{name}: the caller waited for {:?}",
            began.elapsed()
        );
    }
    for (name, _, reason) in &cases {
        world
            .eventually(&format!("{name}: {reason}"), async || {
                let lines = world.signet.log_lines();
                let says = |line: &&String| {
                    line.contains(&format!("\"issuer\":\"{name}\"")) && line.contains(reason)
                };
                lines.iter().find(says).map(drop)
            })
            .await;
    }
    assert_eq!(trap.requests(), Vec::<String>::new(), "something was fetched that nobody configured");
    // While one hangs, all others are heard.
    assert_eq!(world.get("/v1/log/entries").await.status, 200);

    // Nobody has to restart Signet when it is mended.
    let broken = &issuers[4];
    broken.answer_with(Manner::Good);
    let token = key.sign(&broken.claims());
    world.eventually("the issuer is back", async || is_recognised(&world, &token).await.then_some(())).await;
}

#[tokio::test]
async fn an_issuer_whose_certificate_nobody_vouches_for_is_not_believed() {
    let (issuer, other) = (Issuer::start().await, Issuer::start().await);
    let key = SigningKey::ec("k");
    issuer.publish([key.jwk()]);
    let lines = "algorithms = ['ES256']";
    let right = issuer.section("corp", lines);
    let with_ca = |path: &str| right.replace(&issuer.ca_file.display().to_string(), path);
    let world = with_sections(with_ca(&other.ca_file.display().to_string())).await;
    assert!(!is_recognised(&world, &key.sign(&issuer.claims())).await);
    world.logs("certificate").await;
    assert_eq!(issuer.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn known_keys_stay_in_use_while_their_issuer_is_down() {
    let issuer = Issuer::start().await;
    let key = SigningKey::ed("k");
    issuer.publish([key.jwk()]);
    let mut world = believing(&[(&issuer, "corp", "algorithms = ['EdDSA']\nrefresh = '1s'")]).await;
    settled(&world, "corp").await;
    assert!(is_recognised(&world, &key.sign(&issuer.claims())).await);
    issuer.answer_with(Manner::Status(503));
    let failed = "signet_issuer_key_refreshes_total{issuer=\"corp\",outcome=\"failed\"}";
    world
        .eventually("two refreshes failed", async || (world.metric(failed).await >= 2.0).then_some(()))
        .await;
    assert!(is_recognised(&world, &key.sign(&issuer.claims())).await);
    world.logs("those that are known stay in use").await;

    // Signet starts without its issuers, and finds them when they are there.
    world.restart();
    let token = key.sign(&issuer.claims());
    assert!(!is_recognised(&world, &token).await);
    assert_eq!(world.get("/v1/log/entries").await.status, 200);
    issuer.answer_with(Manner::Good);
    world.eventually("the issuer is back", async || is_recognised(&world, &token).await.then_some(())).await;
}

#[tokio::test]
async fn a_set_of_keys_that_is_named_is_fetched_without_discovery() {
    let issuer = Issuer::start_at("/somewhere/else").await;
    let key = SigningKey::ec("k");
    issuer.publish([key.jwk()]);
    let lines = format!("algorithms = ['ES256']\njwks_uri = '{}'", issuer.jwks_uri());
    let world = believing(&[(&issuer, "corp", &lines)]).await;
    assert!(is_recognised(&world, &key.sign(&issuer.claims())).await);
    assert_eq!(issuer.requests(), ["/keys"]);
}

#[tokio::test]
async fn without_kid_a_token_is_right_only_where_one_key_fits() {
    let issuer = Issuer::start().await;
    let (one, another) = (SigningKey::ec("a"), SigningKey::ec("b"));
    issuer.publish([one.jwk(), another.jwk()]);
    let world = believing(&[(&issuer, "corp", "algorithms = ['ES256']")]).await;
    assert!(is_recognised(&world, &one.sign(&issuer.claims())).await);
    let header = json!({"alg": "ES256", "typ": "JWT"});
    let answer = ask(&world, &one.sign_with(&header, &issuer.claims().to_string())).await;
    assert_eq!(answer.status, 401);
    world.logs("several fitting keys for a token that names none").await;
}
