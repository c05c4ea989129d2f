//! Pushing a manifest with a subject, so that listing what refers to the subject shows it.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests-with-subject>

use std::time::Duration;

use futures::future::try_join;
use tokio::time::sleep;

use super::client::Client;
use super::empty::EMPTY;
use super::index::{AddReferrer, fallback_tag};
use super::referrers::Listing;
use crate::config::ReferrersMode;
use crate::domain::{Content, Digest};
use crate::ports::{Referrer, RegistryError};

impl Client {
    /// Pushes `referrer` of `subject`. `none_known`: a moment ago, nothing referred to it.
    pub(super) async fn push_referrer(
        &self,
        repository: &str,
        subject: Digest,
        referrer: Referrer,
        none_known: bool,
    ) -> Result<(), RegistryError> {
        let Referrer { upload, descriptor } = referrer;
        let empty = Content::from(EMPTY);
        let (empty, blobs): (Vec<_>, Vec<_>) = upload.blobs.into_iter().partition(|blob| *blob == empty);
        let share_empty =
            async { if empty.is_empty() { Ok(false) } else { self.push_empty(repository).await } };
        let ((), taken_on_trust) = try_join(self.push_blobs(repository, &blobs), share_empty).await?;
        let digest = upload.manifest.digest();
        let reference = digest.to_string();
        let put = || self.retry.run(|| self.put_manifest(repository, &reference, &upload.manifest));
        let noted = match put().await {
            // The registry may have collected the blob as garbage since it was pushed.
            Err(RegistryError::Protocol { .. } | RegistryError::ManifestRefused { .. }) if taken_on_trust => {
                self.empty_blobs.forget(repository);
                self.push_empty(repository).await?;
                put().await?
            }
            noted => noted?,
        };
        let taken = noted == Some(subject);
        let has_api = match self.referrers {
            ReferrersMode::Api => true,
            ReferrersMode::Auto => taken || self.support.of(repository) == Some(true),
            ReferrersMode::Tag => false,
        };
        if has_api {
            return self.confirm(repository, subject, digest, taken).await;
        }
        let tag = fallback_tag(subject);
        // That the API lists nothing says nothing of the tag.
        let none_tagged = none_known
            && (self.referrers == ReferrersMode::Tag || self.support.of(repository) == Some(false));
        let update = AddReferrer { subject, referrer: descriptor };
        match self.update_tag(repository, &tag, none_tagged, &update).await {
            Ok(_) => Ok(()),
            Err(RegistryError::Occupied { reason, .. }) => Err(self.host.referrers_unsupported(reason)),
            Err(error) => Err(error),
        }
    }

    /// Waits until the API lists `referrer`, which may take a moment.
    async fn confirm(
        &self,
        repository: &str,
        subject: Digest,
        referrer: Digest,
        taken: bool,
    ) -> Result<(), RegistryError> {
        for pause in std::iter::once(Duration::ZERO).chain(self.retry.lag()) {
            sleep(pause).await;
            match self.list_referrers(repository, subject).await? {
                Listing::Referrers(listed) if listed.iter().any(|listed| listed.digest == referrer) => {
                    return Ok(());
                }
                Listing::Referrers(_) | Listing::Unknown => {}
                Listing::Unsupported(reason) | Listing::Elsewhere(reason) => {
                    return Err(self.host.referrers_unsupported(reason));
                }
            }
        }
        Err(if taken {
            self.host.unavailable(format!("its referrers API does not list {referrer} yet, which it took"))
        } else {
            // Whoever asks the API will not look at the fallback tag, so writing that would hide the failure.
            self.host.referrers_unsupported("its referrers API does not list what is pushed")
        })
    }
}
