//! How a request wants its inputs signed: what holds for all of them.

use aws_lc_rs::digest::{
    self, Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA3_256, SHA3_384, SHA3_512, SHA224, SHA256, SHA384, SHA512,
};

use super::answer::Refusal;
use super::fields::Fields;
use super::signing_key::InputError;
use crate::domain::HashAlgorithm;

pub(super) struct Manner {
    pub(super) hash: Hash,
    pub(super) marshaling: Marshaling,
    /// Counts for RSA alone; nobody else minds what it says.
    signature_algorithm: String,
}

/// What happens to an input before it is signed.
pub(super) struct Hash {
    /// None where RSA would sign without saying what was hashed with.
    algorithm: Option<&'static Algorithm>,
    /// The input is a digest already.
    prehashed: bool,
}

/// How a signature is written down.
#[derive(Clone, Copy)]
pub(super) enum Marshaling {
    /// Base64; for ECDSA over `ECDSA-Sig-Value` of [RFC 3279](https://www.rfc-editor.org/rfc/rfc3279#section-2.2.3), DER.
    Asn1,
    /// Base64url; for ECDSA over r and s side by side, as in [RFC 7518](https://www.rfc-editor.org/rfc/rfc7518#section-3.4).
    Jws,
}

/// [RFC 8017](https://www.rfc-editor.org/rfc/rfc8017). The salt of PSS is as long as the hash.
#[derive(Clone, Copy)]
pub(super) enum Padding {
    Pkcs1,
    Pss,
}

impl Manner {
    pub(super) fn choose(hash_in_path: &str, fields: &Fields) -> Result<Self, Refusal> {
        let signature_algorithm = fields.text("signature_algorithm")?.unwrap_or_default();
        let hash = Hash::choose(hash_in_path, fields, &signature_algorithm)?;
        let marshaling = match fields.text("marshaling_algorithm")?.as_deref() {
            None | Some("asn1") => Marshaling::Asn1,
            Some("jws") => Marshaling::Jws,
            Some(other) => return Err(Refusal::Invalid(format!("invalid marshaling type \"{other}\""))),
        };
        Ok(Self { hash, marshaling, signature_algorithm })
    }

    pub(super) fn padding(&self) -> Result<Padding, InputError> {
        match self.signature_algorithm.as_str() {
            "" | "pss" => Ok(Padding::Pss),
            "pkcs1v15" => Ok(Padding::Pkcs1),
            other => Err(InputError::Failed(format!("unsupported rsa signature algorithm {other}"))),
        }
    }

    /// Ed25519 hashes by itself.
    pub(super) fn require_pure(&self) -> Result<(), InputError> {
        let only = "failed to parse batch item: only Pure Ed25519 signatures supported";
        if self.hash.prehashed {
            return Err(InputError::Invalid(format!("{only}, prehashed must be false")));
        }
        if self.hash.algorithm.is_some_and(|algorithm| *algorithm == SHA512) {
            return Err(InputError::Invalid(format!("{only}, hash_alogithm should not be set")));
        }
        Ok(())
    }
}

impl Hash {
    /// The hash that the path names outranks the body's. The deprecated `algorithm` never counts.
    fn choose(in_path: &str, fields: &Fields, signature_algorithm: &str) -> Result<Self, Refusal> {
        let in_body = fields.text("hash_algorithm")?;
        let name = [Some(in_path.to_owned()), in_body]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .unwrap_or_else(|| "sha2-256".to_owned());
        let prehashed = fields.flag("prehashed")?;
        let algorithm = match name.as_str() {
            "sha1" => Some(&SHA1_FOR_LEGACY_USE_ONLY),
            "sha2-224" => Some(&SHA224),
            "sha2-256" => Some(&SHA256),
            "sha2-384" => Some(&SHA384),
            "sha2-512" => Some(&SHA512),
            "sha3-256" => Some(&SHA3_256),
            "sha3-384" => Some(&SHA3_384),
            "sha3-512" => Some(&SHA3_512),
            "sha3-224" => {
                return Err(Refusal::Invalid("this stand-in has no sha3-224; Vault has it".to_owned()));
            }
            "none" if prehashed && signature_algorithm == "pkcs1v15" => None,
            "none" => {
                return Err(Refusal::Invalid(
                    "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15"
                        .to_owned(),
                ));
            }
            _ => {
                return Err(Refusal::Invalid(format!("invalid hash algorithm \"{name}\"")));
            }
        };
        Ok(Self { algorithm, prehashed })
    }

    pub(super) fn digest(&self, input: Vec<u8>) -> Vec<u8> {
        match self.algorithm {
            Some(algorithm) if !self.prehashed => digest::digest(algorithm, &input).as_ref().to_vec(),
            _ => input,
        }
    }

    /// The hash that an RSA key signs over.
    pub(super) fn rsa(&self) -> Result<HashAlgorithm, InputError> {
        match self.algorithm {
            Some(algorithm) if *algorithm == SHA256 => Ok(HashAlgorithm::Sha256),
            Some(algorithm) if *algorithm == SHA384 => Ok(HashAlgorithm::Sha384),
            Some(algorithm) if *algorithm == SHA512 => Ok(HashAlgorithm::Sha512),
            _ => Err(InputError::Invalid(
                "this stand-in signs with RSA over sha2-256, sha2-384 and sha2-512 alone; Vault has more"
                    .to_owned(),
            )),
        }
    }
}
