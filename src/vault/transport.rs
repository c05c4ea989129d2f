//! HTTP to the nodes of one Vault, and to nobody else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::header::LOCATION;
use http::{Request, Response, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity};
use rustify::errors::ClientError;
use tokio::time::Instant;
use url::{Origin, Url};

use super::signer::StartError;
use crate::authorities;
use crate::config::VaultConfig;

/// Sends requests to the configured address. A standby's redirect to a configured node is followed, and that node is
/// asked first from then on, until it fails; any other redirect is an answer, because the token would go along.
/// Proxies from the environment are not used, for the same reason.
///
/// Unlike rustify's own client it hands out every answer, whatever its status, with its headers:
/// `Retry-After` comes with statuses that are errors.
pub(super) struct Transport {
    http: ArcSwap<reqwest::Client>,
    connections: Connections,
    /// The configured address comes first.
    nodes: Vec<Node>,
    /// Which of the nodes is asked first.
    preferred: AtomicUsize,
}

/// How connections are made.
struct Connections {
    /// Those that may have signed Vault's certificate; none for the system's.
    authorities: Option<Vec<Certificate>>,
    timeout: Duration,
}

struct Node {
    origin: Origin,
    /// What every path is appended to: the address with the version of the API.
    base: String,
}

/// Vault was silent for so long when a connection was to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes of an answer. A group of 10,000 signatures, Vault's own limit, has about 2 MB.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// Nodes that are asked for one call: a node that was the active one, the configured address, and where that leads.
const MAX_NODES: usize = 3;

#[derive(Debug, thiserror::Error)]
#[error("the answer has more than {MAX_ANSWER} bytes")]
struct TooLarge;

impl Transport {
    /// # Errors
    /// Where an address or the authorities' file can not be used.
    pub(super) fn new(config: &VaultConfig) -> Result<Self, StartError> {
        let mut nodes = vec![Node::new("vault.address", &config.address)?];
        for address in &config.node_addresses {
            nodes.push(Node::new("vault.node_addresses", address)?);
        }
        let authorities = match &config.ca_file {
            // Reading the system's authorities takes time and memory that plain HTTP has no use for.
            _ if config.address.scheme() == "http" => Some(Vec::new()),
            Some(path) => Some(authorities::of_file(path)?),
            None => None,
        };
        let connections = Connections { authorities, timeout: config.request_timeout };
        let http = ArcSwap::from_pointee(connections.client(None)?);
        Ok(Self { http, connections, nodes, preferred: AtomicUsize::new(0) })
    }

    /// Connections that are made from now on show `identity`.
    ///
    /// # Errors
    /// Where certificate and key do not fit each other.
    pub(super) fn identify(&self, identity: Identity) -> Result<(), reqwest::Error> {
        self.http.store(self.connections.client(Some(identity))?.into());
        Ok(())
    }

    /// The answer of the node that can give one.
    async fn exchange(&self, request: &reqwest::Request) -> Result<reqwest::Response, reqwest::Error> {
        let deadline = Instant::now() + self.connections.timeout;
        let mut node = self.preferred.load(Ordering::Relaxed);
        let mut asked = 1;
        loop {
            let answer = self.http.load().execute(self.for_node(node, request, deadline)).await;
            match self.next(node, &answer) {
                Some(next) if asked < MAX_NODES => {
                    node = next;
                    asked += 1;
                }
                _ => return answer,
            }
        }
    }

    /// Who is to be asked instead of `node` after this answer. Later calls begin there.
    fn next(&self, node: usize, answer: &Result<reqwest::Response, reqwest::Error>) -> Option<usize> {
        let (better, ask_it) = match answer {
            Ok(answer) if is_redirect(answer.status()) => (self.known(answer)?, true),
            // It is the active node no more.
            Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => (0, true),
            Ok(_) => return None,
            // Where there was a connection, something may have been done.
            Err(error) => (0, error.is_connect()),
        };
        if better == node {
            return None;
        }
        self.preferred.store(better, Ordering::Relaxed);
        ask_it.then_some(better)
    }

    /// The same request for another node.
    fn for_node(&self, node: usize, request: &reqwest::Request, deadline: Instant) -> reqwest::Request {
        let mut request = request.try_clone().expect("invariant: a body in memory can be sent again");
        if node != 0 {
            let path = request.url().as_str().strip_prefix(&self.nodes[0].base);
            let path = path.expect("invariant: rustify appends every path to the base");
            let url = format!("{}{path}", self.nodes[node].base).parse();
            *request.url_mut() = url.expect("invariant: both halves are of URLs");
        }
        *request.timeout_mut() = Some(deadline.saturating_duration_since(Instant::now()));
        request
    }

    /// The configured node that a redirect leads to. What path it names does not matter: ours is asked for.
    fn known(&self, answer: &reqwest::Response) -> Option<usize> {
        let location = answer.headers().get(LOCATION)?.to_str().ok()?;
        let origin = Url::parse(location).ok()?.origin();
        self.nodes.iter().position(|node| node.origin == origin)
    }
}

#[async_trait]
impl rustify::client::Client for Transport {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        let request = reqwest::Request::try_from(request)
            .map_err(|source| ClientError::ReqwestBuildError { source })?;
        let mut answer = self.exchange(&request).await.map_err(|error| ClientError::RequestError {
            source: error.into(),
            url: request.url().to_string(),
            method: request.method().to_string(),
        })?;

        let mut response = Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        while let Some(chunk) =
            answer.chunk().await.map_err(|error| ClientError::ResponseError { source: error.into() })?
        {
            if response.body().len() + chunk.len() > MAX_ANSWER {
                return Err(ClientError::ResponseError { source: TooLarge.into() });
            }
            response.body_mut().extend_from_slice(&chunk);
        }
        Ok(response)
    }

    /// Sends, as above: no status is an error yet.
    async fn execute(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        self.send(request).await
    }

    fn base(&self) -> &str {
        &self.nodes[0].base
    }
}

impl Connections {
    fn client(&self, identity: Option<Identity>) -> Result<reqwest::Client, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        if let Some(authorities) = &self.authorities {
            builder = builder.tls_certs_only(authorities.clone());
        }
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
        builder.build()
    }
}

impl Node {
    fn new(setting: &'static str, address: &Url) -> Result<Self, StartError> {
        let wrong = |reason| StartError::Address { setting, reason };
        if !matches!(address.scheme(), "http" | "https") || address.host().is_none() {
            return Err(wrong("write it as `https://vault.example.com:8200`"));
        }
        if !address.username().is_empty() || address.password().is_some() {
            return Err(wrong("it may hold no user and no password: URLs end up in logs"));
        }
        if address.query().is_some() || address.fragment().is_some() {
            return Err(wrong("it may hold no `?` and no `#`"));
        }
        let base = format!("{}/v1", address.as_str().trim_end_matches('/'));
        Ok(Self { origin: address.origin(), base })
    }
}

/// The two that keep method and body. Vault uses the first.
const fn is_redirect(status: StatusCode) -> bool {
    matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}
