//! The `bundle` layout: manifests that refer to the image.

use futures::{StreamExt as _, stream};

use crate::domain::{Descriptor, Format};
use crate::format::bundle::{self, Bundle, BundleError};
use crate::ports::RegistryError;
use crate::service::ServiceError;
use crate::service::existing::bundle_attachment;

use super::judge::{Finding, Judge, MAX_SIGNATURES, MAX_SMALL, OPENED_AT_ONCE};
use super::{Inspected, Verdict};

impl Judge<'_> {
    /// Every bundle that refers to the image. Other things that do are left out: attached documents, and
    /// signatures of other systems.
    ///
    /// # Errors
    /// Where the registry can not tell what refers to the image, or it is more than can be looked through.
    pub async fn bundles(&self) -> Result<Vec<Inspected>, ServiceError> {
        let referrers = match self.registry.referrers(&self.request.image).await {
            // Where nothing can refer to an image, there are no bundles.
            Err(RegistryError::ReferrersUnsupported { .. }) => Vec::new(),
            referrers => referrers?,
        };
        if referrers.len() > MAX_SIGNATURES {
            return Err(ServiceError::TooManyToVerify { has: referrers.len(), limit: MAX_SIGNATURES });
        }
        let opening: Vec<_> = referrers.iter().map(|referrer| self.referrer(referrer)).collect();
        let opened: Vec<_> = stream::iter(opening).buffered(OPENED_AT_ONCE).collect().await;
        Ok(opened.into_iter().flatten().collect())
    }

    /// What is to be said of one referrer; none where it is no bundle. What an index says of it is no more than a
    /// claim: verifiers open all of them.
    async fn referrer(&self, referrer: &Descriptor) -> Option<Inspected> {
        let image = &self.request.image;
        let mut inspected = Inspected {
            format: Format::Bundle,
            attachment: bundle_attachment(image, referrer.digest),
            blob: None,
            verdict: Verdict::Malformed,
            statement: None,
        };
        let layer = match self.registry.manifest(&image.repository, referrer.digest).await {
            Ok(Some(manifest)) => bundle::bundle_layer(&manifest.bytes),
            // It was listed a moment ago.
            Ok(None) => {
                inspected.verdict = Verdict::PayloadMissing;
                None
            }
            Err(error) => {
                inspected.verdict = error.into();
                return Some(inspected);
            }
        };
        let Some(layer) = layer else { return bundle::is_bundle(referrer).then_some(inspected) };
        inspected.blob = Some(layer.digest);
        let limit = if self.attests() { bundle::MAX_BYTES } else { MAX_SMALL };
        let opened = match self.unopened(layer.size, layer.predicate_type.as_deref()) {
            Some(verdict) => Err(verdict),
            None => self.open(layer.digest, layer.size, limit).await,
        };
        (inspected.verdict, inspected.statement) = match opened {
            Ok(mut blob) => self.bundle(&blob.take()),
            Err(verdict) => (verdict, None),
        };
        Some(inspected)
    }

    fn bundle(&self, content: &[u8]) -> Finding {
        match Bundle::parse(content) {
            Ok(Bundle::Dsse(envelope)) => self.envelope(&envelope),
            Ok(Bundle::Message(_)) => (Verdict::NoStatement, None),
            Err(BundleError::Certificate) => (Verdict::OtherKey, None),
            Err(BundleError::KeyId) => (Verdict::KeyId, None),
            Err(BundleError::Signatures(_)) => (Verdict::SignatureCount, None),
            Err(_) => (Verdict::Malformed, None),
        }
    }
}
