//! Keeping the newest checkpoint outside the database, and holding the database against it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Checkpointer, GroupCommitLog};
use crate::ports::{Anchor, AnchorError, LogError, NoteSigner};
use crate::tlog::{Checkpoint, TreeHead, VerifierKey};

/// Who keeps the anchor. Until it has been compared with the database, nothing is written ([`super::Guard`]); from then on
/// each published checkpoint follows, in nobody's way.
pub struct AnchorKeeper {
    pub log: Arc<GroupCommitLog>,
    pub checkpointer: Arc<Checkpointer>,
    pub notes: Arc<dyn NoteSigner>,
    pub anchor: Arc<dyn Anchor>,
    /// The log's name.
    pub origin: String,
}

/// What nobody knows yet, as the guard says it from the start.
pub const NOT_READ: &str =
    "the checkpoint that is kept outside the database ([log.anchor]) has not been compared with it yet";

/// Between two looks at an anchor that can not be read, or speaks of another log.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two writes: the anchor is at most so long, and one write, behind.
const PACE: Duration = Duration::from_millis(250);

/// Why the database is not to be written.
#[derive(Debug)]
enum Verdict {
    /// Nobody can tell yet.
    Unknown(String),
    /// It is not the log that the anchor speaks of.
    Other(String),
}

impl AnchorKeeper {
    /// Works until `stopped` is cancelled.
    pub fn start(self, stopped: CancellationToken) {
        tokio::spawn(async move {
            let _ = stopped.run_until_cancelled_owned(self.run()).await;
        });
    }

    async fn run(self) {
        let mut version = self.until_it_fits().await;
        let mut published = self.checkpointer.published();
        let mut failing = false;
        loop {
            let newest = published.borrow_and_update().clone();
            if let Some(checkpoint) = newest {
                match self.anchor.replace(version, &checkpoint.note).await {
                    Ok(new) => (version, failing) = (new, false),
                    Err(AnchorError::Changed) => match self.compare().await {
                        // Another replica was faster. What it wrote stands, unless ours is newer.
                        Ok((size, new)) => {
                            version = new;
                            if size < checkpoint.head.size {
                                continue;
                            }
                        }
                        Err(Verdict::Other(reason)) => {
                            tracing::error!(reason, "nothing is written to the log any more");
                            self.log.guard.set(Err(LogError(reason)));
                            return;
                        }
                        Err(Verdict::Unknown(reason)) => {
                            complain(&mut failing, &reason);
                            tokio::time::sleep(PAUSE).await;
                            continue;
                        }
                    },
                    Err(error @ AnchorError::Unavailable(_)) => {
                        complain(&mut failing, &error.to_string());
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                }
            }
            tokio::time::sleep(PACE).await;
            if published.changed().await.is_err() {
                return;
            }
        }
    }

    /// Opens the log once the anchor fits it; the anchor's version. Until then the log says what is the matter, and an
    /// operator may mend it meanwhile.
    async fn until_it_fits(&self) -> u64 {
        let mut told = String::new();
        loop {
            let reason = match self.compare().await {
                Ok((size, version)) => {
                    tracing::info!(
                        size,
                        "the log goes on from the checkpoint that is kept outside the database"
                    );
                    self.log.guard.set(Ok(()));
                    return version;
                }
                Err(Verdict::Unknown(reason) | Verdict::Other(reason)) => reason,
            };
            if told != reason {
                tracing::error!(reason, "nothing is written to the log");
                told.clone_from(&reason);
            }
            self.log.guard.hold(reason);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The size of the tree that the anchor speaks of, and the anchor's version; 0 where there is none yet.
    async fn compare(&self) -> Result<(u64, u64), Verdict> {
        let unknown = |error: &dyn std::fmt::Display| {
            Verdict::Unknown(format!(
                "the checkpoint that is kept outside the database ([log.anchor]) can not be read: {error}"
            ))
        };
        let Some(anchored) = self.anchor.read().await.map_err(|error| unknown(&error))? else {
            tracing::warn!(
                "there is no checkpoint outside the database yet; the next one is kept ([log.anchor])"
            );
            return Ok((0, 0));
        };
        let keys = self.notes.verifier_keys().await.map_err(|error| unknown(&error))?;
        let keys: Vec<VerifierKey> = keys.iter().filter_map(|key| key.parse().ok()).collect();
        let old = Checkpoint::open(&anchored.note, &self.origin, &keys).map_err(|error| {
            Verdict::Other(format!(
                "the checkpoint that is kept outside the database ([log.anchor]) is none of this log: {error}. Have the right \
                 database or the right anchor configured{RESOLVE}"
            ))
        })?;
        // Read after the anchor: it never speaks of what is not durable.
        let here = self.tree_at(old.head.size).await.map_err(|error| unknown(&error))?;
        match here {
            Ok(head) if head == old.head => Ok((old.head.size, anchored.version)),
            Ok(_) => Err(Verdict::Other(format!(
                "the database has another history than the checkpoint of {} entries that is kept outside it ([log.anchor]): it was \
                 changed, or it is the database of another time. Restore the right one{RESOLVE}",
                old.head.size
            ))),
            Err(size) => Err(Verdict::Other(format!(
                "the database has {size} entries, and the checkpoint that is kept outside it ([log.anchor]) speaks of {}: an old \
                 backup was restored, or entries were deleted. Restore a newer one{RESOLVE}",
                old.head.size
            ))),
        }
    }

    /// The tree of the first `size` entries as the database has it, or how many there are where it has fewer.
    async fn tree_at(&self, size: u64) -> Result<Result<TreeHead, u64>, LogError> {
        let (now, _) = self.log.stored_head().await?;
        if now.size < size {
            return Ok(Err(now.size));
        }
        let [head] = self.log.trees_at([size]).await?;
        let damaged = || LogError(format!("the tiles of the tree of {size} entries are damaged or missing"));
        head.ok_or_else(damaged).map(Ok)
    }
}

/// How an operator resolves what has no better way out.
const RESOLVE: &str = ". Where that is not possible and the database is to be the truth from now on: stop Signet and run `signet log \
     anchor accept --config FILE --reason WORDS`, which is logged";

fn complain(failing: &mut bool, reason: &str) {
    if !std::mem::replace(failing, true) {
        tracing::warn!(
            reason,
            "the newest checkpoint can not be kept outside the database now; it is tried again"
        );
    }
}
