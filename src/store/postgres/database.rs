//! Connections, and the thread on which they live.

use std::future::Future;
use std::io;
use std::ops::Deref;

use tokio::runtime::{Builder, Handle, Runtime};

use super::connector::Connector;

/// One database. Its connections live on a thread of their own, so that they are served whatever the callers'
/// threads wait for.
pub(super) struct Database {
    pub(super) connector: Connector,
    runtime: Ending,
}

impl Database {
    pub(super) fn new(connector: Connector) -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("log-postgres").enable_all().build()?;
        Ok(Self { connector, runtime: Ending(Some(runtime)) })
    }

    /// Where tasks run that nobody waits for.
    pub(super) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Waits on this thread, which may be one of a runtime only where that lets threads block.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.handle().block_on(work)
    }
}

/// A runtime whose owner may be dropped by a task, which must not wait for it.
struct Ending(Option<Runtime>);

impl Deref for Ending {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        self.0.as_ref().expect("invariant: it is taken when dropped")
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Connections of one owner, which are served as long as that waits for one of them, on its own thread.
pub(super) struct OwnRuntime(Ending);

impl OwnRuntime {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Ending(Some(Builder::new_current_thread().enable_all().build()?))))
    }

    /// Waits on this thread, which may be none of a runtime's, unless that lets threads block. What was begun on the way lives as long as
    /// this, and goes on with the next one that waits.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.block_on(work)
    }
}
