//! The hashes of `sign`, by Vault's names.

use aws_lc_rs::digest::{
    self, Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA3_256, SHA3_384, SHA3_512, SHA224, SHA256, SHA384, SHA512,
};

use super::answer::Refusal;
use super::fields::Fields;

/// What happens to an input before it is signed.
#[derive(Clone, Copy)]
pub(super) enum Hash {
    /// The input is a digest already.
    Prehashed,
    Of(&'static Algorithm),
}

impl Hash {
    /// The hash that the path names outranks the body's. The deprecated `algorithm` never counts.
    pub(super) fn choose(in_path: &str, fields: &Fields) -> Result<Self, Refusal> {
        let in_body = fields.text("hash_algorithm")?;
        let name = [Some(in_path.to_owned()), in_body]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .unwrap_or_else(|| "sha2-256".to_owned());
        let prehashed = fields.flag("prehashed")?;
        let hash = match name.as_str() {
            "sha1" => Self::Of(&SHA1_FOR_LEGACY_USE_ONLY),
            "sha2-224" => Self::Of(&SHA224),
            "sha2-256" => Self::Of(&SHA256),
            "sha2-384" => Self::Of(&SHA384),
            "sha2-512" => Self::Of(&SHA512),
            "sha3-256" => Self::Of(&SHA3_256),
            "sha3-384" => Self::Of(&SHA3_384),
            "sha3-512" => Self::Of(&SHA3_512),
            "sha3-224" => {
                return Err(Refusal::Invalid("this stand-in has no sha3-224; Vault has it".to_owned()));
            }
            "none" => {
                let pkcs1 = fields.text("signature_algorithm")?.as_deref() == Some("pkcs1v15");
                if !(prehashed && pkcs1) {
                    return Err(Refusal::Invalid(
                        "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15"
                            .to_owned(),
                    ));
                }
                Self::Prehashed
            }
            _ => {
                return Err(Refusal::Invalid(format!("invalid hash algorithm \"{name}\"")));
            }
        };
        Ok(if prehashed { Self::Prehashed } else { hash })
    }

    pub(super) fn digest(self, input: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Prehashed => input,
            Self::Of(algorithm) => digest::digest(algorithm, &input).as_ref().to_vec(),
        }
    }
}
