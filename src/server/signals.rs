//! SIGTERM and SIGINT: the first drains, the second ends.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The two signals that ask a service to end.
pub struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

/// Listens for the signals from now on.
///
/// # Errors
/// Where the system does not let us.
pub fn termination() -> std::io::Result<Termination> {
    Ok(Termination {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    })
}

impl Termination {
    /// The next of the two.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// From now on a signal ends the process at once: somebody does not want to wait for the drain.
pub fn exit_on_second_signal(mut signals: Termination) {
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("stopped at once by a second signal; what is in flight is lost to its callers");
        std::process::exit(130);
    });
}
