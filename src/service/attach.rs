//! Putting a signature where verifiers look for it, and looking whether it is there.

use crate::domain::{
    Attachment, Content, Descriptor, Digest, Entry, Event, Format, ImageReference, Outcome, Record, Signing,
    Timestamp,
};
use crate::format::signature_manifest::{Layer, MANIFEST_MEDIA_TYPE, SignatureManifest};
use crate::format::{bundle, simple_signing, statement};
use crate::ports::{Change, Delivery, Manifest, ManifestUpdate, Referrer, Registry, Upload};

use super::ServiceError;
use super::existing::{bundle_attachment, cosign_reference};

/// A signature that exists, with all that its place in the registry is made of. The same one always makes the
/// same bytes there.
#[derive(Debug, Clone)]
pub struct Finished {
    pub image: ImageReference,
    pub signing: Signing,
    pub document: Content,
    pub signature: Vec<u8>,
    pub signed_at: Timestamp,
}

/// What was seen of the image a moment ago, so that it is not asked for again.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The image itself.
    pub subject: Option<Descriptor>,
    /// What the tag of the format named. Where that was nothing, it is written without being read again.
    pub tagged: Option<Manifest>,
    pub referrers: Vec<Descriptor>,
}

impl Finished {
    /// The signature of a delivery; none where its entry is no outcome with a signature of an image.
    pub fn of(delivery: &Delivery) -> Option<Self> {
        let Entry { event: Event::Outcome { signing, result }, subject, .. } = &delivery.entry else {
            return None;
        };
        let Outcome::Signed { signature, signed_at, .. } = result else { return None };
        Some(Self {
            image: subject.image()?,
            signing: signing.clone(),
            document: delivery.parcel.document.clone(),
            signature: signature.clone(),
            signed_at: *signed_at,
        })
    }

    /// The signature of a record over `document`; none where it has no signature, or is of no image.
    pub fn of_record(record: &Record, document: &Content) -> Option<Self> {
        let (signature, signed_at) = record.signature()?;
        Some(Self {
            image: record.subject.image()?,
            signing: record.signing.clone(),
            document: document.clone(),
            signature: signature.clone(),
            signed_at,
        })
    }

    /// Attaches the signature and reads it back. Attaching what is attached already changes nothing.
    ///
    /// # Errors
    /// Where the registry did not take it; then nothing of what others attached is lost.
    pub async fn attach(&self, registry: &dyn Registry, seen: Seen) -> Result<Attachment, ServiceError> {
        let image = &self.image;
        match self.signing.format {
            Format::Cosign => {
                let update =
                    LayerUpdate { layer: self.layer(), payload: &self.document, signed_at: self.signed_at };
                let tag = simple_signing::tag(image.digest);
                let manifest = registry.update_tag(&image.repository, &tag, seen.tagged, &update).await?;
                Ok(Attachment { reference: cosign_reference(image), manifest })
            }
            Format::Bundle => {
                let subject = match seen.subject {
                    Some(subject) => subject,
                    None => subject(registry, image).await?,
                };
                let referrer = self.referrer(&subject);
                let manifest = referrer.descriptor.digest;
                registry.push_referrer(image, referrer, &seen.referrers).await?;
                Ok(bundle_attachment(image, manifest))
            }
        }
    }

    /// Whether the registry still shows the signature, and what was seen meanwhile.
    ///
    /// # Errors
    /// Where the registry could not tell, or the image is gone.
    pub async fn look(&self, registry: &dyn Registry) -> Result<(bool, Seen), ServiceError> {
        let image = &self.image;
        match self.signing.format {
            Format::Cosign => {
                let tagged = registry.tagged(&image.repository, &simple_signing::tag(image.digest)).await?;
                let layer = self.layer();
                let manifest = tagged.as_ref().and_then(|raw| SignatureManifest::parse(&raw.bytes).ok());
                let there = manifest
                    .is_some_and(|manifest| manifest.layers.iter().any(|other| other.is_same(&layer)));
                Ok((there, Seen { tagged, ..Seen::default() }))
            }
            Format::Bundle => {
                let subject = subject(registry, image).await?;
                let referrers = registry.referrers(image).await?;
                let digest = self.referrer(&subject).descriptor.digest;
                let there = referrers.iter().any(|referrer| referrer.digest == digest)
                    && registry.manifest(&image.repository, digest).await?.is_some();
                Ok((there, Seen { subject: Some(subject), tagged: None, referrers }))
            }
        }
    }

    /// Where the signature hangs, as people write it; of a bundle, at which image.
    pub fn reference(&self) -> String {
        match self.signing.format {
            Format::Cosign => cosign_reference(&self.image),
            Format::Bundle => self.image.to_string(),
        }
    }

    /// The digest of the manifest that carries the signature as a bundle.
    pub fn bundle_manifest(&self, subject: &Descriptor) -> Digest {
        self.referrer(subject).descriptor.digest
    }

    fn layer(&self) -> Layer {
        simple_signing::layer(&self.document.to_bytes(), &self.signature, &self.signing.key)
    }

    fn referrer(&self, subject: &Descriptor) -> Referrer {
        let content = bundle::bundle(&self.signing.key.fingerprint, &self.document, &self.signature);
        let (manifest, descriptor) =
            bundle::referrer(subject, &content, statement::SIGNATURE_PREDICATE, self.signed_at);
        Referrer {
            upload: Upload {
                blobs: vec![content, bundle::EMPTY_CONFIG.into()],
                manifest: Manifest { media_type: descriptor.media_type.clone(), bytes: manifest },
            },
            descriptor,
        }
    }
}

async fn subject(registry: &dyn Registry, image: &ImageReference) -> Result<Descriptor, ServiceError> {
    registry.resolve(image).await?.ok_or_else(|| ServiceError::ImageNotFound(image.clone()))
}

/// "The tag's manifest has this layer", whatever else it has.
struct LayerUpdate<'a> {
    layer: Layer,
    payload: &'a Content,
    signed_at: Timestamp,
}

impl ManifestUpdate for LayerUpdate<'_> {
    fn apply(&self, current: Option<&Manifest>) -> Result<Change, String> {
        let existing = current.map(|manifest| SignatureManifest::parse(&manifest.bytes)).transpose()?;
        if existing
            .as_ref()
            .is_some_and(|manifest| manifest.layers.iter().any(|layer| layer.is_same(&self.layer)))
        {
            return Ok(Change::None);
        }
        let appended = SignatureManifest::append(existing, self.layer.clone(), self.signed_at);
        Ok(Change::Write(Upload {
            blobs: vec![self.payload.clone(), appended.config.into()],
            manifest: Manifest { media_type: MANIFEST_MEDIA_TYPE.to_owned(), bytes: appended.manifest },
        }))
    }
}
