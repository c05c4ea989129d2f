//! Being let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::ports::Registry as _;

/// A registry that wants tokens from `/token` of its own, where they are numbered from 1. It takes
/// those that `valid` says.
async fn token_registry(valid: impl Fn(usize) -> bool + Send + Sync + 'static) -> Server {
    let tokens = AtomicUsize::new(0);
    Server::start(move |seen| {
        if seen.path == "/token" {
            let number = tokens.fetch_add(1, Ordering::SeqCst) + 1;
            return json!({ "token": number.to_string(), "expires_in": 300 }).to_string().into_response();
        }
        let token = seen.authorization().and_then(|header| header.strip_prefix("Bearer "));
        match token.and_then(|token| token.parse().ok()) {
            Some(number) if valid(number) => status(404),
            _ => {
                let realm = format!("http://{}/token", seen.headers["host"].to_str().unwrap());
                challenge(&realm)
            }
        }
    })
    .await
}

fn challenge(realm: &str) -> Response {
    let header = format!(r#"Bearer realm="{realm}",service="registry",scope="repository:app:pull""#);
    with(status(401), "www-authenticate", &header)
}

#[tokio::test]
async fn one_token_serves_all_calls_of_a_repository() {
    let server = token_registry(|_| true).await;
    let config = config(&server, &json!({ "username": "signet", "password": "hunter2" }));
    let registries = client_with(&config);
    for path in ["app", "app", "team/app", "app"] {
        assert_eq!(registries.tagged(&repository(&server, path), "1").await.unwrap(), None);
    }
    let calls = server.calls();
    // Only the very first call is challenged.
    assert_eq!(
        calls,
        [
            "GET /v2/app/manifests/1",
            "GET /token",
            "GET /v2/app/manifests/1",
            "GET /v2/app/manifests/1",
            "GET /token",
            "GET /v2/team/app/manifests/1",
            "GET /v2/app/manifests/1",
        ]
    );
    let asked = server.seen().into_iter().find(|seen| seen.path == "/token").unwrap();
    assert_eq!(asked.parameter("service").as_deref(), Some("registry"));
    assert_eq!(asked.parameter("scope").as_deref(), Some("repository:app:pull,push"));
    assert_eq!(asked.authorization(), Some(&*format!("Basic {}", STANDARD.encode("signet:hunter2"))));
}

#[tokio::test]
async fn callers_who_come_at_once_share_a_token() {
    let server = token_registry(|_| true).await;
    let registries = client(&server);
    let repository = repository(&server, "app");
    let calls = (0..16).map(|_| registries.tagged(&repository, "1"));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap(), None);
    }
    assert_eq!(server.count("GET /token"), 1);
}

#[tokio::test]
async fn a_token_service_that_asks_for_fewer_requests_is_left_alone() {
    let server = Server::start(|seen| match seen.path.as_str() {
        "/token" => with(status(429), "retry-after", "60"),
        _ => challenge(&format!("http://{}/token", seen.headers["host"].to_str().unwrap())),
    })
    .await;
    let registries = client(&server);
    let repositories = ["app", "app", "app", "app"].map(|name| repository(&server, name));
    let calls = repositories.iter().map(|repository| registries.tagged(repository, "1"));
    let mut answers = futures::future::join_all(calls).await;
    answers.push(registries.tagged(&repository(&server, "other"), "1").await);
    for answer in answers {
        let asked = Duration::from_secs(50)..=Duration::from_secs(60);
        let error = answer.unwrap_err();
        assert!(
            matches!(&error, RegistryError::TooManyRequests { retry_after: Some(after), .. } if asked.contains(after)),
            "{error:?}"
        );
    }
    assert_eq!(server.count("GET /token"), 1);
}

#[tokio::test]
async fn who_waited_for_a_token_service_under_load_gets_a_token_all_the_same() {
    let server = Server::start(|seen| match (seen.path.as_str(), seen.authorization()) {
        ("/token", _) if seen.before == 0 => status(429),
        ("/token", _) => json!({ "token": "t" }).to_string().into_response(),
        (_, Some("Bearer t")) => status(404),
        _ => challenge(&format!("http://{}/token", seen.headers["host"].to_str().unwrap())),
    })
    .await;
    let registries = client(&server);
    let repository = repository(&server, "app");
    for answer in futures::future::join_all((0..16).map(|_| registries.tagged(&repository, "1"))).await {
        assert_eq!(answer.unwrap(), None);
    }
    assert_eq!(server.count("GET /token"), 2);
}

/// GitLab's registry says with 401 that a tag is protected.
#[tokio::test]
async fn a_401_that_speaks_of_the_tag_is_not_taken_for_a_token_that_expired() {
    let tokens = AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        let challenge = || challenge(&format!("http://{}/token", seen.headers["host"].to_str().unwrap()));
        match (seen.path.as_str(), seen.authorization()) {
            ("/token", _) => {
                let number = tokens.fetch_add(1, Ordering::SeqCst);
                json!({ "token": number.to_string() }).to_string().into_response()
            }
            (_, None) => challenge(),
            ("/v2/app/manifests/1", _) if seen.method == http::Method::PUT => {
                let body = json!({"errors": [{"code": "DENIED", "detail": "tag \"1\" is protected"}]});
                let mut answer = challenge();
                *answer.body_mut() = body.to_string().into();
                answer
            }
            (path, _) if path.contains("/uploads/") => status(201),
            _ => problem(404, "MANIFEST_UNKNOWN"),
        }
    })
    .await;
    let registries = client(&server);
    let line = super::attach::Line("ours".to_owned());
    let error = registries.update_tag(&repository(&server, "app"), "1", None, &line).await.unwrap_err();
    assert!(matches!(&error, RegistryError::TagProtected { .. }), "{error:?}");
    assert_eq!(server.count("GET /token"), 2);
    assert_eq!(server.count("PUT "), 2);
}

#[tokio::test]
async fn a_token_is_fetched_again_before_it_expires() {
    let server = token_registry(|_| true).await;
    let registries = client(&server);
    let repository = repository(&server, "app");
    for (seconds, tokens) in [(0, 1), (260, 1), (20, 2)] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
        registries.tagged(&repository, "1").await.unwrap();
        assert_eq!(server.count("GET /token"), tokens);
    }
}

#[tokio::test]
async fn a_token_that_was_withdrawn_is_replaced_once() {
    let withdrawn = Arc::new(AtomicUsize::new(0));
    let until = withdrawn.clone();
    let server = token_registry(move |number| number > until.load(Ordering::SeqCst)).await;
    let registries = client(&server);
    let repository = repository(&server, "app");
    registries.tagged(&repository, "1").await.unwrap();
    withdrawn.store(1, Ordering::SeqCst);
    registries.tagged(&repository, "1").await.unwrap();
    assert_eq!(server.count("GET /token"), 2);

    withdrawn.store(usize::MAX, Ordering::SeqCst);
    let error = registries.tagged(&repository, "1").await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    assert_eq!(server.count("GET /token"), 3);
}

#[tokio::test]
async fn a_foreign_token_service_is_not_contacted() {
    let foreign = Server::start(|_| json!({ "token": "t" }).to_string().into_response()).await;
    let realm = format!("http://{}/token", foreign.host);
    let server = Server::start(move |seen| match seen.authorization() {
        Some("Bearer t") => status(404),
        _ => challenge(&realm),
    })
    .await;
    let repository = repository(&server, "app");
    let mut config = config(&server, &json!({ "username": "signet", "password": "hunter2" }));
    let error = client_with(&config).tagged(&repository, "1").await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Denied { reason, .. } if reason.contains("token_hosts")),
        "{error:?}"
    );
    assert_eq!(foreign.calls().len(), 0);

    config.token_hosts = vec![foreign.host.clone()];
    assert_eq!(client_with(&config).tagged(&repository, "1").await.unwrap(), None);
    assert_eq!(foreign.calls().len(), 1);
}

#[tokio::test]
async fn what_a_token_service_answers_is_told_apart() {
    let answers: [(Answer, usize, Expected); 6] = [
        (|| status(401), 1, |error| matches!(error, RegistryError::Denied { .. })),
        (|| status(403), 1, |error| matches!(error, RegistryError::Denied { .. })),
        (|| status(429), 3, |error| matches!(error, RegistryError::TooManyRequests { .. })),
        (|| status(500), 3, |error| matches!(error, RegistryError::Unavailable { .. })),
        (|| status(200), 1, |error| matches!(error, RegistryError::Protocol { .. })),
        (
            || with(status(302), "location", "/other"),
            1,
            |error| matches!(error, RegistryError::Protocol { .. }),
        ),
    ];
    for (answer, attempts, expected) in answers {
        let server = Server::start(move |seen| match seen.path.as_str() {
            "/token" => answer(),
            _ => challenge(&format!("http://{}/token", seen.headers["host"].to_str().unwrap())),
        })
        .await;
        let config = config(&server, &json!({ "username": "signet", "password": "hunter2" }));
        let error = client_with(&config).tagged(&repository(&server, "app"), "1").await.unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"));
        assert_eq!(server.count("GET /token"), attempts, "{error:?}");
    }
}

#[tokio::test]
async fn a_password_is_sent_once_it_was_asked_for_and_read_again_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "old").unwrap();
    let server = Server::start(|seen| match seen.authorization() {
        Some(header) if header == format!("Basic {}", STANDARD.encode("signet:newer")) => status(404),
        _ => with(problem(401, "UNAUTHORIZED"), "www-authenticate", r#"Basic realm="registry""#),
    })
    .await;
    let registries = client_with(&config(&server, &json!({ "username": "signet", "password_file": file })));
    let repository = repository(&server, "app");

    let error = registries.tagged(&repository, "1").await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Denied { reason, .. } if reason.contains("UNAUTHORIZED")),
        "{error:?}"
    );
    assert_eq!(server.calls().len(), 2);

    std::fs::write(&file, "newer\n").unwrap();
    assert_eq!(registries.tagged(&repository, "1").await.unwrap(), None);
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn a_registry_that_wants_a_password_is_told_that_there_is_none() {
    let server = Server::start(|_| with(status(401), "www-authenticate", r#"Basic realm="registry""#)).await;
    let error = client(&server).tagged(&repository(&server, "app"), "1").await.unwrap_err();
    assert!(matches!(&error, RegistryError::Denied { reason, .. } if reason.contains("none are configured")));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn a_configuration_that_can_not_be_used_names_the_host_and_the_file() {
    install_crypto();
    let server = Server::start(|_| status(404)).await;
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for (more, part) in [
        (json!({ "username": "signet" }), "`password_file`"),
        (json!({ "password": "hunter2" }), "`username`"),
        (json!({ "username": "signet", "password_file": "/nowhere/password" }), "/nowhere/password"),
        (json!({ "docker_config_file": "/nowhere/config.json" }), "/nowhere/config.json"),
        (json!({ "docker_config_file": empty }), "empty.pem"),
        (json!({ "docker_config_file": empty, "username": "signet" }), "either"),
        (json!({ "ca_file": "/nowhere/ca.pem" }), "/nowhere/ca.pem"),
        (json!({ "ca_file": empty }), "empty.pem"),
        (json!({ "token_hosts": ["https://auth.example.com"] }), "token_hosts"),
        (json!({ "host": "registry.example.com/team" }), "`host`"),
    ] {
        let config = config(&server, &more);
        let error = OciRegistries::new(std::slice::from_ref(&config), Arc::new(Metrics::new())).unwrap_err();
        assert_eq!(error.host, config.host);
        assert!(error.reason.contains(part) && !error.reason.contains("hunter2"), "{error}");
    }
    let config = config(&server, &json!({}));
    let error = OciRegistries::new(&[config.clone(), config], Arc::new(Metrics::new())).unwrap_err();
    assert!(error.reason.contains("two sections"), "{error}");
}
