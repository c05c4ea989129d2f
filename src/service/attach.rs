//! Putting a signature where verifiers look for it.

use crate::domain::{Attachment, Descriptor, Format, Timestamp};
use crate::format::signature_manifest::{Layer, MANIFEST_MEDIA_TYPE, SignatureManifest};
use crate::format::{bundle, simple_signing, statement};
use crate::ports::{Change, Manifest, ManifestUpdate, Referrer, Registry, Upload};

use super::ServiceError;
use super::existing::{CosignSignatures, Referrers, bundle_attachment, cosign_reference};
use super::wanted::Wanted;

/// What is known of the image's place when a signature is to be attached.
#[derive(Debug)]
pub struct Place<'a> {
    pub subject: &'a Descriptor,
    pub cosign: &'a CosignSignatures,
    pub referrers: &'a Referrers,
    pub max_signatures: usize,
}

impl Place<'_> {
    /// To be asked before anything is signed: what has no place is not made.
    ///
    /// # Errors
    /// Where the image has as many signatures as it may have.
    pub fn require_room(&self, format: Format) -> Result<(), ServiceError> {
        let signatures = match format {
            Format::Cosign => self.cosign.manifest.as_ref().map_or(0, |manifest| manifest.layers.len()),
            Format::Bundle => self.referrers.0.iter().filter(|referrer| bundle::is_bundle(referrer)).count(),
        };
        match signatures < self.max_signatures {
            true => Ok(()),
            false => Err(ServiceError::TooManySignatures { limit: self.max_signatures }),
        }
    }
}

/// Attaches `signature` and reads it back. Attaching what is attached already changes nothing.
///
/// # Errors
/// Where the registry did not take it; then nothing of what others attached is lost.
pub async fn attach(
    registry: &dyn Registry,
    wanted: &Wanted,
    signature: &[u8],
    signed_at: Timestamp,
    place: &Place<'_>,
) -> Result<Attachment, ServiceError> {
    let image = &wanted.image;
    match wanted.format {
        Format::Cosign => {
            let update = LayerUpdate {
                layer: simple_signing::layer(&wanted.document, signature, &wanted.key),
                payload: &wanted.document,
                signed_at,
            };
            let (tag, known) = (simple_signing::tag(image.digest), place.cosign.raw.clone());
            let manifest = registry.update_tag(&image.repository, &tag, known, &update).await?;
            Ok(Attachment { reference: cosign_reference(image), manifest })
        }
        Format::Bundle => {
            let referrer = bundle_referrer(wanted, signature, signed_at, place.subject);
            let manifest = referrer.descriptor.digest;
            registry.push_referrer(image, referrer, &place.referrers.0).await?;
            Ok(bundle_attachment(image, manifest))
        }
    }
}

/// How a bundle of ours looks in the registry: the same for the same signature and time.
pub fn bundle_referrer(
    wanted: &Wanted,
    signature: &[u8],
    signed_at: Timestamp,
    subject: &Descriptor,
) -> Referrer {
    let content = bundle::bundle(&wanted.key.fingerprint, &wanted.document.clone().into(), signature);
    let (manifest, descriptor) =
        bundle::referrer(subject, &content, statement::SIGNATURE_PREDICATE, signed_at);
    Referrer {
        upload: Upload {
            blobs: vec![content, bundle::EMPTY_CONFIG.into()],
            manifest: Manifest { media_type: descriptor.media_type.clone(), bytes: manifest },
        },
        descriptor,
    }
}

/// "The tag's manifest has this layer", whatever else it has.
struct LayerUpdate<'a> {
    layer: Layer,
    payload: &'a [u8],
    signed_at: Timestamp,
}

impl ManifestUpdate for LayerUpdate<'_> {
    fn apply(&self, current: Option<&Manifest>) -> Result<Change, String> {
        let existing = current.map(|manifest| SignatureManifest::parse(&manifest.bytes)).transpose()?;
        if existing.as_ref().is_some_and(|manifest| manifest.layers.contains(&self.layer)) {
            return Ok(Change::None);
        }
        let appended = SignatureManifest::append(existing, self.layer.clone(), self.signed_at);
        Ok(Change::Write(Upload {
            blobs: vec![self.payload.to_vec().into(), appended.config.into()],
            manifest: Manifest { media_type: MANIFEST_MEDIA_TYPE.to_owned(), bytes: appended.manifest },
        }))
    }
}
