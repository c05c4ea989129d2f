//! A standby answers with a redirect to the active node.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::fake_vault::{Call, FakeVault, error};
use super::{Setup, signing, task};
use crate::ports::{Signer as _, SignerError};

fn redirect(call: &Call, to: &str) -> Response {
    let location = format!("{to}/v1/{}", call.path);
    (StatusCode::TEMPORARY_REDIRECT, [("location", location)]).into_response()
}

/// A standby, the active node, and a signer that knows both.
async fn two_nodes() -> (FakeVault, FakeVault, Setup) {
    let (standby, active) = (FakeVault::start().await, FakeVault::start().await);
    let to = active.address.clone();
    standby.script(move |call| Some(redirect(call, &to)));
    let mut setup = Setup::new(&standby);
    setup.vault.node_addresses = vec![active.address.parse().unwrap()];
    (standby, active, setup)
}

#[tokio::test]
async fn a_redirect_to_an_address_that_is_not_configured_is_not_followed() {
    let (standby, active, mut setup) = two_nodes().await;
    setup.vault.node_addresses = vec!["http://vault-2.example.com:8200".parse().unwrap()];
    let signer = setup.start();
    let error = signer.sign(task("a")).await.unwrap_err().to_string();
    assert!(error.contains("redirect") && error.contains(&active.address), "{error}");
    assert!(error.contains("vault.node_addresses"), "{error}");
    assert!(signer.ready().await.is_err());
    assert!(active.calls().is_empty() && !standby.calls().is_empty());
}

#[tokio::test]
async fn a_redirect_to_a_configured_node_is_followed_with_all_that_was_sent() {
    let (standby, active, setup) = two_nodes().await;
    let signer = setup.start();
    let signed = signing(&signer, task("a")).await.unwrap().unwrap();
    let [call] = &active.signing_calls()[..] else { panic!("not one call") };
    assert_eq!(call.path, "transit/sign/release/sha2-256");
    assert_eq!(call.header("x-vault-token"), Some("good"));
    assert_eq!(call.header("x-signet-batch-id"), Some(&*signed.batch.to_string()));
    assert_eq!(call.items(), 1);

    let before = standby.calls().len();
    signer.sign(task("b")).await.unwrap();
    signer.ready().await.unwrap();
    assert_eq!(standby.calls().len(), before, "the active node is remembered");
}

#[tokio::test]
async fn what_a_redirect_says_of_the_path_does_not_count() {
    let (standby, active, setup) = two_nodes().await;
    let to = active.address.clone();
    standby.script(move |_| {
        let location = format!("{to}/v1/transit/keys/release/rotate?x=y");
        Some((StatusCode::TEMPORARY_REDIRECT, [("location", location)]).into_response())
    });
    setup.start().sign(task("a")).await.unwrap();
    assert_eq!((active.signing_calls().len(), active.count("rotate")), (1, 0));
}

#[tokio::test]
async fn a_node_that_is_active_no_more_costs_no_request() {
    let (first, second, setup) = two_nodes().await;
    let signer = setup.start();
    signer.sign(task("a")).await.unwrap();

    // They change places, and the new standby redirects in its turn.
    let to = first.address.clone();
    first.script(|_| None);
    second.script(move |call| Some(redirect(call, &to)));
    signer.sign(task("b")).await.unwrap();

    // Back, and then the second one is sealed.
    let to = second.address.clone();
    first.script(move |call| Some(redirect(call, &to)));
    second.script(|_| None);
    signer.sign(task("c")).await.unwrap();
    first.script(|_| None);
    second.script(|_| Some(error(503, "Vault is sealed")));
    let before = first.signing_calls().len();
    signer.sign(task("d")).await.unwrap();
    assert_eq!(first.signing_calls().len(), before + 1);
}

#[tokio::test]
async fn nodes_that_redirect_to_each_other_are_not_asked_for_ever() {
    let (first, second, setup) = two_nodes().await;
    let to = first.address.clone();
    second.script(move |call| Some(redirect(call, &to)));
    let result = setup.start().sign(task("a")).await;
    assert!(matches!(result, Err(SignerError::Unavailable { .. })), "{result:?}");
    assert_eq!(first.signing_calls().len() + second.signing_calls().len(), 3);
}
