//! A reverse proxy that counts what passes and breaks what it is told to break.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use futures::stream;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::servers;

/// One request that arrived.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What happens instead of passing a request on.
#[derive(Clone)]
pub enum Fault {
    /// This answer, and the server never hears of the request.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// The connection closes without an answer.
    Cut,
    /// The answer begins, and the connection closes in its middle.
    CutAnswer,
    /// An answer that announces so many bytes, and never sends one.
    Announce(u64),
    /// The request is passed on with one more header.
    AddHeader(&'static str, &'static str),
    /// The request is passed on, and its answer is lost.
    LoseAnswer,
    /// The request is passed on, and its answer's body arrives changed.
    Change(BodyChange),
    /// The request is passed on as one for this path.
    At(String),
    /// The request is passed on, and its answer arrives without this header.
    Without(&'static str),
    /// Nothing ever comes back.
    Hang,
    /// The request waits for a permit, then passes.
    Gate(Arc<Semaphore>),
}

impl Fault {
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: "{}".to_owned() }
    }
}

type BodyChange = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;
type Choice = Box<dyn Fn(&Call) -> bool + Send + Sync>;
type Rule = Box<dyn Fn(&Call) -> Option<Fault> + Send + Sync>;

/// Clones share everything.
#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    client: reqwest::Client,
    calls: Mutex<Vec<Call>>,
    /// Which calls are counted apart.
    apart: Mutex<Choice>,
    calls_apart: Mutex<Vec<Call>>,
    rule: Mutex<Rule>,
}

impl Proxy {
    /// In front of `upstream` (`http://host:port`), on a free port until the test's runtime ends.
    pub async fn start(upstream: &str) -> Self {
        Self::start_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(), upstream)
    }

    /// As [`Proxy::start`], where somebody has chosen the port.
    pub fn start_on(listener: TcpListener, upstream: &str) -> Self {
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            client: servers::client(),
            calls: Mutex::default(),
            apart: Mutex::new(Box::new(|_| false)),
            calls_apart: Mutex::default(),
            rule: Mutex::new(Box::new(|_| None)),
        });
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on `rule` decides for each request; `None` lets it pass.
    pub fn break_with(&self, rule: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
    }

    /// From now on everything passes.
    pub fn mend(&self) {
        self.break_with(|_| None);
    }

    /// From now on such calls are in [`Proxy::take_calls_apart`], and not among the others: what a service does by itself,
    /// and when it likes. They are passed on and broken like all others.
    pub fn count_apart(&self, which: impl Fn(&Call) -> bool + Send + Sync + 'static) {
        *self.shared.apart.lock().unwrap() = Box::new(which);
    }

    /// Of the calls that are counted apart, what arrived since the last call of this function.
    pub fn take_calls_apart(&self) -> Vec<Call> {
        std::mem::take(&mut *self.shared.calls_apart.lock().unwrap())
    }

    /// What arrived since the last call of this function.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.shared.calls.lock().unwrap())
    }

    /// What arrived so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }
}

/// The requests that ask Vault for signatures.
pub fn signing_calls(calls: &[Call]) -> Vec<&Call> {
    calls.iter().filter(|call| is_signing(call)).collect()
}

/// Whether a call asks for a signature that somebody wants: the log's own key, as [`super::World`] names it, signs
/// checkpoints.
pub fn is_signing(call: &Call) -> bool {
    call.path.contains("/sign/") && !call.path.contains("/log-key-")
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let shared = shared.clone();
            async move { answer(&shared, request.map(Body::new)).await }
        });
        tokio::spawn(async move {
            // An error is how a cut connection ends.
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
                .await;
        });
    }
}

/// An error closes the connection without an answer.
async fn answer(shared: &Shared, request: Request<Body>) -> Result<Response<Body>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(std::io::Error::other)?;
    let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let call = Call { method: parts.method, path, headers: parts.headers, body };
    let counted = match (shared.apart.lock().unwrap())(&call) {
        true => &shared.calls_apart,
        false => &shared.calls,
    };
    counted.lock().unwrap().push(call.clone());
    let fault = (shared.rule.lock().unwrap())(&call);
    match fault {
        None => forward(shared, call).await,
        Some(Fault::Gate(gate)) => {
            gate.acquire().await.map_err(std::io::Error::other)?.forget();
            forward(shared, call).await
        }
        Some(Fault::Answer { status, headers, body }) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            Ok(response)
        }
        Some(Fault::AddHeader(name, value)) => {
            let mut call = call;
            call.headers.insert(name, value.parse().unwrap());
            forward(shared, call).await
        }
        Some(Fault::Cut) => Err(std::io::Error::other("cut")),
        Some(Fault::LoseAnswer) => {
            forward(shared, call).await?;
            Err(std::io::Error::other("lost"))
        }
        Some(Fault::Change(change)) => {
            let (mut parts, body) = forward(shared, call).await?.into_parts();
            let body = change(&to_bytes(body, usize::MAX).await.map_err(std::io::Error::other)?);
            parts.headers.remove(header::CONTENT_LENGTH);
            Ok(Response::from_parts(parts, Body::from(body)))
        }
        Some(Fault::At(path)) => forward(shared, Call { path, ..call }).await,
        Some(Fault::Without(header)) => {
            let mut answer = forward(shared, call).await?;
            answer.headers_mut().remove(header);
            Ok(answer)
        }
        Some(Fault::CutAnswer) => {
            let parts = [Ok(Bytes::from_static(b"{\"half\":")), Err(std::io::Error::other("cut"))];
            let mut response = Response::new(Body::from_stream(stream::iter(parts)));
            response.headers_mut().insert(header::CONTENT_LENGTH, 1000.into());
            Ok(response)
        }
        Some(Fault::Announce(bytes)) => {
            let nothing = stream::pending::<Result<Bytes, std::io::Error>>();
            let mut response = Response::new(Body::from_stream(nothing));
            response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
            Ok(response)
        }
        Some(Fault::Hang) => std::future::pending().await,
    }
}

async fn forward(shared: &Shared, call: Call) -> Result<Response<Body>, std::io::Error> {
    let url = format!("{}{}", shared.upstream, call.path);
    // The Host header passes too, so that the URLs in answers point here.
    let request = shared.client.request(call.method, url).headers(call.headers).body(call.body);
    let response = request.send().await.map_err(std::io::Error::other)?;
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    answer.headers_mut().remove(header::TRANSFER_ENCODING);
    *answer.body_mut() = Body::from(response.bytes().await.map_err(std::io::Error::other)?);
    Ok(answer)
}
