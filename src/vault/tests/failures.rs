use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::fake_vault::{FakeVault, error};
use super::{Setup, task, until};
use crate::ports::{Signer as _, SignerError};

#[tokio::test]
async fn sealed_is_told_from_a_vault_without_a_leader() {
    let vault = FakeVault::start().await;
    let signer = Setup::new(&vault).start();
    for health in [503, 501] {
        vault.script(move |call| match call.path.as_str() {
            "sys/health" => Some(error(health, "")),
            _ => Some(error(503, "Vault is sealed")),
        });
        let result = signer.sign(task("a")).await;
        assert!(matches!(result, Err(SignerError::Sealed)), "{health}: {result:?}");
    }
    vault.script(|call| match call.path.as_str() {
        "sys/health" => Some(error(429, "")),
        _ => Some(error(503, "no leader")),
    });
    let result = signer.sign(task("a")).await;
    assert!(matches!(result, Err(SignerError::Unavailable { .. })), "{result:?}");
    let health = vault.calls().into_iter().filter(|call| call.path == "sys/health");
    for call in health {
        assert_eq!(call.header("x-vault-token"), None, "the state needs no token");
    }
}

#[tokio::test]
async fn a_vault_that_does_not_answer_is_a_timeout_for_that_group_alone() {
    let vault = FakeVault::start().await;
    let gate = vault.close();
    let mut setup = Setup::new(&vault);
    setup.vault.request_timeout = Duration::from_millis(50);
    let signer = setup.start();
    assert!(
        matches!(signer.sign(task("a")).await, Err(SignerError::Timeout(after)) if after.as_millis() == 50)
    );
    assert_eq!(vault.signing_calls().len(), 1, "it is not asked to do the same again");

    setup.vault.request_timeout = Duration::from_secs(20);
    gate.add_permits(9);
    assert!(setup.start().sign(task("a")).await.is_ok());
}

#[tokio::test]
async fn a_vault_that_is_not_there_is_unavailable() {
    let vault = FakeVault::start().await;
    let mut setup = Setup::new(&vault);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    setup.vault.address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let signer = setup.start();
    let error = signer.sign(task("a")).await.unwrap_err();
    assert!(
        matches!(&error, SignerError::Unavailable { reason, .. } if reason.contains("refused")),
        "{error}"
    );
    assert!(signer.ready().await.is_err());
    assert!(signer.key(&"release".parse().unwrap()).await.is_err());
}

#[tokio::test]
async fn a_short_pause_that_vault_asks_for_is_made_once() {
    // Status, Retry-After, how many calls until it works, whether it does.
    for (status, seconds, calls) in
        [(429, Some("0"), 2), (429, Some("60"), 1), (429, None, 2), (412, None, 2), (412, Some("60"), 1)]
    {
        let vault = FakeVault::start().await;
        vault.script(move |call| call.is_sign().then(|| slow_down(status, seconds)));
        let result = Setup::new(&vault).start().sign(task("a")).await;
        let expected = seconds.map(|text| Duration::from_secs(text.parse().unwrap()));
        assert!(
            matches!(&result, Err(SignerError::Unavailable { retry_after, .. }) if *retry_after == expected),
            "{result:?}"
        );
        assert_eq!(vault.signing_calls().len(), calls, "{status} {seconds:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_costs_a_second_try_and_no_more() {
    for (broken, succeeds) in [(1, true), (2, false)] {
        let vault = FakeVault::start().await;
        let tries = AtomicUsize::new(0);
        vault.script(move |call| {
            let breaks = call.is_sign() && tries.fetch_add(1, Ordering::SeqCst) < broken;
            breaks.then(|| panic!("the connection breaks, as the test wants"))
        });
        let result = Setup::new(&vault).start().sign(task("a")).await;
        assert_eq!(result.is_ok(), succeeds, "{result:?}");
        assert_eq!(vault.signing_calls().len(), 2);
    }
}

#[tokio::test]
async fn the_second_try_has_the_same_intents_and_the_same_batch() {
    let vault = FakeVault::start().await;
    let tries = AtomicUsize::new(0);
    vault.script(move |call| {
        let first = call.is_sign() && tries.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| error(412, "required index state not present"))
    });
    let setup = Setup::new(&vault);
    let signed = setup.start().sign(task("a")).await.unwrap();
    let batch = signed.batch.to_string();
    assert_eq!(vault.signing_calls().len(), 2);
    assert!(vault.signing_calls().iter().all(|call| call.header("x-signet-batch-id") == Some(&batch)));
    assert_eq!(setup.log.commits(), [1]);
}

#[tokio::test]
async fn what_is_no_answer_of_vaults_is_an_error_that_quotes_none_of_it() {
    let huge = "x".repeat(9 * 1024 * 1024);
    for body in ["<html>hunter2</html>".to_owned(), r#"{"data":{"x":"hunter2"}}"#.to_owned(), huge] {
        let vault = FakeVault::start().await;
        vault.script(move |call| call.is_sign().then(|| body.clone().into_response()));
        let error = Setup::new(&vault).start().sign(task("a")).await.unwrap_err();
        assert!(matches!(error, SignerError::Unavailable { .. }), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn calls_are_counted_by_operation_and_outcome() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let signer = setup.start();
    signer.key(&"release".parse().unwrap()).await.unwrap();
    until(|| vault.count("lookup-self") == 1).await;
    signer.ready().await.unwrap();
    signer.sign(task("a")).await.unwrap();
    vault.script(|_| Some(error(503, "")));
    signer.sign(task("a")).await.unwrap_err();

    let text = setup.metrics.encode();
    for (operation, outcome, times) in [
        // Once more because the fake's signatures do not verify: is it another key now?
        ("read_key", 200, 2),
        // For readiness, and to see whether the token can be renewed.
        ("lookup_self", 200, 2),
        ("sign", 200, 1),
        ("sign", 503, 1),
        ("health", 503, 1),
    ] {
        let line =
            format!(r#"signet_vault_calls_total{{operation="{operation}",outcome="{outcome}"}} {times}"#);
        assert!(text.contains(&line), "{line}\n{text}");
    }
    assert!(text.contains("signet_vault_batch_items_sum 2.0"), "{text}");
}

fn slow_down(status: u16, seconds: Option<&'static str>) -> Response {
    let mut response = (StatusCode::from_u16(status).unwrap(), r#"{"errors":[]}"#).into_response();
    if let Some(seconds) = seconds {
        response.headers_mut().insert("retry-after", seconds.parse().unwrap());
    }
    response
}
