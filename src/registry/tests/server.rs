//! A web server that does what a test says, and tells what it was asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(super) struct Server {
    /// `127.0.0.1:<port>`
    pub(super) host: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// How many requests of this method and path came before.
    pub(super) before: usize,
}

impl Server {
    pub(super) async fn start(handler: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let handler = Arc::new(handler);
        let log = seen.clone();
        let router = Router::new().fallback(move |request: Request| {
            let (handler, log) = (handler.clone(), log.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 16 << 20).await.unwrap();
                let arrived = {
                    let mut log = log.lock().unwrap();
                    let (method, path) = (parts.method, parts.uri.path().to_owned());
                    let before = log.iter().filter(|seen| seen.is(&method, &path)).count();
                    let query = parts.uri.query().unwrap_or_default().to_owned();
                    let arrived = Seen { method, path, query, headers: parts.headers, body, before };
                    log.push(arrived.clone());
                    arrived
                };
                handler(&arrived)
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { host, seen, task }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// What was asked, in order, as `METHOD /path`.
    pub(super) fn calls(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }

    /// How many calls begin with `prefix`, as in `PUT /v2/app/manifests/`.
    pub(super) fn count(&self, prefix: &str) -> usize {
        self.calls().iter().filter(|call| call.starts_with(prefix)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    pub(super) fn is(&self, method: &Method, path: &str) -> bool {
        self.method == *method && self.path == path
    }

    pub(super) fn authorization(&self) -> Option<&str> {
        self.headers.get(AUTHORIZATION)?.to_str().ok()
    }

    /// The parameter `name` of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// What stands behind the last `/`.
    pub(super) fn last(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}
