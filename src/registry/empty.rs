//! The empty blob, which the manifests of a repository that need no configuration share.
//! <https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidance-for-an-empty-descriptor>
//!
//! It is pushed once. Pushing it with every manifest costs calls, and worse: distribution 2.8 writes
//! a blob's link in place, and refuses manifests that name the blob while another request pushes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::client::Client;
use crate::ports::RegistryError;

pub(super) const EMPTY: &[u8] = b"{}";

/// The repositories that were seen to take the empty blob, at most [`EmptyBlobs::MAX`].
#[derive(Debug, Default)]
pub(super) struct EmptyBlobs(Mutex<HashMap<String, Pushed>>);

/// Whoever comes while the blob is being pushed waits for that.
type Pushed = Arc<OnceCell<()>>;

impl EmptyBlobs {
    const MAX: usize = 4096;

    fn of(&self, repository: &str) -> Pushed {
        let mut repositories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pushed) = repositories.get(repository) {
            return pushed.clone();
        }
        if repositories.len() >= Self::MAX
            && let Some(any) = repositories.keys().next().cloned()
        {
            repositories.remove(&any);
        }
        repositories.entry(repository.to_owned()).or_default().clone()
    }

    /// The next who needs the blob pushes it again.
    pub(super) fn forget(&self, repository: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(repository);
    }
}

impl Client {
    /// Makes sure that `repository` has the empty blob. Whether it had been pushed before.
    pub(super) async fn push_empty(&self, repository: &str) -> Result<bool, RegistryError> {
        let pushed = self.empty_blobs.of(repository);
        let before = pushed.initialized();
        let push = async || self.push_blobs(repository, &[EMPTY.into()]).await;
        pushed.get_or_try_init(push).await?;
        Ok(before)
    }
}
