//! Connections, and the thread on which they live.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

use super::connector::Connector;

/// One database. Its connections live on a thread of their own, so that they are served whatever the callers'
/// threads wait for.
pub(super) struct Database {
    pub(super) connector: Connector,
    /// Taken when dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Database {
    pub(super) fn new(connector: Connector) -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("log-postgres").enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok(Self { connector, runtime: Some(runtime), handle })
    }

    /// Where tasks run that nobody waits for.
    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits on this thread, which may be one of a runtime only where that lets threads block.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.handle.block_on(work)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last owner may be a task, which must not wait for itself.
            runtime.shutdown_background();
        }
    }
}

/// Connections of one owner, which are served as long as that waits for one of them, on its own thread.
pub(super) struct OwnRuntime {
    /// Taken when dropped.
    runtime: Option<Runtime>,
}

impl OwnRuntime {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { runtime: Some(Builder::new_current_thread().enable_all().build()?) })
    }

    /// Waits on this thread, which may be none of a runtime's, unless that lets threads block. What was begun on the way lives as long as
    /// this, and goes on with the next one that waits.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let runtime = self.runtime.as_ref().expect("invariant: it is taken when dropped");
        runtime.block_on(work)
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The owner may be dropped by a task, which must not wait.
            runtime.shutdown_background();
        }
    }
}
