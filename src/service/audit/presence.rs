//! Whether a signature is where the log says that it is, asked now.

use std::time::Duration;

use crate::domain::{AttachResult, Claim, Event, Format, ImageReference, Record};
use crate::format::attestation;
use crate::format::dsse::{self, Envelope};
use crate::format::signature_manifest::Layer;
use crate::service::attach::{predicate_type, tag};
use crate::service::existing::{Referrers, Tagged, bundle_attachment, tag_reference};
use crate::service::{Service, ServiceError};

/// What a registry says of one signature. "Could not tell" is never "gone".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is there.
    There { reference: String },
    /// The registry has answered, and does not have it.
    Gone { reference: String },
    /// The registry did not answer, or not so that it could be told.
    Unknown { reference: String, code: &'static str },
    /// There is no place to look at: no signature, or one of a file.
    Nowhere,
}

/// How long somebody who looks at a page waits for a registry.
const PATIENCE: Duration = Duration::from_secs(3);

/// Attestations of one image that are opened to find one.
const MAX_OPENED: usize = 20;

impl Service {
    /// Asks the registry for the signature of `record`; `manifest` carries it, where the log has ever said so. At most
    /// [`PATIENCE`] long.
    pub(super) async fn presence(&self, record: &Record, events: &[&Event]) -> Presence {
        let (Some(image), Some((signature, _))) = (record.subject.image(), record.signature()) else {
            return Presence::Nowhere;
        };
        let attached = events.iter().rev().find_map(|event| match event {
            Event::Attach { result: AttachResult::Attached { manifest, .. }, .. }
            | Event::Adopted { manifest, .. } => Some(*manifest),
            _ => None,
        });
        let reference = match (record.signing.format, attached) {
            (Format::Cosign, _) => tag_reference(&image, &tag(&record.signing.claim, image.digest)),
            (Format::Bundle, Some(manifest)) => bundle_attachment(&image, manifest).reference,
            (Format::Bundle, None) => image.to_string(),
        };
        let looking = async {
            self.registry_settings(&image)?;
            match (record.signing.format, attached) {
                (Format::Cosign, _) => self.is_tagged(&image, &record.signing.claim, signature).await,
                (Format::Bundle, Some(manifest)) => {
                    let referrers = Referrers::read(self.registry.as_ref(), &image).await?;
                    Ok(referrers.contains(manifest)
                        && self.registry.manifest(&image.repository, manifest).await?.is_some())
                }
                // It was never attached as far as we know.
                (Format::Bundle, None) => Ok(false),
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(Ok(true)) => Presence::There { reference },
            Ok(Ok(false)) => Presence::Gone { reference },
            Ok(Err(error)) => {
                tracing::info!(%error, reference, "it can not be told whether a signature is there");
                Presence::Unknown { reference, code: error.code() }
            }
            Err(_) => Presence::Unknown { reference, code: "timeout" },
        }
    }

    /// Whether one of the layers below the image's tag carries `signature`.
    async fn is_tagged(
        &self,
        image: &ImageReference,
        claim: &Claim,
        signature: &[u8],
    ) -> Result<bool, ServiceError> {
        let registry = self.registry.as_ref();
        let tagged = Tagged::read(registry, image, &tag(claim, image.digest)).await?;
        if claim.is_image() {
            return Ok(tagged.layers().iter().any(|layer| layer.signature().as_deref() == Some(signature)));
        }
        // The signature of an attestation is within its envelope.
        let of_type = |layer: &&Layer| attestation::claims_type(layer, predicate_type(claim));
        for layer in tagged.layers().iter().filter(of_type).take(MAX_OPENED) {
            let blob = registry.blob(&image.repository, layer.digest, dsse::MAX_BYTES).await?;
            let envelope = blob.and_then(|blob| Envelope::parse(&blob).ok());
            if envelope.is_some_and(|envelope| envelope.only_signature() == Some(signature)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
