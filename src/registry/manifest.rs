//! Manifests: HEAD, GET, PUT.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use oci_distribution::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
};

use tokio::time::sleep;

use super::answer::Answer;
use super::client::Client;
use super::transport::Call;
use crate::domain::{Descriptor, Digest};
use crate::ports::{Manifest, RegistryError, RegistryReply};

/// Bytes of a manifest. What registries commonly refuse beyond, and what we read at most.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests>
pub(super) const MAX_MANIFEST: u64 = 4 * 1024 * 1024;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

impl Client {
    /// Media type and size of the manifest of `digest`. One call, or two where the registry's
    /// answer to HEAD does not say both.
    pub(super) async fn resolve(&self, repository: &str, digest: Digest) -> RegistryReply<Descriptor> {
        let call =
            Call::new("head_manifest", Method::HEAD, self.manifest_url(repository, &digest.to_string()))
                .header(ACCEPT, accept());
        let answer = self.retry.run(|| self.send(repository, &call)).await?;
        match answer.status {
            StatusCode::OK => {}
            // It has its own opinion of HEAD; or the body would have said that it is no absence.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED => {
                return self.describe(repository, digest).await;
            }
            _ => return Err(answer.unexpected(&self.host, "HEAD manifest")),
        }
        self.check_stated_digest(&answer, digest)?;
        let size = answer.header(&CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        match (answer.media_type(), size) {
            (Some(_), Some(size)) if size > MAX_MANIFEST => Err(self.host.too_large(MAX_MANIFEST)),
            (Some(media_type), Some(size)) if size > 0 => Ok(Some(Descriptor {
                media_type: media_type.to_owned(),
                size,
                digest,
                artifact_type: None,
                annotations: std::collections::BTreeMap::new(),
            })),
            _ => self.describe(repository, digest).await,
        }
    }

    /// The manifest of `digest`.
    pub(super) async fn manifest(&self, repository: &str, digest: Digest) -> RegistryReply<Manifest> {
        let manifest = self.get_manifest(repository, &digest.to_string()).await?;
        match manifest {
            Some(manifest) if manifest.digest() != digest => {
                Err(self.host.protocol(format!("what it has as manifest {digest} has another digest")))
            }
            manifest => Ok(manifest),
        }
    }

    /// The manifest that `tag` names. What was replaced here a moment ago is not believed at once: the
    /// registry may be behind.
    pub(super) async fn tagged(&self, repository: &str, tag: &str) -> RegistryReply<Manifest> {
        let replaced = |seen: &Option<Manifest>| self.written.replaced(repository, tag, seen.as_ref());
        for pause in self.retry.lag() {
            let seen = self.get_manifest(repository, tag).await?;
            if !replaced(&seen) {
                return Ok(seen);
            }
            sleep(pause).await;
        }
        let seen = self.get_manifest(repository, tag).await?;
        if replaced(&seen) {
            self.written.forget(repository, tag);
        }
        Ok(seen)
    }

    /// Puts exactly the bytes of `manifest` at `reference`, a tag or its own digest, in one attempt:
    /// at a tag, a second one could overwrite what others wrote after the first. Returns the subject
    /// that the registry says it took note of.
    pub(super) async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        manifest: &Manifest,
    ) -> RegistryReply<Digest> {
        if manifest.bytes.len() as u64 > MAX_MANIFEST {
            return Err(self.host.too_large(MAX_MANIFEST));
        }
        let media_type = HeaderValue::try_from(&manifest.media_type)
            .map_err(|_| self.host.protocol("a media type has control characters"))?;
        let call = Call::new("put_manifest", Method::PUT, self.manifest_url(repository, reference))
            .header(CONTENT_TYPE, media_type)
            .body(manifest.bytes.clone().into());
        let answer = self.ask(repository, &call).await?;
        match answer.status.is_success() {
            true => Ok(answer.header(&OCI_SUBJECT).and_then(|subject| subject.trim().parse().ok())),
            false => Err(self.put_refused(reference, &answer)),
        }
    }

    /// What it means that a manifest was not taken at `reference`.
    fn put_refused(&self, reference: &str, answer: &Answer) -> RegistryError {
        let is_tag = !reference.contains(':');
        match answer.refusal(&self.host) {
            Some(error @ (RegistryError::TooManyRequests { .. } | RegistryError::Unavailable { .. })) => {
                error
            }
            // The blobs were taken, so it is not that nothing may be written there.
            _ if is_tag && answer.protects_tag() => self.host.tag_protected(reference, answer.summary()),
            Some(error) => error,
            None if answer.refuses_manifest() => self.host.manifest_refused(answer.summary()),
            None => answer.unexpected_for_write(&self.host, "PUT manifest"),
        }
    }

    async fn get_manifest(&self, repository: &str, reference: &str) -> RegistryReply<Manifest> {
        let call = Call::new("get_manifest", Method::GET, self.manifest_url(repository, reference))
            .header(ACCEPT, accept())
            .limit(MAX_MANIFEST);
        let answer = self.retry.run(|| self.send(repository, &call)).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(answer.unexpected(&self.host, "GET manifest")),
        }
        if answer.media_type().is_none_or(|media_type| media_type == "application/json")
            && let Some(refusal) = answer.disguised_refusal(&self.host)
        {
            return Err(refusal);
        }
        // A body that ends where the connection does looks whole even where it was cut.
        self.check_stated_digest(&answer, Digest::of(&answer.body))?;
        let media_type = answer
            .media_type()
            .ok_or_else(|| self.host.protocol("a manifest came without a media type"))?
            .to_owned();
        Ok(Some(Manifest { media_type, bytes: answer.body }))
    }

    /// As [`Client::resolve`], from the manifest itself.
    async fn describe(&self, repository: &str, digest: Digest) -> RegistryReply<Descriptor> {
        let manifest = self.manifest(repository, digest).await?;
        Ok(manifest.map(|manifest| Descriptor::of(&manifest.media_type, &manifest.bytes)))
    }

    /// # Errors
    /// Where the answer names another SHA-256 digest than `digest`. It need name none.
    fn check_stated_digest(&self, answer: &Answer, digest: Digest) -> Result<(), RegistryError> {
        match answer.header(&DOCKER_CONTENT_DIGEST).and_then(|stated| stated.trim().parse::<Digest>().ok()) {
            Some(stated) if stated != digest => {
                Err(self.host.protocol(format!("it answered manifest {stated} where {digest} was expected")))
            }
            _ => Ok(()),
        }
    }

    fn manifest_url(&self, repository: &str, reference: &str) -> url::Url {
        self.url(repository, &format!("manifests/{reference}"))
    }
}

/// What may be a manifest, in one header: some registries look at the first header `Accept` alone.
fn accept() -> HeaderValue {
    let types = [
        OCI_IMAGE_MEDIA_TYPE,
        OCI_IMAGE_INDEX_MEDIA_TYPE,
        IMAGE_MANIFEST_MEDIA_TYPE,
        IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    ];
    HeaderValue::try_from(types.join(", ")).expect("invariant: media types are visible ASCII characters")
}
