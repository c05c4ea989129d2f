//! Those who collect logs: a receiver of syslog and one that is posted to, which do what a test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Authority;

/// Takes what is sent, and keeps it. Ends with its runtime.
#[derive(Clone)]
pub struct Receiver {
    /// `localhost:port`
    pub address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What was taken, message by message.
    messages: Vec<String>,
    /// The heads of requests that were posted.
    heads: Vec<String>,
    /// What to do with the next connections or requests; with those behind, to take them.
    manners: VecDeque<Manner>,
}

/// What becomes of a connection or a request.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// It is cut off after so many bytes, with more of them unread.
    CutAfter(usize),
    /// This status, for what is posted.
    Status(u16),
}

impl Receiver {
    /// Frames of RFC 6587 over TCP, or over TLS with a certificate of `authority`.
    pub async fn syslog(authority: Option<&Authority>) -> Self {
        Self::start(authority, |receiver, stream| async move { receiver.read_frames(stream).await }).await
    }

    /// What is posted over HTTP/1.1, or HTTPS with a certificate of `authority`.
    pub async fn http(authority: Option<&Authority>) -> Self {
        Self::start(authority, |receiver, stream| async move { receiver.read_posts(stream).await }).await
    }

    async fn start<F: Future<Output = Option<()>> + Send + 'static>(
        authority: Option<&Authority>,
        serve: impl Fn(Self, Box<dyn Stream>) -> F + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let this = Self { address, state: Arc::default() };
        let (receiver, acceptor) = (this.clone(), authority.map(acceptor));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (receiver, acceptor, serve) = (receiver.clone(), acceptor.clone(), serve.clone());
                tokio::spawn(async move {
                    let stream: Box<dyn Stream> = match acceptor {
                        None => Box::new(stream),
                        Some(acceptor) => Box::new(acceptor.accept(stream).await.ok()?),
                    };
                    serve(receiver, stream).await
                });
            }
        });
        this
    }

    /// Does this with what comes next.
    pub fn next(&self, manners: impl IntoIterator<Item = Manner>) {
        self.state.lock().unwrap().manners.extend(manners);
    }

    /// What was taken so far.
    pub fn messages(&self) -> Vec<String> {
        self.state.lock().unwrap().messages.clone()
    }

    pub fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().heads.clone()
    }

    /// The indexes of the entries that were taken, in the order in which each came for the first time.
    pub fn indexes(&self) -> Vec<u64> {
        let mut indexes = Vec::new();
        for message in self.messages() {
            let text = message.split_once("] ").map_or(message.as_str(), |(_, text)| text);
            let index = serde_json::from_str::<Value>(text).unwrap()["index"].as_u64().unwrap();
            if !indexes.contains(&index) {
                indexes.push(index);
            }
        }
        indexes
    }

    fn manner(&self) -> Option<Manner> {
        self.state.lock().unwrap().manners.pop_front()
    }

    async fn read_frames(self, mut stream: Box<dyn Stream>) -> Option<()> {
        let mut bytes = Vec::new();
        if let Some(Manner::CutAfter(limit)) = self.manner() {
            let mut some = vec![0; limit];
            return stream.read_exact(&mut some).await.ok().map(drop);
        }
        stream.read_to_end(&mut bytes).await.ok()?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let blank = rest.iter().position(|b| *b == b' ').unwrap();
            let length: usize = std::str::from_utf8(&rest[..blank]).unwrap().parse().unwrap();
            let (message, behind) = rest[blank + 1..].split_at(length);
            self.state.lock().unwrap().messages.push(String::from_utf8(message.to_vec()).unwrap());
            rest = behind;
        }
        stream.shutdown().await.ok()
    }

    async fn read_posts(self, mut stream: Box<dyn Stream>) -> Option<()> {
        let mut bytes = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                    break end + 4;
                }
                if stream.read_buf(&mut bytes).await.ok()? == 0 {
                    return None;
                }
            };
            let head = String::from_utf8(bytes.drain(..end).collect()).unwrap().to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap().trim().parse().unwrap();
            while bytes.len() < length {
                stream.read_buf(&mut bytes).await.ok()?;
            }
            let body = String::from_utf8(bytes.drain(..length).collect()).unwrap();
            let status = match self.manner() {
                Some(Manner::CutAfter(_)) => return None,
                Some(Manner::Status(status)) => status,
                None => 200,
            };
            {
                let mut state = self.state.lock().unwrap();
                state.heads.push(head);
                if status == 200 {
                    state.messages.extend(body.lines().map(str::to_owned));
                }
            }
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.ok()?;
        }
    }
}

/// Bytes in both directions.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let pair = authority.server("receiver");
    let certificate = CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()))
}

/// An address at which nobody listens, for as long as this lives: its port is bound, so that no other test can get it, and
/// connections to it are refused.
pub struct Away(tokio::net::TcpSocket);

impl Away {
    pub fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }
}
