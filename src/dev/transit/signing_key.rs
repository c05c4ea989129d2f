//! One version of a key: ECDSA on P-256.

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED,
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use pem_rfc7468::LineEnding;

use super::answer::Refusal;
use super::fields::Fields;

/// How a signature is written down.
#[derive(Clone, Copy)]
pub(super) enum Marshaling {
    /// `ECDSA-Sig-Value` of [RFC 3279](https://www.rfc-editor.org/rfc/rfc3279#section-2.2.3), DER.
    Asn1,
    /// r and s, 32 bytes each, as in [RFC 7518](https://www.rfc-editor.org/rfc/rfc7518#section-3.4).
    Jws,
}

impl Marshaling {
    pub(super) fn choose(fields: &Fields) -> Result<Self, Refusal> {
        match fields.text("marshaling_algorithm")?.as_deref() {
            None | Some("asn1") => Ok(Self::Asn1),
            Some("jws") => Ok(Self::Jws),
            Some(other) => Err(Refusal::Invalid(format!("invalid marshaling type \"{other}\""))),
        }
    }
}

pub(super) struct SigningKey {
    asn1: EcdsaKeyPair,
    fixed: EcdsaKeyPair,
    public_key: String,
}

impl SigningKey {
    /// A new private key as PKCS#8 in DER.
    pub(super) fn generate_pkcs8() -> Result<Vec<u8>, Unspecified> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())?;
        Ok(document.as_ref().to_vec())
    }

    /// # Errors
    ///
    /// `pkcs8` is no private key on P-256.
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Unspecified> {
        let asn1 =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).map_err(|_| Unspecified)?;
        let fixed =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| Unspecified)?;
        let der = asn1.public_key().as_der()?;
        let public_key = pem_rfc7468::encode_string("PUBLIC KEY", LineEnding::LF, der.as_ref())
            .map_err(|_| Unspecified)?;
        Ok(Self { asn1, fixed, public_key })
    }

    /// `SubjectPublicKeyInfo` as PEM, with a line break at the end.
    pub(super) fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Signs `digest`, of any length, as Vault does: its leftmost 256 bits are the number to sign.
    pub(super) fn sign(&self, digest: &[u8], marshaling: Marshaling) -> Result<Vec<u8>, Unspecified> {
        let digest = Digest::import_less_safe(&leftmost_256_bits(digest), &SHA256)?;
        let pair = match marshaling {
            Marshaling::Asn1 => &self.asn1,
            Marshaling::Jws => &self.fixed,
        };
        Ok(pair.sign_digest(&digest)?.as_ref().to_vec())
    }

    /// Whether `signature` is this key's over `digest`, of any length.
    pub(super) fn verifies(&self, digest: &[u8], signature: &[u8], marshaling: Marshaling) -> bool {
        let algorithm = match marshaling {
            Marshaling::Asn1 => &ECDSA_P256_SHA256_ASN1,
            Marshaling::Jws => &ECDSA_P256_SHA256_FIXED,
        };
        let public_key = UnparsedPublicKey::new(algorithm, self.asn1.public_key());
        Digest::import_less_safe(&leftmost_256_bits(digest), &SHA256)
            .and_then(|digest| public_key.verify_digest(&digest, signature))
            .is_ok()
    }
}

/// [FIPS 186-5, 6.4.1](https://doi.org/10.6028/NIST.FIPS.186-5): a longer digest is cut, a shorter one is the same number
/// with zeros before it.
fn leftmost_256_bits(digest: &[u8]) -> [u8; 32] {
    let kept = &digest[..digest.len().min(32)];
    let mut bits = [0; 32];
    bits[32 - kept.len()..].copy_from_slice(kept);
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_of_any_length_becomes_the_number_that_ecdsa_signs() {
        assert_eq!(leftmost_256_bits(&[]), [0; 32]);
        assert_eq!(leftmost_256_bits(&[7])[30..], [0, 7]);
        let long: Vec<u8> = (0..64).collect();
        assert_eq!(leftmost_256_bits(&long)[..], long[..32]);
    }
}
