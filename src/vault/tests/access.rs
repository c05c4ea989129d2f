use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use super::fake_vault::{FakeVault, error, login};
use super::{Setup, key, signing, task, until};
use crate::config::{AuthMethod, VaultAuthConfig};
use crate::ports::{Signer as _, SignerError};

#[tokio::test]
async fn a_token_that_was_replaced_is_read_again_when_vault_refuses_the_old_one() {
    let vault = FakeVault::start().await;
    let valid = Arc::new(Mutex::new("first"));
    let known = Arc::clone(&valid);
    vault.script(move |call| {
        let refused = call.header("x-vault-token") != Some(*known.lock().unwrap());
        refused.then(|| error(403, "permission denied"))
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    // The same length and the same time: nothing but reading it shows that it has changed.
    let write = |token: &str| {
        std::fs::write(&file, token).unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(UNIX_EPOCH).unwrap();
    };
    let mut setup = Setup::new(&vault);
    setup.vault.auth.token = None;
    setup.vault.auth.token_file = Some(file.clone());
    write("first\n");
    let signer = setup.start();
    signer.sign(task("a")).await.unwrap();

    write("other\n");
    *valid.lock().unwrap() = "other";
    signer.sign(task("b")).await.unwrap();
    signer.sign(task("c")).await.unwrap();
    let tokens: Vec<_> =
        vault.signing_calls().iter().map(|call| call.header("x-vault-token").unwrap().to_owned()).collect();
    assert_eq!(tokens, ["first", "first", "other", "other"]);
}

#[tokio::test]
async fn a_token_that_vault_refuses_is_tried_once() {
    let vault = FakeVault::start().await;
    vault.script(|_| Some(error(403, "permission denied")));
    let signer = Setup::new(&vault).start();
    let result = signer.sign(task("a")).await;
    assert!(
        matches!(&result, Err(SignerError::Denied { reason }) if reason == "403 Forbidden: permission denied"),
        "{result:?}"
    );
    assert_eq!(vault.signing_calls().len(), 1);
}

#[tokio::test]
async fn a_token_file_may_come_later_and_is_named_until_then() {
    let vault = FakeVault::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent-token");
    let mut setup = Setup::new(&vault);
    setup.vault.auth.token = None;
    setup.vault.auth.token_file = Some(file.clone());
    let signer = setup.start();
    let error = signer.sign(task("a")).await.unwrap_err();
    assert!(matches!(&error, SignerError::Denied { reason } if reason.contains("agent-token")), "{error}");
    assert!(vault.calls().is_empty());

    std::fs::write(&file, "good").unwrap();
    signer.sign(task("a")).await.unwrap();
}

#[tokio::test]
async fn a_token_is_sent_without_white_space_around_it() {
    let vault = FakeVault::start().await;
    let mut setup = Setup::new(&vault);
    setup.vault.auth.token = Some("good\r\n".to_owned().into());
    setup.start().sign(task("a")).await.unwrap();
    assert_eq!(vault.signing_calls()[0].header("x-vault-token"), Some("good"));
}

#[tokio::test]
async fn readiness_is_asked_once_for_all_and_says_what_signing_would_meet() {
    let vault = FakeVault::start().await;
    let signer = Setup::new(&vault).start();
    let answers = futures::future::join_all((0..20).map(|_| signer.ready())).await;
    assert!(answers.iter().all(Result::is_ok));
    // And once to see whether the token can be renewed.
    assert!((1..=2).contains(&vault.count("auth/token/lookup-self")));

    let vault = FakeVault::start().await;
    vault.script(|_| Some(error(403, "permission denied")));
    assert!(matches!(Setup::new(&vault).start().ready().await, Err(SignerError::Denied { .. })));
    vault.script(|_| Some(error(503, "Vault is sealed")));
    assert!(matches!(Setup::new(&vault).start().ready().await, Err(SignerError::Sealed)));
}

#[tokio::test]
async fn no_token_and_no_secret_is_in_a_log_however_much_is_logged() {
    let lines = Lines::default();
    let subscriber = || {
        let writer = lines.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish()
    };
    // While there is only one, tracing asks the subscriber of whichever test's thread comes by an
    // event first whether anybody wants it; with two it asks both.
    let _second = tracing::Dispatch::new(subscriber());
    let logging = tracing::subscriber::set_default(subscriber());
    let secret = || Some("hvs.hunter2".to_owned().into());
    let given = VaultAuthConfig { token: secret(), ..VaultAuthConfig::new(AuthMethod::Token) };
    let approle = VaultAuthConfig {
        role_id: Some("the-role".to_owned().into()),
        secret_id: secret(),
        ..VaultAuthConfig::new(AuthMethod::AppRole)
    };
    for auth in [given, approle] {
        let vault = FakeVault::start().await;
        vault.script(|call| call.path.ends_with("/login").then(|| login("hvs.hunter2")));
        let mut setup = Setup::new(&vault);
        setup.vault.auth = auth;
        setup.vault.request_timeout = Duration::from_millis(500);
        let signer = setup.start();
        signer.sign(task("a")).await.unwrap();
        for status in [403, 500, 503] {
            vault.script(move |_| Some(error(status, "no")));
            let result = format!("{:?} {:?}", signer.sign(task("a")).await, signer.ready().await);
            assert!(!result.contains("hunter2"), "{result}");
        }
    }
    drop(logging);

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for words in ["the key was read from Vault", "logged in to Vault", "rustify"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn settings_that_can_not_work_are_named() {
    let vault = FakeVault::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    type Change = Box<dyn Fn(&mut Setup)>;
    let cases: [(&str, Change); 14] = [
        ("vault.address", Box::new(|s| s.vault.address = "ftp://vault".parse().unwrap())),
        ("vault.address", Box::new(|s| s.vault.address = "http://me:secret@vault".parse().unwrap())),
        ("vault.namespace", Box::new(|s| s.vault.namespace = Some("a\nb".to_owned()))),
        (
            "ca.pem",
            Box::new(move |s| {
                s.vault.address = "https://vault".parse().unwrap();
                s.vault.ca_file = Some(file.clone());
            }),
        ),
        ("vault.auth", Box::new(|s| s.vault.auth.token = None)),
        ("vault.auth.token", Box::new(|s| s.vault.auth.token = Some("secret\nsecret".to_owned().into()))),
        ("approle needs `role_id`", Box::new(|s| s.vault.auth = VaultAuthConfig::new(AuthMethod::AppRole))),
        ("jwt needs `jwt_file`", Box::new(|s| s.vault.auth = VaultAuthConfig::new(AuthMethod::Jwt))),
        (
            "kubernetes needs `role`",
            Box::new(|s| s.vault.auth = VaultAuthConfig::new(AuthMethod::Kubernetes)),
        ),
        ("cert needs `cert_file`", Box::new(|s| s.vault.auth = VaultAuthConfig::new(AuthMethod::Cert))),
        (
            "vault.node_addresses",
            Box::new(|s| s.vault.node_addresses = vec!["http://me:secret@vault".parse().unwrap()]),
        ),
        ("vault.mount", Box::new(|s| s.vault.mount = "a/../b".to_owned())),
        ("keys.release.mount", Box::new(|s| s.keys[0].mount = Some(String::new()))),
        ("release", Box::new(|s| s.keys.push(key("release")))),
    ];
    for (expected, change) in cases {
        let mut setup = Setup::new(&vault);
        change(&mut setup);
        let error = setup.try_start().err().expect(expected).to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{expected}: {error}");
    }
}

#[tokio::test]
async fn a_call_that_is_under_way_at_shutdown_ends_well() {
    let vault = FakeVault::start().await;
    let gate = vault.close();
    let setup = Setup::new(&vault);
    let signer = setup.start();
    let caller = signing(&signer, task("a"));
    until(|| vault.signing_calls().len() == 1).await;
    setup.shutdown.cancel();
    gate.add_permits(1);
    assert!(caller.await.unwrap().is_ok());
}

/// Where a test's log goes.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
