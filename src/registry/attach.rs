//! Changing what a tag names, where others may be doing the same.
//!
//! Registries have no conditional PUT, so the last writer wins. Reading back shows whose write
//! that was, and the next write begins with what was read.

use std::collections::HashSet;
use std::time::Duration;

use super::client::Client;
use crate::domain::Digest;
use crate::ports::{Change, Manifest, ManifestUpdate, RegistryError};

/// How often to write before other writers are given way.
const MAX_ROUNDS: u32 = 6;

impl Client {
    /// Makes `update` true of `tag`, and returns the digest of the manifest that it names then. A
    /// tag that was `absent` a moment ago is not read before the first write.
    ///
    /// Nothing is written over a tag that could not be read.
    ///
    /// # Errors
    /// [`RegistryError::Occupied`] where `update` refuses what is there; [`RegistryError::Unavailable`]
    /// where others keep overwriting what is written.
    pub(super) async fn update_tag(
        &self,
        repository: &str,
        tag: &str,
        absent: bool,
        update: &dyn ManifestUpdate,
    ) -> Result<Digest, RegistryError> {
        let mut current = if absent { None } else { self.tagged(repository, tag).await? };
        let mut pushed = HashSet::new();
        let mut attempts = self.retry.attempts();
        for round in 0..=MAX_ROUNDS {
            let change = update.apply(current.as_ref()).map_err(|reason| self.host.occupied(tag, reason))?;
            let upload = match (change, &current) {
                (Change::Write(upload), _) => upload,
                (Change::None, Some(manifest)) => return Ok(manifest.digest()),
                (Change::None, None) => {
                    return Err(self.host.protocol(format!("{repository}:{tag} is absent, and may stay so")));
                }
            };
            if round == MAX_ROUNDS {
                break;
            }
            if round > 0 {
                tracing::info!(registry = self.host.name(), repository, tag, round, "writing the tag again");
            }
            let missing: Vec<_> =
                upload.blobs.into_iter().filter(|blob| pushed.insert(blob.digest())).collect();
            self.push_blobs(repository, &missing).await?;
            current = match self.put_manifest(repository, tag, &upload.manifest).await {
                Ok(_) => {
                    let before = current.as_ref().map(Manifest::digest);
                    self.written.remember(repository, tag, before, upload.manifest.digest());
                    Some(self.read_back(repository, tag).await?)
                }
                // It may have been written all the same, and others may have written since.
                Err(error) => {
                    attempts.pause(error).await?;
                    self.tagged(repository, tag).await?
                }
            };
        }
        let reason = format!("other writers keep overwriting {repository}:{tag}");
        Err(self.host.unavailable_for(reason, Some(Duration::from_secs(1))))
    }

    /// What `tag` names after a write.
    ///
    /// # Errors
    /// Also where it names nothing: what was there before the write would be lost if that were taken for the truth.
    async fn read_back(&self, repository: &str, tag: &str) -> Result<Manifest, RegistryError> {
        let manifest = self.tagged(repository, tag).await?;
        manifest
            .ok_or_else(|| self.host.unavailable(format!("{repository}:{tag} was written and is not there")))
    }
}
