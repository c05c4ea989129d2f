//! Logging in: what each method shows, and that requests do not notice.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::fake_vault::{Call, FakeVault, data, error, login};
use super::{Setup, signing, task, until};
use crate::config::{AuthMethod, VaultAuthConfig};
use crate::ports::{Signer as _, SignerError};

/// A Vault that lets nobody in who does not show a token of the newest login. `refuse` says what it thinks of a login.
struct Guarded {
    vault: FakeVault,
    tokens: Arc<Mutex<Tokens>>,
}

#[derive(Default)]
struct Tokens {
    made: usize,
    valid: Option<String>,
    refuse: bool,
    /// Tokens that are dead when they are to sign.
    short_lived: usize,
}

impl Guarded {
    async fn start() -> Self {
        let (vault, tokens) = (FakeVault::start().await, Arc::new(Mutex::new(Tokens::default())));
        let known = Arc::clone(&tokens);
        vault.script(move |call| {
            let mut tokens = known.lock().unwrap();
            if call.path.ends_with("/login") {
                if tokens.refuse {
                    let secret = call.body["secret_id"].as_str().unwrap_or_default();
                    return Some(error(400, &format!("invalid secret_id {secret:?}")));
                }
                tokens.made += 1;
                let token = format!("session-{}", tokens.made);
                tokens.valid = Some(token.clone());
                return Some(login(&token));
            }
            if call.path == "sys/wrapping/unwrap" {
                return Some(unwrapped(call));
            }
            if call.is_sign() && tokens.short_lived > 0 {
                tokens.short_lived -= 1;
                tokens.valid = None;
            }
            let shown = call.header("x-vault-token").map(str::to_owned);
            (call.path != "sys/health" && shown != tokens.valid).then(|| error(403, "permission denied"))
        });
        Self { vault, tokens }
    }

    fn revoke(&self) {
        self.tokens.lock().unwrap().valid = None;
    }

    fn refuse(&self, refuse: bool) {
        self.tokens.lock().unwrap().refuse = refuse;
    }

    fn logins(&self) -> Vec<Call> {
        self.vault.calls().into_iter().filter(|call| call.path.ends_with("/login")).collect()
    }
}

/// A wrapping token opens once: `wrapping-x` has `secret-x` in it.
fn unwrapped(call: &Call) -> axum::response::Response {
    match call.header("x-vault-token").and_then(|token| token.strip_prefix("wrapping-")) {
        Some("used") => error(400, "wrapping token is not valid or does not exist"),
        Some(name) => data(&json!({"secret_id": format!("secret-{name}"), "secret_id_ttl": 0})),
        None => error(403, "permission denied"),
    }
}

/// A signer's surroundings with `auth`.
fn setup(vault: &FakeVault, auth: VaultAuthConfig) -> Setup {
    let mut setup = Setup::new(vault);
    setup.vault.auth = auth;
    setup
}

fn file(directory: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn approle(secret_id_file: &Path) -> VaultAuthConfig {
    VaultAuthConfig {
        role_id: Some("the-role".to_owned().into()),
        secret_id_file: Some(secret_id_file.to_owned()),
        ..VaultAuthConfig::new(AuthMethod::AppRole)
    }
}

#[tokio::test]
async fn each_method_shows_what_vault_wants_to_see() {
    let directory = tempfile::tempdir().unwrap();
    let jwt_file = Some(file(&directory, "jwt", "a.b.c\n"));
    let cases: [(VaultAuthConfig, &str, Value); 4] = [
        (
            approle(&file(&directory, "secret", "the-secret\n")),
            "auth/approle/login",
            json!({"role_id": "the-role", "secret_id": "the-secret"}),
        ),
        (
            VaultAuthConfig {
                role_id_file: Some(file(&directory, "role", " the-role\n")),
                secret_id: Some("the-secret".to_owned().into()),
                mount: Some("team/ci".to_owned()),
                ..VaultAuthConfig::new(AuthMethod::AppRole)
            },
            "auth/team/ci/login",
            json!({"role_id": "the-role", "secret_id": "the-secret"}),
        ),
        (
            VaultAuthConfig {
                role: Some("signet".to_owned()),
                jwt_file: jwt_file.clone(),
                ..VaultAuthConfig::new(AuthMethod::Jwt)
            },
            "auth/jwt/login",
            json!({"role": "signet", "jwt": "a.b.c"}),
        ),
        (
            VaultAuthConfig {
                role: Some("signet".to_owned()),
                jwt_file,
                ..VaultAuthConfig::new(AuthMethod::Kubernetes)
            },
            "auth/kubernetes/login",
            json!({"role": "signet", "jwt": "a.b.c"}),
        ),
    ];
    for (auth, path, body) in cases {
        let guarded = Guarded::start().await;
        let mut setup = setup(&guarded.vault, auth);
        setup.vault.namespace = Some("org".to_owned());
        setup.start().sign(task("a")).await.unwrap();
        let [call] = &guarded.logins()[..] else { panic!("not one login") };
        assert_eq!((call.path.as_str(), &call.body), (path, &body));
        assert_eq!((call.header("x-vault-token"), call.header("x-vault-namespace")), (None, Some("org")));
        let sign = &guarded.vault.signing_calls()[0];
        assert_eq!(sign.header("x-vault-token"), Some("session-1"));
    }
}

#[tokio::test]
async fn a_revoked_token_costs_no_request_and_one_login() {
    let guarded = Guarded::start().await;
    let directory = tempfile::tempdir().unwrap();
    let setup = setup(&guarded.vault, approle(&file(&directory, "secret", "the-secret")));
    let signer = setup.start();
    signer.sign(task("first")).await.unwrap();
    for round in 0..3 {
        guarded.revoke();
        let callers: Vec<_> = (0..20).map(|n| signing(&signer, task(&format!("{round}-{n}")))).collect();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
    }
    signer.ready().await.unwrap();
    assert_eq!(guarded.logins().len(), 4);
}

#[tokio::test]
async fn tokens_that_die_while_a_call_is_under_way_cost_no_request() {
    let guarded = Guarded::start().await;
    let directory = tempfile::tempdir().unwrap();
    let setup = setup(&guarded.vault, approle(&file(&directory, "secret", "the-secret")));
    let signer = setup.start();
    signer.sign(task("first")).await.unwrap();
    // This one and the next two are dead when they are to sign.
    guarded.tokens.lock().unwrap().short_lived = 3;
    signer.sign(task("second")).await.unwrap();
    assert_eq!(guarded.logins().len(), 4);
}

#[tokio::test]
async fn a_jwt_is_read_anew_at_each_login() {
    for method in [AuthMethod::Jwt, AuthMethod::Kubernetes] {
        let guarded = Guarded::start().await;
        let directory = tempfile::tempdir().unwrap();
        let jwt_file = file(&directory, "jwt", "first");
        let auth = VaultAuthConfig {
            role: Some("signet".to_owned()),
            jwt_file: Some(jwt_file.clone()),
            ..VaultAuthConfig::new(method)
        };
        let setup = setup(&guarded.vault, auth);
        let signer = setup.start();
        signer.sign(task("a")).await.unwrap();
        std::fs::write(&jwt_file, "the second").unwrap();
        guarded.revoke();
        signer.sign(task("b")).await.unwrap();
        let shown: Vec<_> = guarded.logins().iter().map(|call| call.body["jwt"].clone()).collect();
        assert_eq!(shown, ["first", "the second"]);
    }
}

#[tokio::test]
async fn a_wrapping_token_is_opened_once_and_a_new_one_when_it_is_there() {
    let guarded = Guarded::start().await;
    let directory = tempfile::tempdir().unwrap();
    let secret_id_file = file(&directory, "secret", "wrapping-1\n");
    let setup = setup(&guarded.vault, VaultAuthConfig { wrapped: Some(true), ..approle(&secret_id_file) });
    let signer = setup.start();
    signer.sign(task("a")).await.unwrap();
    guarded.revoke();
    signer.sign(task("b")).await.unwrap();
    assert_eq!((guarded.vault.count("unwrap"), guarded.logins().len()), (1, 2));

    std::fs::write(&secret_id_file, "wrapping-number-2").unwrap();
    guarded.revoke();
    signer.sign(task("c")).await.unwrap();
    let shown: Vec<_> = guarded.logins().iter().map(|call| call.body["secret_id"].clone()).collect();
    assert_eq!(shown, ["secret-1", "secret-1", "secret-number-2"]);
}

#[tokio::test]
async fn a_wrapping_token_that_somebody_used_is_told_and_the_next_one_helps() {
    let guarded = Guarded::start().await;
    let directory = tempfile::tempdir().unwrap();
    let secret_id_file = file(&directory, "secret", "wrapping-used");
    let setup = setup(&guarded.vault, VaultAuthConfig { wrapped: Some(true), ..approle(&secret_id_file) });
    let signer = setup.start();
    let result = signer.sign(task("a")).await;
    assert!(
        matches!(&result, Err(SignerError::Denied { reason }) if reason.contains("somebody has used it")),
        "{result:?}"
    );
    assert!(guarded.logins().is_empty());
    std::fs::write(&secret_id_file, "wrapping-fresh").unwrap();
    until_signed(&signer).await;
}

#[tokio::test]
async fn a_refused_login_is_denied_at_once_without_the_secret_and_a_new_secret_helps() {
    let guarded = Guarded::start().await;
    guarded.refuse(true);
    let directory = tempfile::tempdir().unwrap();
    let secret_id_file = file(&directory, "secret", "hunter2");
    let setup = setup(&guarded.vault, approle(&secret_id_file));
    let signer = setup.start();
    for error in [signer.sign(task("a")).await.unwrap_err(), signer.ready().await.unwrap_err()] {
        let SignerError::Denied { reason } = &error else { panic!("{error:?}") };
        assert!(reason.contains("the login at auth/approle was refused: 400 Bad Request"), "{reason}");
        assert!(reason.contains("invalid secret_id") && !reason.contains("hunter2"), "{reason}");
    }
    assert_eq!(guarded.logins().len(), 1, "Vault would lock the role out");

    guarded.refuse(false);
    std::fs::write(&secret_id_file, "a better one").unwrap();
    until_signed(&signer).await;
}

#[tokio::test]
async fn a_credential_that_is_not_there_yet_is_named_until_it_is() {
    let guarded = Guarded::start().await;
    let directory = tempfile::tempdir().unwrap();
    let secret_id_file = directory.path().join("late-secret");
    let setup = setup(&guarded.vault, approle(&secret_id_file));
    let signer = setup.start();
    let result = signer.sign(task("a")).await;
    assert!(
        matches!(&result, Err(SignerError::Denied { reason }) if reason.contains("late-secret")),
        "{result:?}"
    );
    assert!(guarded.vault.calls().iter().all(|call| call.path == "sys/health"));
    std::fs::write(&secret_id_file, "the-secret").unwrap();
    until_signed(&signer).await;
}

#[tokio::test]
async fn a_certificate_that_is_none_is_named_and_not_quoted() {
    let vault = FakeVault::start().await;
    let directory = tempfile::tempdir().unwrap();
    let auth = VaultAuthConfig {
        cert_file: Some(file(&directory, "cert", "hunter2")),
        key_file: Some(file(&directory, "key", "hunter2")),
        ..VaultAuthConfig::new(AuthMethod::Cert)
    };
    let result = setup(&vault, auth).start().sign(task("a")).await;
    assert!(
        matches!(&result, Err(SignerError::Denied { reason })
            if reason.contains("vault.auth.cert_file") && !reason.contains("hunter2")),
        "{result:?}"
    );
}

#[tokio::test]
async fn an_answer_without_a_token_is_no_login() {
    let vault = FakeVault::start().await;
    let directory = tempfile::tempdir().unwrap();
    let secret = file(&directory, "secret", "the-secret");
    // Vault wants a second factor first: the token is empty.
    vault.script(|call| call.path.ends_with("/login").then(|| login("")));
    let result = setup(&vault, approle(&secret)).start().sign(task("a")).await;
    assert!(matches!(result, Err(SignerError::Denied { .. })), "{result:?}");
    assert!(vault.signing_calls().is_empty());
}

#[tokio::test]
async fn a_given_token_is_renewed_while_that_helps() {
    let vault = FakeVault::start().await;
    vault.script(|call| match call.path.as_str() {
        "auth/token/lookup-self" => {
            Some(data(&json!({"id": "good", "ttl": 1, "creation_ttl": 3600, "renewable": true})))
        }
        "auth/token/renew-self" => Some(login("good")),
        _ => None,
    });
    let setup = Setup::new(&vault);
    let signer = setup.start();
    until(|| vault.count("renew-self") == 1).await;
    let renewal = vault.calls().into_iter().find(|call| call.path.ends_with("renew-self")).unwrap();
    assert_eq!(renewal.header("x-vault-token"), Some("good"));
    signer.sign(task("a")).await.unwrap();
    assert_eq!(vault.count("renew-self"), 1, "it has an hour now");
}

/// Tries until a signature is made: what was written is noticed soon, and not at once.
async fn until_signed(signer: &crate::vault::TransitSigner) {
    let signing = async { while signer.sign(task("later")).await.is_err() {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), signing).await.expect("it never came to that");
}
