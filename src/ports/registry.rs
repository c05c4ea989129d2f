use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{Content, Descriptor, Digest, Format, ImageReference, Repository};

/// A manifest, as exact bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Manifest {
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// A manifest to push, with the blobs that it names and the registry may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    pub blobs: Vec<Content>,
    pub manifest: Manifest,
}

/// A manifest with a `subject`, and how an index of referrers describes it.
#[derive(Debug, Clone)]
pub struct Referrer {
    pub upload: Upload,
    pub descriptor: Descriptor,
}

/// What an update does to the manifest that a tag names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// What should be there is there.
    None,
    Write(Upload),
}

/// A change that can be made again to whatever somebody else wrote meanwhile.
pub trait ManifestUpdate: Send + Sync {
    /// What to do where the tag names `current`, or nothing. Keeps everything that `current` holds.
    ///
    /// # Errors
    /// Where `current` is nothing that the update may touch; the text says what it is instead.
    fn apply(&self, current: Option<&Manifest>) -> Result<Change, String>;
}

/// What an operator decided about one registry, as far as the service needs to know it.
#[derive(Debug, Clone, Copy)]
pub struct RegistrySettings {
    /// The format of images that have no signature yet.
    pub default_format: Format,
    /// Whether one image may carry both formats.
    pub allow_mixed_layouts: bool,
    /// How many signatures one image may have.
    pub max_signatures: usize,
}

/// An answer about something that may not be there. "Could not tell" is always an error.
pub type RegistryReply<T> = Result<Option<T>, RegistryError>;

/// The registries that are configured. `None` means that the registry said "not there", never that it failed.
#[async_trait]
pub trait Registry: Send + Sync {
    /// What was decided about `host`; `None` where it is not configured.
    fn settings(&self, host: &str) -> Option<RegistrySettings>;

    /// Media type and size of the image's manifest.
    async fn resolve(&self, image: &ImageReference) -> RegistryReply<Descriptor>;

    /// The manifest that `tag` names, at most 4 MiB.
    async fn tagged(&self, repository: &Repository, tag: &str) -> RegistryReply<Manifest>;

    /// The manifest of this digest, checked against it, at most 4 MiB.
    async fn manifest(&self, repository: &Repository, digest: Digest) -> RegistryReply<Manifest>;

    /// The blob of this digest, checked against it.
    ///
    /// # Errors
    /// [`RegistryError::TooLarge`] where it has more than `limit` bytes, or more are announced: then none is read.
    async fn blob(&self, repository: &Repository, digest: Digest, limit: u64) -> RegistryReply<Vec<u8>>;

    /// Everything that refers to the image: from the referrers API, or from the fallback index.
    ///
    /// # Errors
    /// [`RegistryError::ReferrersUnsupported`] where the registry has neither.
    async fn referrers(&self, image: &ImageReference) -> Result<Vec<Descriptor>, RegistryError>;

    /// Makes `update` true of `tag`: reads, writes, reads back, and begins again where somebody else's
    /// write won. Returns the digest of the manifest that the tag names then. `known` is what the tag named
    /// a moment ago: where that was nothing, it is written without being read again.
    async fn update_tag(
        &self,
        repository: &Repository,
        tag: &str,
        known: Option<Manifest>,
        update: &dyn ManifestUpdate,
    ) -> Result<Digest, RegistryError>;

    /// Pushes a referrer of `image` and makes sure that listing the referrers shows it.
    /// `known` is what listing them said a moment ago.
    async fn push_referrer(
        &self,
        image: &ImageReference,
        referrer: Referrer,
        known: &[Descriptor],
    ) -> Result<(), RegistryError>;
}

/// Why a registry did not do it, or could not tell. The texts are for our log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    #[error("no registry `{0}` is configured")]
    NotConfigured(String),
    #[error("{host} can not be reached or failed: {reason}")]
    Unavailable { host: String, reason: String, retry_after: Option<Duration> },
    #[error("{host} asks for fewer requests")]
    TooManyRequests { host: String, retry_after: Option<Duration> },
    #[error("{host} refused: {reason}")]
    Denied { host: String, reason: String },
    #[error("{host} took longer than {after:?}")]
    Timeout { host: String, after: Duration },
    /// The reason is in words of ours, and fit for callers.
    #[error("{host} can not list what refers to an image: {reason}")]
    ReferrersUnsupported { host: String, reason: String },
    #[error("{host} protects the tag {tag}: {reason}")]
    TagProtected { host: String, tag: String, reason: String },
    #[error("{host} does not take manifests of this kind: {reason}")]
    ManifestRefused { host: String, reason: String },
    #[error("{host} has something else at {reference}: {reason}")]
    Occupied { host: String, reference: String, reason: String },
    #[error("{host} has something of more than {limit} bytes")]
    TooLarge { host: String, limit: u64 },
    #[error("{host} broke the distribution specification: {reason}")]
    Protocol { host: String, reason: String },
}
