//! Keys and tokens that come and go.

use futures::future::join_all;
use serde_json::json;

use super::{believing, is_recognised, settled};
use crate::support::issuer::{Issuer, SigningKey, now};

#[tokio::test]
async fn a_new_key_is_found_when_a_token_has_it_and_a_withdrawn_one_is_good_no_more() {
    let issuer = Issuer::start().await;
    let keys = [SigningKey::ec("a"), SigningKey::ec("b"), SigningKey::ec("c")];
    issuer.publish([keys[0].jwk()]);
    let world = believing(&[(&issuer, "corp", "algorithms = ['ES256']")]).await;
    settled(&world, "corp").await;
    let old = keys[0].sign(&issuer.claims());
    assert!(is_recognised(&world, &old).await && is_recognised(&world, &old).await);
    assert_eq!(issuer.fetches(), 1);

    issuer.publish([keys[1].jwk()]);
    assert!(is_recognised(&world, &keys[1].sign(&issuer.claims())).await);
    assert_eq!(issuer.fetches(), 2);
    assert!(!is_recognised(&world, &old).await, "its key was withdrawn, and it was verified before");

    // Within the minute nobody has the issuer asked again, whatever they write.
    issuer.publish([keys[2].jwk()]);
    assert!(!is_recognised(&world, &keys[2].sign(&issuer.claims())).await);
    let flood = (0..200).map(|number| {
        let header = json!({"alg": "ES256", "kid": format!("unknown-{number}")});
        let token = keys[0].sign_with(&header, &issuer.claims().to_string());
        let world = &world;
        async move { assert!(!is_recognised(world, &token).await) }
    });
    join_all(flood).await;
    assert!(is_recognised(&world, &keys[1].sign(&issuer.claims())).await);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn many_who_wait_for_a_new_key_share_one_fetch() {
    let issuer = Issuer::start().await;
    let (old, new) = (SigningKey::ec("old"), SigningKey::ec("new"));
    issuer.publish([old.jwk()]);
    let world = believing(&[(&issuer, "corp", "algorithms = ['ES256']")]).await;
    settled(&world, "corp").await;
    issuer.publish([new.jwk()]);
    let tokens: Vec<_> = (0..50).map(|_| new.sign(&issuer.claims())).collect();
    let recognised = join_all(tokens.iter().map(|token| is_recognised(&world, token))).await;
    assert_eq!(recognised, [true; 50]);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn keys_are_fetched_in_the_background_before_anybody_needs_them() {
    let issuer = Issuer::start().await;
    let (old, new) = (SigningKey::ec("old"), SigningKey::ec("new"));
    issuer.publish([old.jwk()]);
    let world = believing(&[(&issuer, "corp", "algorithms = ['ES256']\nrefresh = '1s'")]).await;
    settled(&world, "corp").await;
    issuer.publish([old.jwk(), new.jwk()]);
    let renewed = "signet_issuer_key_refreshes_total{issuer=\"corp\",outcome=\"new\"}";
    world
        .eventually("the new keys are known", async || (world.metric(renewed).await >= 2.0).then_some(()))
        .await;
    assert!(is_recognised(&world, &new.sign(&issuer.claims())).await);
    assert!(is_recognised(&world, &old.sign(&issuer.claims())).await);
}

#[tokio::test]
async fn a_token_is_refused_when_it_has_expired_also_where_it_was_verified_before() {
    let issuer = Issuer::start().await;
    let key = SigningKey::ec("k");
    issuer.publish([key.jwk()]);
    let world = believing(&[(&issuer, "corp", "algorithms = ['ES256']\nclock_skew = '1s'")]).await;
    settled(&world, "corp").await;
    let mut claims = issuer.claims();
    let expires = now() + 3;
    claims["exp"] = json!(expires);
    let token = key.sign(&claims);
    assert!(is_recognised(&world, &token).await);
    world.eventually("it has expired", async || (!is_recognised(&world, &token).await).then_some(())).await;
    assert!(now() > expires, "it was refused too early");
    world.logs("it has expired").await;
}

#[tokio::test]
async fn keys_in_a_file_are_read_again_when_it_changes_and_a_bad_file_changes_nothing() {
    let issuer = Issuer::start().await;
    let (old, new) = (SigningKey::ec("old"), SigningKey::ec("new"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.json");
    let write = |key: &SigningKey| {
        let next = directory.path().join("next");
        std::fs::write(&next, json!({"keys": [key.jwk()]}).to_string()).unwrap();
        std::fs::rename(next, &file).unwrap();
    };
    write(&old);
    let lines = format!("algorithms = ['ES256']\njwks_file = '{}'", file.display());
    let section = issuer.section("corp", &lines).replace("ca_file", "# ca_file");
    let world = super::with_sections(section).await;
    settled(&world, "corp").await;
    assert!(is_recognised(&world, &old.sign(&issuer.claims())).await);

    std::fs::write(&file, "{\"keys\": [{\"kty\": \"").unwrap();
    world.logs("those that are known stay in use").await;
    assert!(is_recognised(&world, &old.sign(&issuer.claims())).await);

    write(&new);
    let token = new.sign(&issuer.claims());
    world
        .eventually("the new key is known", async || is_recognised(&world, &token).await.then_some(()))
        .await;
    assert!(!is_recognised(&world, &old.sign(&issuer.claims())).await);
    assert_eq!(issuer.requests(), Vec::<String>::new());
}
