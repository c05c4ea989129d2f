//! Which key signs, and in which version.

use crate::domain::{KeyName, KeyType, KeyVersion, Operation};
use crate::ports::{Question, SignerError};

use super::wanted::ChosenKey;
use super::{Caller, Service, ServiceError};

/// What `operation` answers; where a rotation came between choosing the version and using it, what it answers
/// then. Whoever `asked` for a version gets that one or none; the others do not care which it is.
pub(super) async fn across_rotation<T, F>(
    asked: Option<KeyVersion>,
    operation: impl Fn() -> F,
) -> Result<T, ServiceError>
where
    F: Future<Output = Result<T, ServiceError>>,
{
    match operation().await {
        Err(ServiceError::Signer(SignerError::VersionUnavailable { .. })) if asked.is_none() => {
            operation().await
        }
        answer => answer,
    }
}

/// The keys of the configuration by what each may sign, sorted.
#[derive(Debug, Clone, Default)]
pub struct KeyPurposes {
    pub images: Vec<KeyName>,
    pub attestations: Vec<KeyName>,
    pub blobs: Vec<KeyName>,
}

impl KeyPurposes {
    /// The keys that `operation` can use.
    pub fn of(&self, operation: Operation) -> &[KeyName] {
        match operation {
            Operation::Sign => &self.images,
            Operation::Attest => &self.attestations,
            Operation::Blob => &self.blobs,
            Operation::Verify | Operation::LogRead | Operation::PolicyExplain => &[],
        }
    }
}

impl Service {
    /// The key that is asked for in a question that leaves it open, or the only one that the caller may use. That the caller may use the one that is
    /// asked for is not said.
    ///
    /// # Errors
    /// Where there is no such key, or not for this purpose, or policy leaves more or fewer than one.
    pub(super) fn choose_key(
        &self,
        caller: &Caller,
        question: &Question<'_>,
        asked: Option<&KeyName>,
    ) -> Result<KeyName, ServiceError> {
        let operation = question.operation;
        let keys = self.keys.of(operation);
        if let Some(name) = asked {
            // Which keys there are is public, so that this may be said before policy is asked.
            return match keys.contains(name) {
                true => Ok(name.clone()),
                false if self.signer.names().contains(name) => {
                    Err(ServiceError::KeyPurpose { key: name.clone(), operation })
                }
                false => Err(SignerError::UnknownKey(name.clone()).into()),
            };
        }
        let permitted =
            |name: &&KeyName| self.policy.decide(&Question { key: Some(name), ..*question }).allowed;
        let mut names: Vec<_> = keys.iter().filter(permitted).cloned().collect();
        match (names.pop(), names.is_empty()) {
            (Some(name), true) => Ok(name),
            (Some(name), false) => {
                names.push(name);
                Err(ServiceError::KeyRequired(names))
            }
            (None, _) => {
                self.permit(caller, question)?;
                Err(ServiceError::Forbidden)
            }
        }
    }

    /// The asked version of the key, else its latest.
    ///
    /// # Errors
    /// Where the version can not sign, or the key is of a type that nothing is signed with.
    pub(super) async fn choose_version(
        &self,
        name: &KeyName,
        asked: Option<KeyVersion>,
    ) -> Result<ChosenKey, ServiceError> {
        let key = self.signing_key(name, asked).await?;
        if let KeyType::Unsupported(_) = key.key_type {
            return Err(ServiceError::KeyTypeUnsupported {
                key: name.clone(),
                key_type: key.key_type.clone(),
            });
        }
        let version = asked.unwrap_or(key.latest);
        if !key.can_sign_with(version) {
            return Err(ServiceError::KeyVersionUnavailable {
                key: name.clone(),
                version,
                usable: Some((key.minimum, key.latest)),
            });
        }
        Ok(ChosenKey { key, version })
    }
}
