//! The log as it is published.

use std::sync::Arc;

use crate::ports::SignedCheckpoint;
use crate::tlog::{Row, TilePath, push_entry};

use super::{Caller, Service, ServiceError};

impl Service {
    /// The newest checkpoint, for anybody; none before the first.
    pub async fn log_checkpoint(&self) -> Result<Option<Arc<SignedCheckpoint>>, ServiceError> {
        Ok(self.transparency.checkpoint().await?)
    }

    /// A tile of hashes, for anybody; none where the newest checkpoint's tree does not have it.
    pub async fn log_tile(&self, path: TilePath) -> Result<Option<Vec<u8>>, ServiceError> {
        match path.row {
            Row::Hashes(level) => Ok(self.transparency.tile(level, path.number, path.width).await?),
            Row::Entries => Ok(None),
        }
    }

    /// A tile of entries, for those who may read the whole log; none where the newest checkpoint's tree does not have it, or
    /// its entries are in archives.
    pub async fn log_bundle(&self, caller: &Caller, path: TilePath) -> Result<Option<Vec<u8>>, ServiceError> {
        let asked = [("bundle", path.number.to_string()), ("resource", "tiles".to_owned())];
        self.permit_reading_all(caller, asked.map(|(name, value)| (name.to_owned(), value)).into())?;
        let Some(first) = path.first_entry() else { return Ok(None) };
        let (mut bundle, mut next) = (Vec::new(), first);
        let end = first.saturating_add(u64::from(path.width));
        while next < end {
            let entries = self.transparency.leaves(next, (end - next) as usize).await?;
            if entries.first().is_none_or(|entry| entry.index != next) {
                return Ok(None);
            }
            for entry in &entries {
                push_entry(&mut bundle, &entry.bytes);
            }
            next += entries.len() as u64;
        }
        Ok(Some(bundle))
    }
}
