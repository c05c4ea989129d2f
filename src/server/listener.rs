//! One listening socket with its HTTP server.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use tokio::task::JoinHandle;

use super::{HEADER_READ_TIMEOUT, StartError};

/// A served socket.
pub struct Listener {
    pub address: SocketAddr,
    handle: Handle<SocketAddr>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Takes the address, so that a port that is in use is known before anything else is started.
pub fn bind(setting: &'static str, address: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let failed = |reason| StartError::Listen { setting, address, reason };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok((listener.local_addr().map_err(failed)?, listener))
}

impl Listener {
    pub fn serve((address, listener): (SocketAddr, TcpListener), router: Router) -> Self {
        let handle = Handle::new();
        let served = handle.clone();
        let task = tokio::spawn(async move {
            let mut server = axum_server::from_tcp(listener)?.handle(served);
            server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
            server.http_builder().http2().timer(TokioTimer::new());
            server.serve(router.into_make_service()).await
        });
        Self { address, handle, task }
    }

    /// Accepts no more, and waits until every request that was begun is answered; for `patience` at most, so that a
    /// caller who does not take the answer keeps nobody waiting.
    pub async fn drain(self, patience: Duration) {
        self.handle.graceful_shutdown(Some(patience));
        if let Ok(Err(error)) = self.task.await {
            tracing::error!(%error, address = %self.address, "the listener failed");
        }
    }
}
