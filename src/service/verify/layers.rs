//! The `cosign` layout: layers below a tag, `.sig` for signatures and `.att` for attestations.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};

use crate::domain::{Attachment, Claim, Content, Digest, Format};
use crate::format::attestation::{self, ENVELOPE_MEDIA_TYPE};
use crate::format::claims::Claims;
use crate::format::dsse::{self, Envelope};
use crate::format::signature_manifest::{Layer, SignatureManifest};
use crate::format::simple_signing::{self, PAYLOAD_MEDIA_TYPE};
use crate::service::ServiceError;
use crate::service::existing::tag_reference;

use super::judge::{Finding, Judge, MAX_SIGNATURES, MAX_SMALL, OPENED_AT_ONCE};
use super::{Inspected, Statement, Verdict};

impl Judge<'_> {
    /// Every layer below the image's tag, in its order.
    ///
    /// # Errors
    /// Where the registry can not tell what the tag names, or there are more layers than verifiers take.
    pub async fn layers(&self) -> Result<Vec<Inspected>, ServiceError> {
        let image = &self.request.image;
        let tag = if self.attests() { attestation::tag } else { simple_signing::tag }(image.digest);
        let Some(raw) = self.registry.tagged(&image.repository, &tag).await? else { return Ok(Vec::new()) };
        let attachment = Attachment { reference: tag_reference(image, &tag), manifest: raw.digest() };
        let inspected = |blob, (verdict, statement)| {
            let attachment = attachment.clone();
            Inspected { format: Format::Cosign, attachment, blob, verdict, statement }
        };
        let Ok(SignatureManifest { layers, .. }) = SignatureManifest::parse(&raw.bytes) else {
            return Ok(vec![inspected(None, (Verdict::Malformed, None))]);
        };
        if layers.len() > MAX_SIGNATURES {
            return Err(ServiceError::TooManyToVerify { has: layers.len(), limit: MAX_SIGNATURES });
        }

        // What several layers share is fetched once.
        let mut blobs = BTreeMap::<(Digest, u64), Vec<usize>>::new();
        let mut findings = Vec::with_capacity(layers.len());
        for (place, layer) in layers.iter().enumerate() {
            match self.unopened_layer(layer) {
                Some(verdict) => findings.push((place, (verdict, None))),
                None => blobs.entry((layer.digest, layer.size)).or_default().push(place),
            }
        }
        let opening: Vec<_> =
            blobs.into_iter().map(|(blob, places)| self.sharing_layers(blob, &layers, places)).collect();
        let opened: Vec<_> = stream::iter(opening).buffer_unordered(OPENED_AT_ONCE).concat().await;
        findings.extend(opened);
        findings.sort_by_key(|(place, _)| *place);
        let blob = |place: usize| Some(layers[place].digest);
        Ok(findings.into_iter().map(|(place, finding)| inspected(blob(place), finding)).collect())
    }

    /// What is to be said of the layers at `places`, which name one blob: a finding for each.
    async fn sharing_layers(
        &self,
        (digest, size): (Digest, u64),
        layers: &[Layer],
        places: Vec<usize>,
    ) -> Vec<(usize, Finding)> {
        let same = |finding: Finding| places.iter().map(|place| (*place, finding.clone())).collect();
        let limit = if self.attests() { dsse::MAX_BYTES } else { MAX_SMALL };
        let mut blob = match self.open(digest, size, limit).await {
            Ok(blob) => blob,
            Err(verdict) => return same((verdict, None)),
        };
        if self.attests() {
            let envelope = Envelope::parse(&blob.take());
            return same(envelope.map_or((Verdict::Malformed, None), |envelope| self.envelope(&envelope)));
        }
        let payload = Content::from(blob.take());
        let mut findings = Vec::with_capacity(places.len());
        for place in places {
            findings.push((place, self.signature(&layers[place], &payload)));
            // Checking a signature is work, and there may be many.
            tokio::task::yield_now().await;
        }
        findings
    }

    fn signature(&self, layer: &Layer, payload: &Content) -> Finding {
        let Some(signature) = layer.signature() else { return (Verdict::Malformed, None) };
        let Some(key) = self.signatory(payload, &signature) else { return (Verdict::OtherKey, None) };
        let Some(claims) = Claims::read(&payload.to_bytes()) else { return (Verdict::Malformed, None) };
        let image = &self.request.image;
        let is_it = claims.digest == image.digest.to_string();
        let is_there = claims.are_about(&image.repository);
        let statement = Statement {
            key,
            annotations: claims.annotations,
            predicate_type: None,
            signed_at: None,
            signature,
            claim: Claim::Image,
        };
        let verdict = match (is_it, is_there) {
            (false, _) => Verdict::DigestMismatch,
            (true, false) => Verdict::RepositoryMismatch,
            (true, true) => self.answers(&statement),
        };
        (verdict, Some(statement))
    }

    /// What can be said of a layer without its blob. The annotation with the signature has to be there for
    /// attestations too, where it is empty.
    fn unopened_layer(&self, layer: &Layer) -> Option<Verdict> {
        let media_type = if self.attests() { ENVELOPE_MEDIA_TYPE } else { PAYLOAD_MEDIA_TYPE };
        if layer.media_type != media_type {
            Some(Verdict::MediaType)
        } else if layer.signature().is_none() {
            Some(Verdict::Malformed)
        } else {
            self.unopened(layer.size, attestation::claimed_type(layer))
        }
    }
}
