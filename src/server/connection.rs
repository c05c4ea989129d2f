//! One connection, from its handshake to its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;

use super::crowd::Seat;
use super::listener::{Manner, Stop};
use super::tls::{Certificates, Door};
use super::watch::{Watch, Watched};
use crate::metrics::Metrics;
use crate::ports::ClientCertificate;

/// What all connections of one listener have in common.
pub(super) struct Connections {
    router: Router,
    manner: Manner,
    encryption: Option<Encryption>,
    stop: Stop,
    protocols: Builder<TokioExecutor>,
}

/// TLS for one of the listeners.
#[derive(Clone)]
pub struct Encryption {
    pub certificates: Arc<Certificates>,
    pub door: Door,
    pub metrics: Arc<Metrics>,
}

impl Connections {
    pub(super) fn new(router: Router, manner: Manner, encryption: Option<Encryption>, stop: Stop) -> Self {
        let mut protocols = Builder::new(TokioExecutor::new());
        protocols
            .http1()
            .timer(TokioTimer::new())
            // The watch has the time: hyper would count what passes between two requests as well.
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES);
        protocols
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_BYTES as u32)
            .max_concurrent_streams(STREAMS)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        Self { router, manner, encryption, stop, protocols }
    }

    /// Begins to watch a connection.
    pub(super) fn watch(&self) -> Arc<Watch> {
        Arc::new(Watch::new(self.manner.header_read_timeout, self.manner.idle_timeout))
    }

    /// To the end of the connection.
    pub(super) async fn serve(&self, stream: TcpStream, seat: Seat) {
        // Answers are written in one piece; a peer that is gone is noticed when it is read from.
        let _ = stream.set_nodelay(true);
        let Some(encryption) = &self.encryption else { return self.speak(stream, None, &seat).await };
        let shaken = tokio::select! {
            () = self.stop.begin.cancelled() => return,
            () = seat.wanted() => return,
            shaken = self.shake_hands(encryption, stream, &seat) => shaken,
        };
        let Some(stream) = shaken else { return encryption.metrics.handshake_failed() };
        seat.watch.open();
        let certificate = certificate(&stream);
        self.speak(stream, certificate, &seat).await;
    }

    async fn shake_hands(
        &self,
        encryption: &Encryption,
        stream: TcpStream,
        seat: &Seat,
    ) -> Option<TlsStream<TcpStream>> {
        let config = encryption.certificates.config(encryption.door);
        let handshake = TlsAcceptor::from(config).accept(stream);
        match tokio::time::timeout(self.manner.header_read_timeout, handshake).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, peer = %seat.peer, "no TLS");
                None
            }
            Err(_) => {
                tracing::debug!(peer = %seat.peer, "no TLS in time");
                None
            }
        }
    }

    /// HTTP/1 and HTTP/2.
    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        certificate: Option<Arc<ClientCertificate>>,
        seat: &Seat,
    ) {
        let watch = &seat.watch;
        let (router, watched) = (self.router.clone(), watch.clone());
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            let turn = watched.begin(request.version() == Version::HTTP_2);
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            let answer = router.clone().oneshot(request);
            async move {
                let answer = answer.await;
                drop(turn);
                answer
            }
        });
        let stream = TokioIo::new(Watched { stream, watch: watch.clone() });
        let mut connection = pin!(self.protocols.serve_connection(stream, TowerToHyperService::new(service)));
        tokio::select! {
            // The connection's own news first: a request that has arrived counts.
            biased;
            _ = connection.as_mut() => return,
            // A request that began before this could be seen is answered.
            () = seat.wanted() => if watch.idle_since().is_some() { return },
            () = watch.expired() => {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(GOODBYE, connection).await;
                return;
            }
            () = self.stop.begin.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            _ = connection => {}
            () = self.stop.now.cancelled() => {}
            () = watch.expired() => {}
        }
    }
}

/// What the client showed, which the handshake has verified.
fn certificate(stream: &TlsStream<TcpStream>) -> Option<Arc<ClientCertificate>> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    Some(Arc::new(ClientCertificate { der: certificate.to_vec() }))
}

/// Bytes of a request's head; beyond, the answer is 431. A token of 64 KiB fits, so that it is refused like any other.
const HEAD_BYTES: usize = 128 * 1024;
/// Requests at once on one connection of HTTP/2.
const STREAMS: u32 = 128;
/// How often a silent peer is asked over HTTP/2 whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);
/// For a client to hear that its time is over.
const GOODBYE: Duration = Duration::from_secs(1);
