//! What is left of a request's body behind an answer that did not need it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use futures::{StreamExt as _, stream};

/// The body of a request whose handler may answer before its end, as with 401 and 413. The connection closes then,
/// and a caller who is still sending would lose the answer: so the rest is read first, and thrown away.
pub struct Remainder {
    source: Arc<Mutex<BodyDataStream>>,
    /// Somebody has asked for the body, and so has a caller who waits for `100 Continue` been told to send it.
    asked: Arc<AtomicBool>,
}

impl Remainder {
    /// Bytes that are thrown away. Whoever sends more loses the answer.
    const MAX_BYTES: usize = 32 * 1024 * 1024;
    const MAX_TIME: Duration = Duration::from_secs(5);

    /// The body for the handler, and what will be left of it. None where there is no body.
    pub fn of(body: Body) -> (Body, Option<Self>) {
        if body.is_end_stream() {
            return (body, None);
        }
        let source = Arc::new(Mutex::new(body.into_data_stream()));
        let remainder = Self { source: source.clone(), asked: Arc::default() };
        let asked = remainder.asked.clone();
        let handed = stream::poll_fn(move |context| {
            asked.store(true, Ordering::Relaxed);
            source.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
        });
        (Body::from_stream(handed), Some(remainder))
    }

    /// Reads to the end, within limits. `waits`: the caller sends nothing before somebody asks for the body.
    pub async fn discard(self, waits: bool) {
        if waits && !self.asked.load(Ordering::Relaxed) {
            return;
        }
        let mut left = Self::MAX_BYTES;
        let mut chunks = stream::poll_fn(|context| {
            self.source.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
        });
        let reading = async {
            while let Some(Ok(chunk)) = chunks.next().await
                && chunk.len() <= left
            {
                left -= chunk.len();
            }
        };
        // Late is as good as too much: the answer goes out, and may be lost.
        let _ = tokio::time::timeout(Self::MAX_TIME, reading).await;
    }
}
