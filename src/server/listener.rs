//! One listening socket with its HTTP server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use super::connection::{Connections, Encryption};
use super::crowd::Crowd;
use crate::config::HttpConfig;

/// A served socket.
pub struct Listener {
    pub address: SocketAddr,
    stop: Stop,
    accepting: JoinHandle<()>,
    open: TaskTracker,
}

/// How patient a listener is.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// For a TLS handshake, for the first request after it, and for the head of each request from its first byte on.
    pub header_read_timeout: Duration,
    /// How long a connection may stay without a request, or without taking an answer.
    pub idle_timeout: Duration,
    /// At once. Beyond, whoever comes takes the place of a connection on which nothing has been under way for a second,
    /// first of all one of the peer that has most of them; where there is none such, it waits.
    pub max_connections: usize,
}

/// The two steps of an end.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    /// Nothing new is begun.
    pub(super) begin: CancellationToken,
    /// What is under way is cut.
    pub(super) now: CancellationToken,
}

impl From<&HttpConfig> for Manner {
    fn from(config: &HttpConfig) -> Self {
        Self {
            header_read_timeout: config.header_read_timeout,
            idle_timeout: config.idle_timeout,
            max_connections: config.max_connections,
        }
    }
}

/// Takes the address, so that a port that is in use is known before anything else is started.
pub fn bind(setting: &'static str, address: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // The port of one who has just ended can be taken at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        Ok((listener.local_addr()?, listener))
    };
    listen().map_err(|reason| StartError::Listen { setting, address, reason })
}

impl Listener {
    pub fn serve(
        (address, listener): (SocketAddr, TcpListener),
        router: Router,
        manner: Manner,
        encryption: Option<Encryption>,
    ) -> Self {
        let (stop, open) = (Stop::default(), TaskTracker::new());
        let connections = Arc::new(Connections::new(router, manner, encryption, stop.clone()));
        let crowd = Crowd::new(manner.max_connections);
        let accepting = tokio::spawn(accept(listener, connections, crowd, open.clone(), stop.begin.clone()));
        Self { address, stop, accepting, open }
    }

    /// Accepts no more, and waits until every request that was begun is answered; for `patience` at most, so that a
    /// caller who does not take the answer keeps nobody waiting.
    pub async fn drain(self, patience: Duration) {
        self.stop.begin.cancel();
        if self.accepting.await.is_err() {
            tracing::error!(address = %self.address, "the listener failed");
        }
        self.open.close();
        if tokio::time::timeout(patience, self.open.wait()).await.is_err() {
            self.stop.now.cancel();
            self.open.wait().await;
        }
    }
}

async fn accept(
    listener: TcpListener,
    connections: Arc<Connections>,
    crowd: Crowd,
    open: TaskTracker,
    stop: CancellationToken,
) {
    let next = async || {
        let (stream, peer) = accepted(&listener).await;
        (stream, crowd.enter(peer.ip(), connections.watch()).await)
    };
    loop {
        let (stream, seat) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            next = next() => next,
        };
        let connections = connections.clone();
        open.spawn(async move { connections.serve(stream, seat).await });
    }
}

async fn accepted(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The peer is gone already, or we have no more file descriptors, which the next moment may change.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// Connections that the system keeps for us until they are accepted.
const BACKLOG: u32 = 1024;
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);
