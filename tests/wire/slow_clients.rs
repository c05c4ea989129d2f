//! Slow and greedy clients: nobody holds a connection, and nobody keeps others out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::support::proxy::{is_signing, signing_calls};
use crate::support::world::Settings;
use crate::support::{Answer, Authority, Fault, World};

/// For a head, and for doing nothing: far enough from each other to be told apart.
const HEAD: Duration = Duration::from_millis(300);
const IDLE: Duration = Duration::from_millis(1500);

async fn impatient(more: &[&str]) -> World {
    impatient_with(more, Settings::default()).await
}

async fn impatient_with(more: &[&str], settings: Settings) -> World {
    let mut lines = vec![
        ("http", "header_read_timeout = '300ms'".to_owned()),
        ("http", "idle_timeout = '1500ms'".to_owned()),
    ];
    lines.extend(more.iter().map(|line| ("http", (*line).to_owned())));
    World::with(Settings { lines, ..settings }).await
}

fn address(world: &World) -> SocketAddr {
    let port = world.signet.api.rsplit(':').next().unwrap().parse().unwrap();
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(address(world)).await.unwrap()
}

/// A connection of another machine, as far as Signet can tell.
async fn connect_from(world: &World, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).unwrap();
    socket.connect(address(world)).await.unwrap()
}

/// What comes until the server closes, which it does within 30 s, and how long that took.
async fn until_closed(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let (began, mut all) = (Instant::now(), Vec::new());
    let ended = tokio::time::timeout(Duration::from_secs(30), async {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut part).await {
            all.extend_from_slice(&part[..length]);
        }
    });
    ended.await.expect("the server did not close the connection");
    (all, began.elapsed())
}

/// Asks for something small, and reads the whole answer.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET /nothing-here HTTP/1.1\r\nHost: signet\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await.unwrap();
        assert_ne!(length, 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..length]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 404"), "{:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn whoever_does_not_send_a_first_request_in_time_is_closed() {
    let world = impatient(&[]).await;
    for sent in [
        &b""[..],
        b"GET /v1/keys HTTP/1.1\r\nHost: sig",
        b"GET /v1/keys HTTP/1.1\r\nHost: signet\r\n",
        b"PRI * HTTP/2.0\r\n",
        // The preface, and settings: but no request.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ] {
        let mut stream = connect(&world).await;
        stream.write_all(sent).await.unwrap();
        let (_, took) = until_closed(&mut stream).await;
        assert!(took < IDLE * 4, "{took:?} for {:?}", String::from_utf8_lossy(sent));
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_has_no_more_time_than_another() {
    let world = impatient(&[]).await;
    let (mut read, mut write) = connect(&world).await.into_split();
    let trickle = tokio::spawn(async move {
        let mut pause = tokio::time::interval(HEAD / 10);
        write.write_all(b"GET /v1/keys HTTP/1.1\r\nX: ").await?;
        loop {
            pause.tick().await;
            write.write_all(b"x").await?;
        }
        #[expect(unreachable_code, reason = "names the error of the loop")]
        Ok::<(), std::io::Error>(())
    });
    let mut all = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), read.read_to_end(&mut all)).await;
    assert!(ended.is_ok(), "the server did not close the connection");
    trickle.abort();
}

#[tokio::test]
async fn a_connection_may_idle_between_requests_and_not_for_ever() {
    let world = impatient(&[]).await;
    let mut stream = connect(&world).await;
    ask(&mut stream).await;
    let (_, took) = until_closed(&mut stream).await;
    assert!(took >= IDLE - HEAD, "closed after {took:?}");

    // The second head has the time of a head.
    let mut stream = connect(&world).await;
    ask(&mut stream).await;
    stream.write_all(b"GET /v1/keys HTTP/1.1\r\n").await.unwrap();
    let (_, took) = until_closed(&mut stream).await;
    assert!(took >= HEAD - HEAD / 10, "closed after {took:?}");
}

/// `GET /nothing-here` as a frame of HTTP/2, with what comes before it.
fn http2_request(settings: &[u8]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, u8::try_from(settings.len()).unwrap(), 4, 0, 0, 0, 0, 0]);
    bytes.extend(settings);
    // GET and http from the static table, path and authority as they are (RFC 7541, section 6).
    let mut head = vec![0x82, 0x86, 0x04, 13];
    head.extend(b"/nothing-here");
    head.extend([0x01, 6]);
    head.extend(b"signet");
    // HEADERS of stream 1, whole, and the end of the request.
    bytes.extend([0, 0, u8::try_from(head.len()).unwrap(), 1, 5, 0, 0, 0, 1]);
    bytes.extend(head);
    bytes
}

#[tokio::test]
async fn an_idle_connection_of_http_2_is_closed_with_a_goodbye() {
    let world = impatient(&[]).await;
    let mut stream = connect(&world).await;
    stream.write_all(&http2_request(&[])).await.unwrap();
    let (all, took) = until_closed(&mut stream).await;
    assert!(took >= IDLE - HEAD, "closed after {took:?}");
    let text = String::from_utf8_lossy(&all);
    assert!(text.contains("not-found"), "the request was answered: {text:?}");
    // Type 7 of stream 0.
    assert!(all.windows(6).any(|frame| frame == [7, 0, 0, 0, 0, 0]), "GOAWAY: {all:?}");
}

#[tokio::test]
async fn whoever_does_not_take_an_answer_over_http_2_is_closed() {
    let world = impatient(&[]).await;
    let mut stream = connect(&world).await;
    // SETTINGS_INITIAL_WINDOW_SIZE = 0: no byte of a body may be sent.
    stream.write_all(&http2_request(&[0, 4, 0, 0, 0, 0])).await.unwrap();
    let (all, took) = until_closed(&mut stream).await;
    assert!(took >= IDLE - HEAD, "closed after {took:?}");
    assert!(!String::from_utf8_lossy(&all).contains("not-found"));
}

#[tokio::test]
async fn whoever_does_not_take_answers_over_http_1_is_closed() {
    let world = impatient(&[]).await;
    let (_read, mut write) = connect(&world).await.into_split();
    // Far more than the system keeps for a reader, so that the server comes to wait for this client.
    let refused = async {
        loop {
            let request = b"GET /openapi.json HTTP/1.1\r\nHost: signet\r\n\r\n".repeat(100);
            if write.write_all(&request).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), refused)
        .await
        .expect("the server did not close the connection");
}

#[tokio::test]
async fn a_tls_handshake_that_stalls_is_closed() {
    let authority = Arc::new(Authority::new("Private authority"));
    let world = impatient_with(&[], Settings { tls: Some(authority.clone()), ..Settings::default() }).await;
    // Nothing, half of a record, and something else than TLS.
    for sent in [&b""[..], &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = connect(&world).await;
        stream.write_all(sent).await.unwrap();
        until_closed(&mut stream).await;
    }
    let failed = async || (world.metric("signet_tls_handshakes_failed_total").await == 3.0).then_some(());
    world.eventually("all three are counted", failed).await;
    assert_eq!(world.get("/v1/keys").await.status, 200);
}

#[tokio::test]
async fn a_long_request_is_not_idle() {
    let world = impatient(&[]).await;
    world.public_key(1).await;
    let image = world.push_image().await;
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    world.vault_proxy.break_with(move |call| is_signing(call).then(|| Fault::Gate(closed.clone())));
    let open = async {
        // Another connection, that came later and idles, has been closed meanwhile.
        let asked = async || (!signing_calls(&world.vault_proxy.calls()).is_empty()).then_some(());
        world.eventually("the request waits in Vault", asked).await;
        let mut stream = connect(&world).await;
        ask(&mut stream).await;
        until_closed(&mut stream).await;
        gate.add_permits(1);
    };
    let (answer, ()) = tokio::join!(world.sign_image(&image), open);
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn a_head_beyond_its_limits_is_431_and_the_largest_token_is_401() {
    let world = World::start().await;
    let http2 = crate::support::servers::client_builder().http2_prior_knowledge().build().unwrap();
    let status = async |client: &reqwest::Client, value: String, many: usize| {
        let mut request = client.get(format!("{}/v1/log/entries", world.signet.api));
        for number in 0..many {
            request = request.header(format!("x-{number}"), "x");
        }
        request.header("Authorization", value).send().await.map(|answer| answer.status().as_u16())
    };
    let token = |bytes: usize| format!("Bearer {}", "x".repeat(bytes));
    for client in [&world.client, &http2] {
        assert_eq!(status(client, token(64 * 1024), 1).await.unwrap(), 401);
        // Where the client still writes, the connection may end before it reads the answer.
        let large = status(client, token(200 * 1024), 1).await;
        assert!(large.as_ref().is_ok_and(|status| *status == 431) || large.is_err(), "{large:?}");
    }
    assert_eq!(status(&world.client, token(1), 120).await.unwrap(), 431);

    let mut stream = connect(&world).await;
    let head = format!("GET /v1/keys HTTP/1.1\r\nHost: signet\r\nX: {}", "x".repeat(128 * 1024));
    stream.write_all(head.as_bytes()).await.unwrap();
    let (answer, _) = until_closed(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{:?}", String::from_utf8_lossy(&answer));
    assert_eq!(world.get("/v1/keys").await.status, 200);
}

#[tokio::test]
async fn a_flood_of_idle_connections_keeps_nobody_out() {
    // Not because their time is over: that would be in an hour.
    let lines = ["header_read_timeout = '1h'", "idle_timeout = '1h'", "max_connections = 8"];
    let lines = lines.map(|line| ("http", line.to_owned())).to_vec();
    let world = World::with(Settings { lines, ..Settings::default() }).await;
    let mut modest = connect(&world).await;
    ask(&mut modest).await;
    let greedy = Ipv4Addr::new(127, 0, 0, 2);
    let flood = join_all((0..24).map(|_| connect_from(&world, greedy))).await;
    // Connections of others are let in, and those that were there before stay.
    let fresh = crate::support::servers::client();
    let answer = fresh.get(format!("{}/v1/keys", world.signet.api)).bearer_auth(&world.token);
    assert_eq!(answer.send().await.unwrap().status(), 200);
    ask(&mut modest).await;
    drop(flood);
}

#[tokio::test]
async fn where_all_connections_are_busy_the_next_waits_until_one_is_not() {
    let lines = vec![("http", "max_connections = 2".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let images = join_all((0..3).map(|_| world.push_image())).await;
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    world.vault_proxy.break_with(move |call| is_signing(call).then(|| Fault::Gate(closed.clone())));
    let sign = async |image: &String| {
        let client = crate::support::servers::client_builder().http1_only().build().unwrap();
        let request = client.post(format!("{}/v1/signatures", world.signet.api)).bearer_auth(&world.token);
        Answer::read(request.json(&json!({"image": image})).send().await.unwrap()).await
    };
    let open = async {
        let busy = async || (world.metric("signet_requests_in_flight").await == 2.0).then_some(());
        world.eventually("two are busy", busy).await;
        gate.add_permits(10);
    };
    let (answers, ()) = tokio::join!(join_all(images.iter().map(sign)), open);
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
}
