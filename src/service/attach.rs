//! Putting a signature where verifiers look for it, and looking whether it is there.

use crate::domain::{
    Attachment, Claim, Content, Descriptor, Digest, Fingerprint, Format, ImageReference, Key, Record,
    Signing, Timestamp,
};
use crate::format::signature_manifest::{Appended, Layer, MANIFEST_MEDIA_TYPE, SignatureManifest};
use crate::format::{attestation, bundle, dsse, simple_signing, statement};
use crate::ports::{Change, Delivery, Manifest, ManifestUpdate, Referrer, Registry, Upload};

use super::ServiceError;
use super::existing::{bundle_attachment, resolve, tag_reference};

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

/// Which other attestations give way to one: those of its type by one of these keys.
#[derive(Debug, Clone, Default)]
pub struct Outdated(pub Vec<Fingerprint>);

impl Finished {
    /// The signature of a delivery; none where its entry holds no signature of an image.
    pub fn of(delivery: &Delivery) -> Option<Self> {
        // Where in the log the entry is makes no difference here.
        let record = Record::from_entries([(0, &delivery.entry)])?;
        Self::of_record(&record, &delivery.parcel.document)
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
    pub async fn attach(
        &self,
        registry: &dyn Registry,
        seen: Seen,
        outdated: &Outdated,
    ) -> Result<Attachment, ServiceError> {
        let image = &self.image;
        match self.signing.format {
            Format::Cosign => {
                let (layer, blob) = self.layer();
                let update = LayerUpdate { layer, blob, finished: self, outdated };
                let tag = self.tag();
                let manifest = registry.update_tag(&image.repository, &tag, seen.tagged, &update).await?;
                Ok(Attachment { reference: tag_reference(image, &tag), manifest })
            }
            Format::Bundle => {
                let subject = match seen.subject {
                    Some(subject) => subject,
                    None => resolve(registry, image).await?,
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
                let tagged = registry.tagged(&image.repository, &self.tag()).await?;
                let manifest = tagged.as_ref().and_then(|raw| SignatureManifest::parse(&raw.bytes).ok());
                let there = manifest.is_some_and(|manifest| self.is_in(&manifest));
                Ok((there, Seen { tagged, ..Seen::default() }))
            }
            Format::Bundle => {
                let subject = resolve(registry, image).await?;
                let referrers = registry.referrers(image).await?;
                let digest = self.bundle_manifest(&subject);
                let there = referrers.iter().any(|referrer| referrer.digest == digest)
                    && registry.manifest(&image.repository, digest).await?.is_some();
                Ok((there, Seen { subject: Some(subject), tagged: None, referrers }))
            }
        }
    }

    /// Where the signature hangs, as people write it; of a bundle, at which image.
    pub fn reference(&self) -> String {
        match self.signing.format {
            Format::Cosign => tag_reference(&self.image, &self.tag()),
            Format::Bundle => self.image.to_string(),
        }
    }

    /// The digest of the manifest that carries the signature as a bundle.
    pub fn bundle_manifest(&self, subject: &Descriptor) -> Digest {
        self.referrer(subject).descriptor.digest
    }

    /// Whether a layer of the tag's manifest carries the signature.
    pub fn is_in(&self, manifest: &SignatureManifest) -> bool {
        let (layer, _) = self.layer();
        manifest.layers.iter().any(|other| other.is_same(&layer))
    }

    /// The tag below which the signature hangs in the layout `cosign`.
    fn tag(&self) -> String {
        tag(&self.signing.claim, self.image.digest)
    }

    /// The layer of the tag's manifest, and the blob that it names.
    fn layer(&self) -> (Layer, Content) {
        let Self { signing: Signing { claim, key, .. }, document, signature, signed_at, .. } = self;
        match claim {
            Claim::Attestation { predicate_type, .. } => {
                let envelope = dsse::envelope(document, signature);
                (attestation::layer(&envelope, predicate_type, key, *signed_at), envelope)
            }
            Claim::Image | Claim::Blob { .. } => {
                (simple_signing::layer(&document.to_bytes(), signature, key), document.clone())
            }
        }
    }

    fn referrer(&self, subject: &Descriptor) -> Referrer {
        let content = bundle::bundle(&self.signing.key.fingerprint, &self.document, &self.signature);
        let predicate_type = predicate_type(&self.signing.claim);
        let (manifest, descriptor) = bundle::referrer(subject, &content, predicate_type, self.signed_at);
        Referrer {
            upload: Upload {
                blobs: vec![content, bundle::EMPTY_CONFIG.into()],
                manifest: Manifest { media_type: descriptor.media_type.clone(), bytes: manifest },
            },
            descriptor,
        }
    }
}

impl Outdated {
    /// Those by any version of `key`.
    pub fn by(key: &Key) -> Self {
        Self(key.versions.values().map(|version| version.public_key.fingerprint()).collect())
    }

    /// Whether `layer` says that it is one of them, and not younger than `signed_at`. A claim, and whoever made it falsely
    /// loses what he attached.
    pub fn covers(&self, layer: &Layer, claim: &Claim, signed_at: Timestamp) -> bool {
        let Claim::Attestation { predicate_type, .. } = claim else { return false };
        attestation::claims_type(layer, predicate_type)
            && attestation::claimed_date(layer).is_some_and(|date| date <= signed_at)
            && self.0.iter().any(|key| layer.key_fingerprint() == Some(&key.to_string()))
    }
}

/// The tag below which signatures of this claim hang in the layout `cosign`.
pub fn tag(claim: &Claim, image: Digest) -> String {
    match claim {
        Claim::Attestation { .. } => attestation::tag(image),
        Claim::Image | Claim::Blob { .. } => simple_signing::tag(image),
    }
}

/// What the statement of a bundle is of.
pub fn predicate_type(claim: &Claim) -> &str {
    match claim {
        Claim::Attestation { predicate_type, .. } => predicate_type,
        Claim::Image | Claim::Blob { .. } => statement::SIGNATURE_PREDICATE,
    }
}

/// "The tag's manifest has this layer, and none that it replaces", whatever else it has.
struct LayerUpdate<'a> {
    layer: Layer,
    blob: Content,
    finished: &'a Finished,
    outdated: &'a Outdated,
}

impl ManifestUpdate for LayerUpdate<'_> {
    fn apply(&self, current: Option<&Manifest>) -> Result<Change, String> {
        let existing = current.map(|manifest| SignatureManifest::parse(&manifest.bytes)).transpose()?;
        let is_outdated = |layer: &Layer| {
            !layer.is_same(&self.layer)
                && self.outdated.covers(layer, &self.finished.signing.claim, self.finished.signed_at)
        };
        let layers = existing.as_ref().map_or(&[][..], |manifest| manifest.layers.as_slice());
        let there = layers.iter().any(|layer| layer.is_same(&self.layer));
        if there && !layers.iter().any(is_outdated) {
            return Ok(Change::None);
        }
        let gives_way = |layer: &Layer| layer.is_same(&self.layer) || is_outdated(layer);
        let Appended { manifest, config } =
            SignatureManifest::replace(existing, self.layer.clone(), self.finished.signed_at, gives_way);
        Ok(Change::Write(Upload {
            blobs: vec![self.blob.clone(), config.into()],
            manifest: Manifest { media_type: MANIFEST_MEDIA_TYPE.to_owned(), bytes: manifest },
        }))
    }
}
