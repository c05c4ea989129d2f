//! The way out where the anchor and the database do not fit: the database is the truth from now on, and the log says so.

use tokio_util::sync::CancellationToken;

use super::{StartError, install_crypto, wiring};
use crate::config::Config;
use crate::domain::{Clock as _, Entry, Event, SystemClock};
use crate::ports::{AnchorError, LogError, SigningLog as _};
use crate::tlog::{Checkpoint, Note};

/// What was done.
#[derive(Debug)]
pub struct Accepted {
    /// Entries that the anchor had spoken of.
    pub anchored: u64,
    /// Of the entry that tells of it.
    pub index: u64,
    /// Entries that the anchor speaks of now, or more.
    pub size: u64,
}

/// The sentences are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the configuration has no [log.anchor]")]
    NoAnchor,
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Takes the database for the truth: logs that, with `reason`, and keeps a checkpoint of it outside.
///
/// # Errors
/// Where the log, Vault or the anchor can not be reached. Nothing is harmed then, and it can be tried again.
pub async fn accept_anchor(config: &Config, reason: String) -> Result<Accepted, AcceptError> {
    install_crypto();
    let stopped = CancellationToken::new();
    let _ends = stopped.clone().drop_guard();
    let parts = wiring::build_unguarded(config, &stopped)?;
    let anchor = parts.anchor.ok_or(AcceptError::NoAnchor)?;
    let before = anchor.read().await?;
    let size_of = |note: &str| Some(note.parse::<Note>().ok()?.text.parse::<Checkpoint>().ok()?.head.size);
    let anchored = before.as_ref().and_then(|before| size_of(&before.note)).unwrap_or(0);
    let entry = Entry::of_service(SystemClock.now(), Event::AnchorReset { anchored, reason });
    let index = parts.log.append(vec![entry]).await?;
    let transparency = &parts.api.service.transparency;
    transparency.covered(index).await?;
    let checkpoint = transparency.checkpoint().await?;
    let checkpoint = checkpoint.ok_or_else(|| LogError("no checkpoint was published".to_owned()))?;
    anchor.replace(before.map_or(0, |before| before.version), &checkpoint.note).await?;
    parts.chronicle.end().await;
    parts.log.close().await?;
    Ok(Accepted { anchored, index, size: checkpoint.head.size })
}
