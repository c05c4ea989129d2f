//! Against a server that answers as it is told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use tokio::net::TcpListener;

use super::*;

/// What a server saw of each request: path, `Idempotency-Key`, `Authorization`.
type Seen = Arc<Mutex<Vec<[String; 3]>>>;

/// A server that gives these answers, one after another, and the last one for ever.
async fn server(answers: Vec<(u16, &'static str, &'static str)>) -> (Server, Seen) {
    let seen = Seen::default();
    let kept = seen.clone();
    let answer = move |request: Request| {
        let header = |name: &str| {
            let value = request.headers().get(name).map(|value| value.to_str().unwrap());
            value.unwrap_or_default().to_owned()
        };
        let mut seen = kept.lock().unwrap();
        let (status, retry_after, body) = answers[seen.len().min(answers.len() - 1)];
        seen.push([request.uri().to_string(), header("idempotency-key"), header("authorization")]);
        let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
        let response = match retry_after {
            "" => response,
            seconds => response.header("retry-after", seconds),
        };
        std::future::ready(response.body(Body::from(body)).unwrap())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/signet/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (
        Server {
            url,
            token: Some("secret-token".to_owned().into()),
            ca_file: None,
            certificate: None,
            allow_plain_http: false,
        },
        seen,
    )
}

fn client(server: &Server, time: Duration) -> Client {
    install_crypto();
    let pauses = Pauses { first: Duration::from_millis(1), longest: Duration::from_millis(4) };
    Client::new(server, Patience::new(time, pauses, || 0.5, |_| {})).unwrap()
}

fn install_crypto() {
    // An error says that it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

const PROBLEM: &str = r#"{"code":"some-code","detail":"Do this.","request_id":"r"}"#;
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_may_pass_is_tried_again_with_the_same_key_and_the_token() {
    let answers = vec![(503, "", PROBLEM), (429, "0", PROBLEM), (502, "", "<html>"), (201, "", r#"{"a":1}"#)];
    let (server, seen) = server(answers).await;
    let extras = Extras { idempotency_key: Some("one".to_owned()), respond_async: false };
    let reply = client(&server, LONG).post("/v1/signatures", "{}".into(), &extras).await.unwrap();
    assert_eq!((reply.status, &reply.body["a"]), (201, &serde_json::json!(1)));
    let all: [String; 3] = ["/signet/v1/signatures", "one", "Bearer secret-token"].map(ToOwned::to_owned);
    assert_eq!(*seen.lock().unwrap(), vec![all; 4]);
}

#[tokio::test]
async fn a_refusal_is_final() {
    let statuses = [400, 401, 403, 404, 409, 413].map(|status| (status, "1"));
    for (status, retry_after) in statuses.into_iter().chain([(429, "")]) {
        let (server, seen) = server(vec![(status, retry_after, PROBLEM)]).await;
        let error = client(&server, LONG).get("/v1/keys").await.unwrap_err();
        let ClientError::Refused { refusal } = &error else { panic!("{status}: {error:?}") };
        assert_eq!((refusal.status, refusal.code.as_str()), (status, "some-code"));
        assert_eq!(error.to_string(), "Do this. (some-code, request r)");
        assert_eq!(seen.lock().unwrap().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn what_is_no_answer_of_signet_can_not_be_told() {
    for (status, body) in [(404, "not here"), (200, "<html>"), (307, ""), (403, "{}"), (500, PROBLEM)] {
        let (server, seen) = server(vec![(status, "", body)]).await;
        let error = client(&server, LONG).get("/v1/keys").await.unwrap_err();
        assert!(!matches!(error, ClientError::Refused { .. }), "{status}: {error:?}");
        assert_eq!(seen.lock().unwrap().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_wait_that_does_not_fit_the_time_is_not_begun() {
    let (server, seen) = server(vec![(503, "60", PROBLEM)]).await;
    let error = client(&server, Duration::from_secs(5)).get("/v1/keys").await.unwrap_err();
    assert!(matches!(&error, ClientError::Failed { refusal, .. } if refusal.status == 503), "{error:?}");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_until_the_time_is_over() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (mut server, _) = server(vec![(200, "", "{}")]).await;
    server.url = format!("http://{free}").parse().unwrap();
    let error = client(&server, Duration::from_millis(50)).get("/v1/keys").await.unwrap_err();
    assert!(error.may_pass() && error.to_string().contains(&free.to_string()), "{error}");
    assert!(!error.to_string().contains("secret-token"));
}

#[tokio::test]
async fn a_server_that_can_not_be_used_is_said_before_anything_is_sent() {
    install_crypto();
    let (good, _) = server(vec![(200, "", "{}")]).await;
    let patience = || Patience::new(LONG, Pauses::default(), || 0.5, |_| {});
    for (url, allow_plain_http, fits) in [
        ("https://signet.example.com", false, true),
        ("https://signet.example.com/below/", false, true),
        ("http://localhost:8080", false, true),
        ("http://[::1]:8080", false, true),
        ("http://signet.example.com", false, false),
        ("http://signet.example.com", true, true),
        ("https://user:password@signet.example.com", false, false),
        ("https://signet.example.com/?x", false, false),
        ("ftp://signet.example.com", true, false),
        ("data:text/plain,x", true, false),
    ] {
        let server = Server { url: url.parse().unwrap(), allow_plain_http, ..good.clone() };
        assert_eq!(Client::new(&server, patience()).is_ok(), fits, "{url}");
    }
    for token in ["", " ", "a b", "a\nb", "é\u{0}"] {
        let server = Server { token: Some(token.to_owned().into()), ..good.clone() };
        let error = Client::new(&server, patience()).unwrap_err();
        assert!(matches!(error, SetupError::Token), "{error}");
    }
    let files = CertificateFiles { cert: "/nowhere/client.pem".into(), key: "/nowhere/client.key".into() };
    let plain = Server { certificate: Some(files.clone()), ..good.clone() };
    assert!(matches!(Client::new(&plain, patience()), Err(SetupError::CertificateWithoutTls)));
    let url: Url = "https://signet.example.com".parse().unwrap();
    let unknown = Server { url: url.clone(), certificate: Some(files), ..good.clone() };
    let error = Client::new(&unknown, patience()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/client.key"), "{error}");
    let server = Server { url, ca_file: Some("/nowhere/ca.pem".into()), ..good };
    let error = Client::new(&server, patience()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_are_bounded() {
    let patience = Patience::new(Duration::from_secs(1000), Pauses::default(), || 0.5, |_| {});
    let mut waited = Vec::new();
    for attempts in 1..=8 {
        let began = tokio::time::Instant::now();
        assert!(patience.wait(attempts, None, &"busy").await);
        waited.push(began.elapsed().as_millis());
    }
    assert_eq!(waited, [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
}
