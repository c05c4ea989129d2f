//! The admin listener, the log's lines, and `signet healthcheck`.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::proxy::is_signing;
use crate::support::world::Settings;
use crate::support::{Fault, World};

#[tokio::test]
async fn livez_never_asks_vault_and_readyz_asks_once_for_all() {
    let world = World::counted().await;
    for _ in 0..5 {
        let answer = world.client.get(format!("{}/livez", world.signet.admin)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "ok\n"));
    }
    world.assert_untouched();
    for answer in futures::future::join_all((0..20).map(|_| world.readiness())).await {
        assert_eq!(answer.status, 200, "{answer:?}");
        let checks = json!({"vault": "ok", "log": "ok", "policy": "ok", "draining": false});
        let text = std::fs::read(world.directory.path().join("policy.yaml")).unwrap();
        let policy = json!({"digest": signet::domain::Digest::of(&text).to_string(), "rules": 2});
        assert_eq!(answer.body, json!({"status": "ready", "checks": checks, "policy": policy}));
    }
    let calls = world.vault_proxy.take_calls();
    assert!((1..=2).contains(&calls.len()), "{calls:?}");
    world.vault_proxy.break_with(|_| Some(Fault::Cut));
    world.registry_proxy.break_with(|_| Some(Fault::Cut));
    let answer = world.client.get(format!("{}/livez", world.signet.admin)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn readyz_says_why_a_newer_policy_is_not_in_force_and_stays_ready() {
    let world = World::counted().await;
    let before = world.readiness().await.body;
    world.write_policy("  - id: nonsense\n    efect: allow\n");
    let refused = async || {
        let answer = world.readiness().await;
        (answer.body["checks"]["policy"] != "ok").then_some(answer)
    };
    let answer = world.eventually("the new file is refused", refused).await;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("ready")), "{answer:?}");
    assert!(answer.body["checks"]["policy"].as_str().unwrap().contains("efect"), "{answer:?}");
    assert_eq!(answer.body["policy"], before["policy"], "the one before is in force");
}

#[tokio::test]
async fn the_admin_listener_and_the_api_are_apart() {
    let world = World::counted().await;
    for path in ["/v1/keys", "/v1/log/entries", "/openapi.json", "/docs/"] {
        let request = world.client.get(format!("{}{path}", world.signet.admin)).bearer_auth(&world.token);
        assert_eq!(request.send().await.unwrap().status(), 404, "{path}");
    }
}

#[tokio::test]
async fn metrics_count_what_happened_and_callers_can_not_invent_labels() {
    let world = World::counted().await;
    let (image, other) = (world.push_image().await, world.push_image().await);
    assert_eq!(world.sign_image(&image).await.status, 201);
    assert_eq!(world.sign_image(&image).await.status, 200);
    assert_eq!(world.sign(json!({"image": "x"})).await.status, 400);
    assert_eq!(world.get("/no/such/4711").await.status, 404);
    let strange = reqwest::Method::from_bytes(b"BREW4711").unwrap();
    let strange = world.client.request(strange, format!("{}/v1/keys", world.signet.api)).send().await;
    assert_eq!(strange.unwrap().status(), 405);
    world.vault_proxy.break_with(|call| is_signing(call).then(|| Fault::status(500)));
    assert_eq!(world.sign_image(&other).await.status, 503);
    world.vault_proxy.mend();

    let host = world.registry_proxy.address;
    let sign = |status| {
        format!("signet_http_requests_total{{route=\"/v1/signatures\",method=\"POST\",status=\"{status}\"}}")
    };
    for (name, value) in [
        (sign(201), 1.0),
        (sign(200), 1.0),
        (sign(400), 1.0),
        (sign(503), 1.0),
        ("signet_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"}".to_owned(), 1.0),
        ("signet_vault_calls_total{operation=\"sign\",outcome=\"200\"}".to_owned(), 1.0),
        ("signet_vault_calls_total{operation=\"sign\",outcome=\"500\"}".to_owned(), 1.0),
        ("signet_vault_batch_items_count".to_owned(), 2.0),
        (
            format!(
                "signet_registry_calls_total{{host=\"{host}\",operation=\"put_manifest\",outcome=\"201\"}}"
            ),
            1.0,
        ),
        // Of the service itself: its start, its configuration, its policy, the versions of two keys. Of the requests: an intent, an
        // outcome, an attachment; an intent and a failure.
        ("signet_log_entries_total".to_owned(), 10.0),
        ("signet_log_refusals_dropped_total".to_owned(), 0.0),
        ("signet_log_offers_dropped_total".to_owned(), 0.0),
        ("signet_signing_queue".to_owned(), 0.0),
        ("signet_requests_in_flight".to_owned(), 0.0),
        ("signet_requests_waiting".to_owned(), 0.0),
    ] {
        assert_eq!(world.metric(&name).await, value, "{name}\n{}", world.metrics().await);
    }
    let text = world.metrics().await;
    for name in [
        "signet_http_requests_duration_seconds_bucket",
        "signet_vault_calls_duration_seconds_bucket",
        "signet_registry_calls_duration_seconds_bucket",
        "signet_log_commit_seconds_bucket",
    ] {
        assert!(text.contains(name), "{name}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("4711"), "{text}");
    let answer = world.client.get(format!("{}/metrics", world.signet.admin)).send().await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
}

#[tokio::test]
async fn log_lines_are_json_with_the_requests_id_and_neither_they_nor_metrics_show_a_secret() {
    let world = World::counted().await;
    let (revoked, body_secret) = (world.new_vault_token().await, "hunter2-in-a-body");
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    world.vault_call(reqwest::Method::POST, "auth/token/revoke", json!({"token": revoked})).await;
    world.write_vault_token(&revoked);
    let failing = world.push_image().await;
    let request = world.client.post(format!("{}/v1/signatures", world.signet.api));
    let request = request.bearer_auth(&world.token).header("X-Request-Id", "job-4711");
    let answer = request.body(json!({"image": failing}).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 502);
    // Whatever is wrong with a request, what it holds is not written down.
    for (token, body) in [
        ("wrong-hunter2", json!({"image": failing}).to_string()),
        (world.token.as_str(), format!("{{\"token\": \"{body_secret}\"}}")),
        (world.token.as_str(), body_secret.to_owned()),
        (world.outsider.as_str(), json!({"image": failing, "annotations": {"k": body_secret}}).to_string()),
    ] {
        assert!(world.post("/v1/signatures", token, body).await.status.is_client_error());
    }
    assert_eq!(world.get(&format!("/v1/log/entries?token={body_secret}")).await.status, 400);

    let lines = world.signet.log_lines();
    let mut about_the_job = 0;
    for line in &lines {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "message", "target"] {
            assert!(value[field].is_string(), "{field}: {line}");
        }
        about_the_job += usize::from(value["span"]["request_id"] == "job-4711");
    }
    assert!(about_the_job >= 2, "the failure and the answer: {lines:#?}");
    let all = lines.concat() + &world.metrics().await + &world.readiness().await.body.to_string();
    let mut secrets = world.tokens();
    secrets.extend([revoked, body_secret.to_owned(), "wrong-hunter2".to_owned()]);
    secrets.extend(
        world.tokens().iter().map(|token| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(token))),
    );
    for secret in secrets {
        assert!(!all.contains(&secret), "{secret} is in\n{all}");
    }
}

#[tokio::test]
async fn healthcheck_tells_by_its_exit_code_whether_the_service_is_ready() {
    let mut world = World::counted_with(Settings::default()).await;
    let config = config_of_the_running(&world);
    let ready = healthcheck(&config, &[]).await;
    assert_eq!(ready.status.code(), Some(0), "{ready:?}");
    assert!(String::from_utf8_lossy(&ready.stdout).contains("\"ready\""));

    world.vault_proxy.break_with(|_| Some(Fault::Cut));
    world
        .eventually("it is not ready", async || {
            (healthcheck(&config, &[]).await.status.code() == Some(1)).then_some(())
        })
        .await;
    assert_eq!(healthcheck(&config, &["--live"]).await.status.code(), Some(0));

    world.signet.terminate();
    assert_eq!(world.signet.wait().await.code(), Some(0));
    for arguments in [&[][..], &["--live"]] {
        let stopped = healthcheck(&config, arguments).await;
        assert_eq!(stopped.status.code(), Some(3), "{stopped:?}");
        assert!(!stopped.stderr.is_empty());
    }
    assert_eq!(healthcheck(&world.directory.path().join("no-such.toml"), &[]).await.status.code(), Some(2));
}

/// The configuration with the port that the system chose.
fn config_of_the_running(world: &World) -> PathBuf {
    let text = std::fs::read_to_string(world.directory.path().join("signet.toml")).unwrap();
    let admin = world.signet.admin.trim_start_matches("http://");
    let text = text.replace("admin_listen = '127.0.0.1:0'", &format!("admin_listen = '{admin}'"));
    let path = world.directory.path().join("healthcheck.toml");
    std::fs::write(&path, text).unwrap();
    path
}

async fn healthcheck(config: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
    command.arg("healthcheck").arg("--config").arg(config).args(arguments);
    // This thread serves the proxies.
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}
