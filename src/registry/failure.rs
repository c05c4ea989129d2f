//! The errors of one registry, with its name in them.

use std::time::Duration;

use crate::causes;
use crate::ports::RegistryError;

/// A registry's configured host, which every error about it names.
#[derive(Debug, Clone)]
pub(super) struct Host(String);

impl Host {
    pub(super) const fn new(name: String) -> Self {
        Self(name)
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }

    pub(super) fn unavailable(&self, reason: impl Into<String>) -> RegistryError {
        self.unavailable_for(reason, None)
    }

    pub(super) fn unavailable_for(
        &self,
        reason: impl Into<String>,
        retry_after: Option<Duration>,
    ) -> RegistryError {
        RegistryError::Unavailable { host: self.0.clone(), reason: reason.into(), retry_after }
    }

    pub(super) fn too_many_requests(&self, retry_after: Option<Duration>) -> RegistryError {
        RegistryError::TooManyRequests { host: self.0.clone(), retry_after }
    }

    pub(super) fn denied(&self, reason: impl Into<String>) -> RegistryError {
        RegistryError::Denied { host: self.0.clone(), reason: reason.into() }
    }

    pub(super) fn timeout(&self, after: Duration) -> RegistryError {
        RegistryError::Timeout { host: self.0.clone(), after }
    }

    pub(super) fn referrers_unsupported(&self, reason: impl Into<String>) -> RegistryError {
        RegistryError::ReferrersUnsupported { host: self.0.clone(), reason: reason.into() }
    }

    pub(super) fn tag_protected(&self, tag: &str, reason: impl Into<String>) -> RegistryError {
        RegistryError::TagProtected { host: self.0.clone(), tag: tag.to_owned(), reason: reason.into() }
    }

    pub(super) fn manifest_refused(&self, reason: impl Into<String>) -> RegistryError {
        RegistryError::ManifestRefused { host: self.0.clone(), reason: reason.into() }
    }

    pub(super) fn occupied(&self, reference: impl Into<String>, reason: impl Into<String>) -> RegistryError {
        RegistryError::Occupied { host: self.0.clone(), reference: reference.into(), reason: reason.into() }
    }

    pub(super) fn too_large(&self, limit: u64) -> RegistryError {
        RegistryError::TooLarge { host: self.0.clone(), limit }
    }

    pub(super) fn protocol(&self, reason: impl Into<String>) -> RegistryError {
        RegistryError::Protocol { host: self.0.clone(), reason: reason.into() }
    }
}

/// What went wrong with a call, down to the first cause. Without the URL: the query of an upload
/// session or of a storage redirect is as good as a password.
pub(super) fn causes(error: reqwest::Error) -> String {
    causes::causes(&error.without_url())
}

/// `text` from outside, fit for one line of a log: at most 200 characters, no control characters.
pub(super) fn one_line(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
