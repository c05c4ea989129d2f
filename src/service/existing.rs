//! What an image has already: which layout, and whether the wanted signature is among it.
//!
//! Only what verifies counts: somebody may have planted junk with our annotations.

use bytes::Bytes;

use crate::domain::{Attachment, Claim, Content, Descriptor, Digest, Format, ImageReference, SigningInput};
use crate::format::bundle::{self, Bundle};
use crate::format::dsse::{self, Envelope};
use crate::format::signature_manifest::{Layer, SignatureManifest};
use crate::format::statement::{self, Statement};
use crate::format::{attestation, simple_signing};
use crate::ports::{Manifest, Registry, RegistryError};

use super::ServiceError;
use super::attach::predicate_type;
use super::wanted::Wanted;

/// The image itself.
///
/// # Errors
/// Where the registry has not got it, or could not tell.
pub async fn resolve(registry: &dyn Registry, image: &ImageReference) -> Result<Descriptor, ServiceError> {
    registry.resolve(image).await?.ok_or_else(|| ServiceError::ImageNotFound(image.clone()))
}

/// What hangs below one of the image's tags, `.sig` or `.att`.
#[derive(Debug, Clone, Default)]
pub struct Tagged {
    pub raw: Option<Manifest>,
    pub manifest: Option<SignatureManifest>,
}

/// What refers to the image.
#[derive(Debug, Clone, Default)]
pub struct Referrers(pub Vec<Descriptor>);

/// A signature that is there and verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The document that it signs, in the bytes that were signed.
    pub document: Content,
    pub signature: Vec<u8>,
    pub attachment: Attachment,
}

impl Tagged {
    /// # Errors
    /// Where the registry could not tell, or the tag names something that is no signature manifest.
    pub async fn read(
        registry: &dyn Registry,
        image: &ImageReference,
        tag: &str,
    ) -> Result<Self, ServiceError> {
        let Some(raw) = registry.tagged(&image.repository, tag).await? else { return Ok(Self::default()) };
        match SignatureManifest::parse(&raw.bytes) {
            Ok(manifest) => Ok(Self { raw: Some(raw), manifest: Some(manifest) }),
            Err(reason) => Err(ServiceError::Occupied { reference: tag_reference(image, tag), reason }),
        }
    }

    pub fn layers(&self) -> &[Layer] {
        self.manifest.as_ref().map_or(&[], |manifest| &manifest.layers)
    }

    pub fn is_empty(&self) -> bool {
        self.layers().is_empty()
    }

    /// Where what is found here is attached.
    pub fn attachment(&self, image: &ImageReference, tag: &str) -> Option<Attachment> {
        let manifest = self.raw.as_ref()?.digest();
        Some(Attachment { reference: tag_reference(image, tag), manifest })
    }

    /// The signature of an image that is wanted. Costs no call: its payload is known, and its layer says the rest.
    pub fn find_signature(&self, wanted: &Wanted) -> Option<Vec<u8>> {
        self.layers()
            .iter()
            .filter(|layer| {
                layer.digest == wanted.payload
                    && layer.media_type == simple_signing::PAYLOAD_MEDIA_TYPE
                    // Verifiers take no payload of another size than its layer's.
                    && layer.size == wanted.document.len() as u64
            })
            .filter_map(Layer::signature)
            .find(|signature| wanted.is_met_by(signature))
    }

    /// The attestation that is wanted, with its statement. Costs a call for each layer that says it is of this type and
    /// has about the size, so it is the last resort: what our log knows is found without.
    ///
    /// # Errors
    /// Where the registry could not tell.
    pub async fn find_attestation(
        &self,
        registry: &dyn Registry,
        wanted: &Wanted,
        image: &ImageReference,
    ) -> Result<Option<(Content, Vec<u8>)>, ServiceError> {
        let candidates = self.layers().iter().filter(|layer| {
            attestation::claims_type(layer, predicate_type(&wanted.claim)) && may_hold(layer.size, wanted)
        });
        for layer in candidates.take(MAX_OPENED) {
            let blob = registry.blob(&image.repository, layer.digest, dsse::MAX_BYTES).await?;
            let envelope = blob.and_then(|blob| Envelope::parse(&blob).ok());
            if let Some((statement, signature)) = envelope.and_then(|envelope| met_by(wanted, &envelope)) {
                return Ok(Some((statement.into(), signature)));
            }
        }
        Ok(None)
    }
}

impl Referrers {
    /// # Errors
    /// Where the registry could not tell, or can not list referrers at all.
    pub async fn read(registry: &dyn Registry, image: &ImageReference) -> Result<Self, RegistryError> {
        Ok(Self(registry.referrers(image).await?))
    }

    pub fn has_bundles(&self) -> bool {
        self.0.iter().any(bundle::is_bundle)
    }

    pub fn contains(&self, manifest: Digest) -> bool {
        self.0.iter().any(|descriptor| descriptor.digest == manifest)
    }

    /// The wanted signature among all bundles. Costs two calls a bundle, so it is the last resort: what our
    /// log knows is found without.
    pub async fn find(
        &self,
        registry: &dyn Registry,
        wanted: &Wanted,
        image: &ImageReference,
    ) -> Result<Option<Found>, ServiceError> {
        let claimed = |descriptor: &&Descriptor| claims_type(bundle::claimed_type(descriptor), wanted);
        let bundles = self.0.iter().filter(|descriptor| bundle::is_bundle(descriptor)).filter(claimed);
        for descriptor in bundles.take(MAX_OPENED) {
            let found = open_bundle(registry, wanted, image, descriptor.digest).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// The wanted signature, where it is what the bundle of this manifest holds. Costs two calls.
///
/// # Errors
/// Where the registry could not tell.
pub async fn open_bundle(
    registry: &dyn Registry,
    wanted: &Wanted,
    image: &ImageReference,
    manifest: Digest,
) -> Result<Option<Found>, ServiceError> {
    let repository = &image.repository;
    let attachment = bundle_attachment(image, manifest);
    let Some(manifest) = registry.manifest(repository, manifest).await? else { return Ok(None) };
    let layer = bundle::bundle_layer(&manifest.bytes)
        .filter(|layer| claims_type(layer.predicate_type.as_deref(), wanted) && may_hold(layer.size, wanted));
    let Some(layer) = layer else { return Ok(None) };
    let Some(content) = registry.blob(repository, layer.digest, layer.size).await? else { return Ok(None) };
    let Ok(Bundle::Dsse(envelope)) = Bundle::parse(&content) else { return Ok(None) };
    Ok(met_by(wanted, &envelope).map(|(statement, signature)| Found {
        document: statement.into(),
        signature,
        attachment,
    }))
}

/// The statement and the signature of `envelope`, where they are what is wanted. The statement's bytes may differ from
/// ours: others write fields in other orders.
fn met_by(wanted: &Wanted, envelope: &Envelope) -> Option<(Bytes, Vec<u8>)> {
    let signature = envelope.only_signature().filter(|_| envelope.payload_type == dsse::IN_TOTO)?;
    let image = wanted.subject.digest;
    let says_it = match &wanted.claim {
        Claim::Image => statement::says_signed(&envelope.payload, image, &wanted.annotations),
        Claim::Attestation { predicate_type, predicate } => {
            Statement::parse(&envelope.payload).is_ok_and(|statement| {
                statement.predicate_type == *predicate_type
                    && statement.is_about(image)
                    && statement.predicate().is_some_and(|bytes| Digest::of(bytes) == *predicate)
            })
        }
        Claim::Blob { .. } => false,
    };
    let (key, hash) = wanted.verifier();
    let verifies = || key.verifies(&SigningInput::of(key.key_type(), hash, &envelope.signed()), signature);
    (says_it && verifies()).then(|| (envelope.payload.clone(), signature.to_vec()))
}

/// Whether something that says that it is of type `claimed`, or does not say it, may be what is wanted.
fn claims_type(claimed: Option<&str>, wanted: &Wanted) -> bool {
    claimed.is_none_or(|claimed| claimed == predicate_type(&wanted.claim))
}

/// Whether an envelope or a bundle of `size` bytes may hold what is wanted, so that nothing large is read in vain.
fn may_hold(size: u64, wanted: &Wanted) -> bool {
    match &wanted.claim {
        Claim::Image | Claim::Blob { .. } => size <= bundle::MAX_SIGNATURE_BYTES,
        Claim::Attestation { .. } => {
            let encoded = wanted.document.len() as u64 / 3 * 4;
            (encoded..=encoded + SLACK).contains(&size.saturating_add(SLACK / 2))
        }
    }
}

/// Bytes by which two envelopes or bundles around the same predicate may differ: signatures, and what others write around
/// them.
const SLACK: u64 = 32 * 1024;

/// Layers or bundles that are opened in search of a signature that our log does not know.
const MAX_OPENED: usize = 100;

/// The layout that counts for verifiers: once an image has a bundle, they look at bundles alone.
pub fn layout(tagged: &[&Tagged], referrers: &Referrers) -> Option<Format> {
    if referrers.has_bundles() {
        return Some(Format::Bundle);
    }
    tagged.iter().any(|tagged| !tagged.is_empty()).then_some(Format::Cosign)
}

/// Where what hangs below a tag hangs, as people write it.
pub fn tag_reference(image: &ImageReference, tag: &str) -> String {
    format!("{}:{tag}", image.repository)
}

/// Where a bundle hangs.
pub fn bundle_attachment(image: &ImageReference, manifest: Digest) -> Attachment {
    Attachment { reference: format!("{}@{manifest}", image.repository), manifest }
}
