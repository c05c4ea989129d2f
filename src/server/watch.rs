//! Whether a connection is still used: slow clients do not hold it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What happens on one connection.
///
/// While a request is being worked on, time does not count: the service has limits of its own for that. Otherwise the
/// client has so long for the first request, and over HTTP/1 for the head of each from its first byte on; and it has
/// to begin a request, or take a good part of an answer, every now and then.
#[derive(Debug)]
pub(super) struct Watch {
    header_read_timeout: Duration,
    idle_timeout: Duration,
    state: Mutex<State>,
    /// The moment of the end may be nearer than it was.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Requests without an answer.
    running: usize,
    /// Whether a request ever came.
    served: bool,
    http2: bool,
    /// When something useful happened last.
    progress: Instant,
    /// When the first byte came after the last answer. Over HTTP/2 it need not belong to a request.
    head_began: Option<Instant>,
    /// Bytes written since `progress`.
    written: usize,
}

/// A request that is being worked on, until this value goes.
pub(super) struct Turn(Arc<Watch>);

impl Watch {
    /// From now on.
    pub(super) fn new(header_read_timeout: Duration, idle_timeout: Duration) -> Self {
        let state = State {
            running: 0,
            served: false,
            http2: false,
            progress: Instant::now(),
            head_began: None,
            written: 0,
        };
        Self { header_read_timeout, idle_timeout, state: Mutex::new(state), changed: Notify::new() }
    }

    /// The handshake is over: the time for the first request begins.
    pub(super) fn open(&self) {
        self.lock().progress = Instant::now();
    }

    /// The head of a request is there.
    pub(super) fn begin(self: &Arc<Self>, http2: bool) -> Turn {
        let mut state = self.lock();
        state.running += 1;
        (state.served, state.http2, state.head_began) = (true, http2, None);
        Turn(self.clone())
    }

    /// Since when nothing is being worked on; none where something is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.running == 0).then_some(state.progress)
    }

    /// Ends when the client has used up its time.
    pub(super) async fn expired(&self) {
        loop {
            // Made before the look, so that no change in between is missed.
            let changed = self.changed.notified();
            match self.deadline() {
                None => changed.await,
                Some(deadline) if deadline <= Instant::now() => return,
                Some(deadline) => tokio::select! {
                    () = sleep_until(deadline) => {}
                    () = changed => {}
                },
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let state = self.lock();
        if state.running > 0 {
            None
        } else if !state.served {
            Some(state.progress + self.header_read_timeout)
        } else if let (Some(began), false) = (state.head_began, state.http2) {
            Some(began + self.header_read_timeout)
        } else {
            Some(state.progress + self.idle_timeout)
        }
    }

    fn read(&self, bytes: usize) {
        let mut state = self.lock();
        if bytes > 0 && state.running == 0 && state.head_began.is_none() {
            state.head_began = Some(Instant::now());
            drop(state);
            self.changed.notify_one();
        }
    }

    fn wrote(&self, bytes: usize) {
        let mut state = self.lock();
        state.written += bytes;
        // A byte now and then is no progress.
        if state.served && state.written >= ENOUGH {
            (state.progress, state.written) = (Instant::now(), 0);
        }
    }

    fn end(&self) {
        let mut state = self.lock();
        state.running = state.running.saturating_sub(1);
        (state.progress, state.written) = (Instant::now(), 0);
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A stream that tells its watch what passes.
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) watch: Arc<Watch>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.watch.read(buf.filled().len() - before);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }
}

impl<S> Watched<S> {
    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &result {
            self.watch.wrote(*bytes);
        }
        result
    }
}

/// Bytes of an answer that show that somebody reads it.
const ENOUGH: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    fn watch() -> Arc<Watch> {
        Arc::new(Watch::new(HEAD, IDLE))
    }

    /// How long `watch` lasts from now on; none for longer than ten minutes.
    async fn lasts(watch: &Watch) -> Option<Duration> {
        let began = Instant::now();
        let ended = tokio::time::timeout(Duration::from_secs(600), watch.expired()).await;
        ended.is_ok().then(|| began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_request_has_the_time_of_a_head_also_where_bytes_trickle() {
        let watch = watch();
        watch.read(1);
        tokio::time::advance(Duration::from_secs(6)).await;
        watch.read(1);
        assert_eq!(lasts(&watch).await, Some(Duration::from_secs(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_takes_as_long_as_it_takes_and_then_the_connection_may_idle() {
        let watch = watch();
        let turn = watch.begin(false);
        assert_eq!(lasts(&watch).await, None);
        drop(turn);
        assert_eq!(lasts(&watch).await, Some(IDLE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_has_its_time_from_the_first_byte_on() {
        let watch = watch();
        drop(watch.begin(false));
        tokio::time::advance(Duration::from_secs(60)).await;
        let waiting = tokio::spawn({
            let watch = watch.clone();
            async move { lasts(&watch).await }
        });
        tokio::task::yield_now().await;
        watch.read(1);
        assert_eq!(waiting.await.unwrap(), Some(HEAD));
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_are_no_requests_prolong_nothing_and_shorten_nothing() {
        let watch = watch();
        drop(watch.begin(true));
        tokio::time::advance(Duration::from_secs(30)).await;
        watch.read(100);
        watch.wrote(100);
        assert_eq!(lasts(&watch).await, Some(Duration::from_secs(45)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_has_to_be_taken_in_good_parts() {
        let watch = watch();
        drop(watch.begin(false));
        tokio::time::advance(Duration::from_secs(60)).await;
        watch.wrote(ENOUGH);
        tokio::time::advance(Duration::from_secs(60)).await;
        watch.wrote(ENOUGH - 1);
        assert_eq!(lasts(&watch).await, Some(Duration::from_secs(15)));
    }
}
