//! What an image has already: which layout, and whether the wanted signature is among it.
//!
//! Only what verifies counts: somebody may have planted junk with our annotations.

use crate::domain::{Attachment, Content, Descriptor, Digest, Format, ImageReference};
use crate::format::signature_manifest::{Layer, SignatureManifest};
use crate::format::{bundle, simple_signing, statement};
use crate::ports::{Manifest, Registry, RegistryError};

use super::ServiceError;
use super::wanted::Wanted;

/// What hangs below the image's `.sig` tag.
#[derive(Debug, Clone, Default)]
pub struct CosignSignatures {
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

impl CosignSignatures {
    /// # Errors
    /// Where the registry could not tell, or the tag names something that is no signature manifest.
    pub async fn read(registry: &dyn Registry, image: &ImageReference) -> Result<Self, ServiceError> {
        let tag = simple_signing::tag(image.digest);
        let Some(raw) = registry.tagged(&image.repository, &tag).await? else { return Ok(Self::default()) };
        match SignatureManifest::parse(&raw.bytes) {
            Ok(manifest) => Ok(Self { raw: Some(raw), manifest: Some(manifest) }),
            Err(reason) => Err(ServiceError::Occupied { reference: cosign_reference(image), reason }),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.manifest.as_ref().is_none_or(|manifest| manifest.layers.is_empty())
    }

    /// The wanted signature. Costs no call: its payload is known, and its layer says the rest.
    pub fn find(&self, wanted: &Wanted, image: &ImageReference) -> Option<Found> {
        let payload = wanted.payload;
        let layers = self.manifest.iter().flat_map(|manifest| &manifest.layers);
        let signature = layers
            .filter(|layer| layer.digest == payload && layer.media_type == simple_signing::PAYLOAD_MEDIA_TYPE)
            .filter_map(Layer::signature)
            .find(|signature| wanted.is_met_by(signature))?;
        let manifest = self.raw.as_ref()?.digest();
        let attachment = Attachment { reference: cosign_reference(image), manifest };
        Some(Found { document: wanted.document.clone(), signature, attachment })
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
        limit: usize,
    ) -> Result<Option<Found>, ServiceError> {
        for descriptor in self.0.iter().filter(|descriptor| bundle::is_bundle(descriptor)).take(limit) {
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
    let layer = bundle::bundle_layer(&manifest.bytes).filter(|layer| {
        let claimed = layer.predicate_type.as_deref();
        layer.size <= bundle::MAX_SIGNATURE_BYTES
            && claimed.is_none_or(|claimed| claimed == statement::SIGNATURE_PREDICATE)
    });
    let Some(layer) = layer else { return Ok(None) };
    let content = registry.blob(repository, layer.digest, bundle::MAX_SIGNATURE_BYTES).await?;
    let Some(content) = content else { return Ok(None) };
    let signed = bundle::matching_signature(&content, image.digest, &wanted.annotations, wanted.verifier());
    Ok(signed.map(|signed| Found {
        document: signed.statement.into(),
        signature: signed.signature,
        attachment,
    }))
}

/// The layout that counts for verifiers: once an image has a bundle, they look at bundles alone.
pub fn layout(cosign: &CosignSignatures, referrers: &Referrers) -> Option<Format> {
    match (cosign.is_empty(), referrers.has_bundles()) {
        (_, true) => Some(Format::Bundle),
        (false, false) => Some(Format::Cosign),
        (true, false) => None,
    }
}

/// Where an image's `.sig` signatures hang, as people write it.
pub fn cosign_reference(image: &ImageReference) -> String {
    format!("{}:{}", image.repository, simple_signing::tag(image.digest))
}

/// Where a bundle hangs.
pub fn bundle_attachment(image: &ImageReference, manifest: Digest) -> Attachment {
    Attachment { reference: format!("{}@{manifest}", image.repository), manifest }
}
