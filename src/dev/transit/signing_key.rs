//! One version of a key: the private half and what it does.

use aws_lc_rs::digest::{Algorithm, Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair, KeyPair as _,
    RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pem_rfc7468::LineEnding;

use super::answer::Refusal;
use super::manner::{Manner, Marshaling, Padding};
use crate::domain::{HashAlgorithm, KeyType};

pub(super) struct SigningKey {
    pair: Pair,
    public_key: String,
}

/// A new version, with its private key as PKCS#8 in DER.
pub(super) struct Generated {
    pub(super) pkcs8: Vec<u8>,
    pub(super) key: SigningKey,
}

/// Why one input was not signed.
pub(super) enum InputError {
    /// 400 when it is the only input.
    Invalid(String),
    /// 500 when it is the only input.
    Failed(String),
}

enum Pair {
    Ecdsa { curve: &'static Curve, asn1: EcdsaKeyPair, fixed: EcdsaKeyPair },
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A curve with the hash whose digests are numbers of its size, or of just below.
struct Curve {
    hash: &'static Algorithm,
    sign_asn1: &'static EcdsaSigningAlgorithm,
    sign_fixed: &'static EcdsaSigningAlgorithm,
    verify_asn1: &'static EcdsaVerificationAlgorithm,
    verify_fixed: &'static EcdsaVerificationAlgorithm,
}

static P256: Curve = Curve {
    hash: &SHA256,
    sign_asn1: &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
    sign_fixed: &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    verify_asn1: &signature::ECDSA_P256_SHA256_ASN1,
    verify_fixed: &signature::ECDSA_P256_SHA256_FIXED,
};
static P384: Curve = Curve {
    hash: &SHA384,
    sign_asn1: &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
    sign_fixed: &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
    verify_asn1: &signature::ECDSA_P384_SHA384_ASN1,
    verify_fixed: &signature::ECDSA_P384_SHA384_FIXED,
};
static P521: Curve = Curve {
    hash: &SHA512,
    sign_asn1: &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
    sign_fixed: &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
    verify_asn1: &signature::ECDSA_P521_SHA512_ASN1,
    verify_fixed: &signature::ECDSA_P521_SHA512_FIXED,
};

impl SigningKey {
    /// A new key. Takes seconds for RSA.
    pub(super) fn generate(key_type: &KeyType) -> Result<Generated, Unspecified> {
        let random = SystemRandom::new();
        let pkcs8 = match key_type {
            KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => {
                let curve = curve(key_type).ok_or(Unspecified)?;
                EcdsaKeyPair::generate_pkcs8(curve.sign_asn1, &random)?.as_ref().to_vec()
            }
            KeyType::Rsa2048 => rsa(KeySize::Rsa2048)?,
            KeyType::Rsa3072 => rsa(KeySize::Rsa3072)?,
            KeyType::Rsa4096 => rsa(KeySize::Rsa4096)?,
            KeyType::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random)?.as_ref().to_vec(),
            KeyType::Unsupported(_) => return Err(Unspecified),
        };
        let key = Self::from_pkcs8(key_type, &pkcs8)?;
        Ok(Generated { pkcs8, key })
    }

    /// # Errors
    ///
    /// `pkcs8` is no private key of this type.
    pub(super) fn from_pkcs8(key_type: &KeyType, pkcs8: &[u8]) -> Result<Self, Unspecified> {
        let pair = match curve(key_type) {
            Some(curve) => Pair::Ecdsa {
                curve,
                asn1: EcdsaKeyPair::from_pkcs8(curve.sign_asn1, pkcs8).map_err(|_| Unspecified)?,
                fixed: EcdsaKeyPair::from_pkcs8(curve.sign_fixed, pkcs8).map_err(|_| Unspecified)?,
            },
            None if *key_type == KeyType::Ed25519 => {
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| Unspecified)?)
            }
            None => Pair::Rsa(RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| Unspecified)?),
        };
        let pem = |der: PublicKeyX509Der<'_>| {
            pem_rfc7468::encode_string("PUBLIC KEY", LineEnding::LF, der.as_ref()).map_err(|_| Unspecified)
        };
        let public_key = match &pair {
            Pair::Ecdsa { asn1, .. } => pem(asn1.public_key().as_der()?)?,
            Pair::Rsa(pair) => pem(pair.public_key().as_der()?)?,
            Pair::Ed25519(pair) => STANDARD.encode(pair.public_key()),
        };
        Ok(Self { pair, public_key })
    }

    /// As Vault publishes it: `SubjectPublicKeyInfo` as PEM with a line break at the end, and for Ed25519 base64 of
    /// the 32 bytes.
    pub(super) fn public_key(&self) -> &str {
        &self.public_key
    }

    pub(super) fn sign(&self, input: Vec<u8>, manner: &Manner) -> Result<Vec<u8>, InputError> {
        match &self.pair {
            Pair::Ecdsa { curve, asn1, fixed } => {
                let pair = match manner.marshaling {
                    Marshaling::Asn1 => asn1,
                    Marshaling::Jws => fixed,
                };
                let digest = curve.number(&manner.hash.digest(input))?;
                Ok(pair.sign_digest(&digest)?.as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let padding = manner.padding()?;
                let (algorithm, encoding) = match (manner.hash.rsa()?, padding) {
                    (HashAlgorithm::Sha256, Padding::Pkcs1) => (&SHA256, &signature::RSA_PKCS1_SHA256),
                    (HashAlgorithm::Sha384, Padding::Pkcs1) => (&SHA384, &signature::RSA_PKCS1_SHA384),
                    (HashAlgorithm::Sha512, Padding::Pkcs1) => (&SHA512, &signature::RSA_PKCS1_SHA512),
                    (HashAlgorithm::Sha256, Padding::Pss) => (&SHA256, &signature::RSA_PSS_SHA256),
                    (HashAlgorithm::Sha384, Padding::Pss) => (&SHA384, &signature::RSA_PSS_SHA384),
                    (HashAlgorithm::Sha512, Padding::Pss) => (&SHA512, &signature::RSA_PSS_SHA512),
                };
                let digest =
                    Digest::import_less_safe(&manner.hash.digest(input), algorithm).map_err(|_| {
                        InputError::Failed(match padding {
                            Padding::Pkcs1 => "crypto/rsa: input must be hashed message".to_owned(),
                            Padding::Pss => "crypto/rsa: input must be hashed with given hash".to_owned(),
                        })
                    })?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(encoding, &digest, &mut signature)?;
                Ok(signature)
            }
            Pair::Ed25519(pair) => {
                manner.require_pure()?;
                Ok(pair.sign(&input).as_ref().to_vec())
            }
        }
    }

    /// Whether `signature` is this key's over `input`.
    pub(super) fn verifies(
        &self,
        input: Vec<u8>,
        signature: &[u8],
        manner: &Manner,
    ) -> Result<bool, InputError> {
        Ok(match &self.pair {
            Pair::Ecdsa { curve, asn1, .. } => {
                let algorithm = match manner.marshaling {
                    Marshaling::Asn1 => curve.verify_asn1,
                    Marshaling::Jws => curve.verify_fixed,
                };
                let digest = curve.number(&manner.hash.digest(input))?;
                UnparsedPublicKey::new(algorithm, asn1.public_key()).verify_digest(&digest, signature).is_ok()
            }
            Pair::Rsa(pair) => {
                let (algorithm, parameters) = match (manner.hash.rsa()?, manner.padding()?) {
                    (HashAlgorithm::Sha256, Padding::Pkcs1) => {
                        (&SHA256, &signature::RSA_PKCS1_2048_8192_SHA256)
                    }
                    (HashAlgorithm::Sha384, Padding::Pkcs1) => {
                        (&SHA384, &signature::RSA_PKCS1_2048_8192_SHA384)
                    }
                    (HashAlgorithm::Sha512, Padding::Pkcs1) => {
                        (&SHA512, &signature::RSA_PKCS1_2048_8192_SHA512)
                    }
                    (HashAlgorithm::Sha256, Padding::Pss) => (&SHA256, &signature::RSA_PSS_2048_8192_SHA256),
                    (HashAlgorithm::Sha384, Padding::Pss) => (&SHA384, &signature::RSA_PSS_2048_8192_SHA384),
                    (HashAlgorithm::Sha512, Padding::Pss) => (&SHA512, &signature::RSA_PSS_2048_8192_SHA512),
                };
                let key = UnparsedPublicKey::new(parameters, pair.public_key());
                Digest::import_less_safe(&manner.hash.digest(input), algorithm)
                    .and_then(|digest| key.verify_digest(&digest, signature))
                    .is_ok()
            }
            Pair::Ed25519(pair) => {
                manner.require_pure()?;
                UnparsedPublicKey::new(&signature::ED25519, pair.public_key())
                    .verify(&input, signature)
                    .is_ok()
            }
        })
    }

    /// Of these Vault reads signatures as ASN.1 before it looks at them, and exports public keys without the last break.
    pub(super) const fn is_ecdsa(&self) -> bool {
        matches!(self.pair, Pair::Ecdsa { .. })
    }
}

fn rsa(size: KeySize) -> Result<Vec<u8>, Unspecified> {
    let pkcs8: Pkcs8V1Der<'_> = RsaKeyPair::generate(size)?.as_der()?;
    Ok(pkcs8.as_ref().to_vec())
}

fn curve(key_type: &KeyType) -> Option<&'static Curve> {
    match key_type {
        KeyType::EcdsaP256 => Some(&P256),
        KeyType::EcdsaP384 => Some(&P384),
        KeyType::EcdsaP521 => Some(&P521),
        _ => None,
    }
}

impl Curve {
    /// The number that ECDSA signs of a digest of any length ([FIPS 186-5, 6.4.1]): a longer one is cut to the size of
    /// the curve, a shorter one is the same number with zeros before it.
    ///
    /// [FIPS 186-5, 6.4.1]: https://doi.org/10.6028/NIST.FIPS.186-5
    fn number(&self, digest: &[u8]) -> Result<Digest, InputError> {
        let size = self.hash.output_len();
        if size == SHA512.output_len() && digest.len() > size {
            return Err(InputError::Invalid(
                "this stand-in signs no digests of more than 64 bytes with ecdsa-p521; Vault does".to_owned(),
            ));
        }
        let kept = &digest[..digest.len().min(size)];
        let mut number = vec![0; size];
        number[size - kept.len()..].copy_from_slice(kept);
        Ok(Digest::import_less_safe(&number, self.hash)?)
    }
}

impl From<Unspecified> for InputError {
    fn from(error: Unspecified) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<InputError> for Refusal {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Invalid(reason) => Self::Invalid(reason),
            InputError::Failed(reason) => Self::Failed(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_of_any_length_becomes_the_number_that_ecdsa_signs() {
        let number = |curve: &Curve, digest: &[u8]| curve.number(digest).ok().unwrap().as_ref().to_vec();
        assert_eq!(number(&P256, &[]), [0; 32]);
        assert_eq!(number(&P256, &[7])[30..], [0, 7]);
        let long: Vec<u8> = (0..64).collect();
        assert_eq!(number(&P256, &long), long[..32]);
        assert_eq!(number(&P384, &long), long[..48]);
        assert_eq!(number(&P521, &long), long);
        assert_eq!(number(&P384, &[7]).len(), 48);
    }
}
