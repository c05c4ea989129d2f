//! Public keys, and whether a signature is theirs.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use serde::{Deserialize, Serialize};

use super::Digest;

/// An ECDSA key on P-256, as X.509 SubjectPublicKeyInfo (RFC 5280, RFC 5480).
#[derive(Clone)]
pub struct PublicKey {
    der: Vec<u8>,
    parsed: ParsedPublicKey,
    fingerprint: Fingerprint,
}

/// SHA-256 over the DER of the SubjectPublicKeyInfo, written `sha256:<64 hexadecimal digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Digest);

/// Why bytes are no public key that we verify with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    #[error("the public key is no PEM block `PUBLIC KEY`")]
    Pem,
    #[error("the public key is no ECDSA key on P-256")]
    Type,
}

/// The DER that comes before the 65-byte uncompressed point in every P-256 SubjectPublicKeyInfo.
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

impl PublicKey {
    /// Reads a PEM block `PUBLIC KEY` (RFC 7468).
    ///
    /// # Errors
    /// Where it is none, or its key is not on P-256.
    pub fn from_pem(pem: &str) -> Result<Self, PublicKeyError> {
        let (label, der) = pem_rfc7468::decode_vec(pem.trim().as_bytes()).map_err(|_| PublicKeyError::Pem)?;
        if label != "PUBLIC KEY" {
            return Err(PublicKeyError::Pem);
        }
        let point = der.strip_prefix(&P256_SPKI_PREFIX).ok_or(PublicKeyError::Type)?;
        let parsed =
            ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| PublicKeyError::Type)?;
        let fingerprint = Fingerprint(Digest::of(&der));
        Ok(Self { der, parsed, fingerprint })
    }

    /// The key as a PEM block `PUBLIC KEY`, lines of 64 characters, a newline at the end.
    pub fn to_pem(&self) -> String {
        pem_rfc7468::encode_string("PUBLIC KEY", pem_rfc7468::LineEnding::LF, &self.der)
            .expect("invariant: the label is valid and the DER is 91 bytes")
    }

    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether `signature` (ASN.1 DER, RFC 3279) is this key's over the SHA-256 of `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint)
    }
}

impl Fingerprint {
    /// The raw 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    /// A key pair of the tests' own, with the PEM of its public half.
    pub(crate) fn key_pair() -> (EcdsaKeyPair, String) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der = [&P256_SPKI_PREFIX[..], pair.public_key().as_ref()].concat();
        let pem = pem_rfc7468::encode_string("PUBLIC KEY", pem_rfc7468::LineEnding::LF, &der).unwrap();
        (pair, pem)
    }

    #[test]
    fn a_signature_verifies_for_its_message_and_its_key_alone() {
        let (pair, pem) = key_pair();
        let key = PublicKey::from_pem(&pem).unwrap();
        let other = PublicKey::from_pem(&key_pair().1).unwrap();
        let signature = pair.sign(&SystemRandom::new(), b"payload").unwrap();

        assert!(key.verifies(b"payload", signature.as_ref()));
        assert!(!key.verifies(b"another", signature.as_ref()));
        assert!(!other.verifies(b"payload", signature.as_ref()));
        assert!(!key.verifies(b"payload", &[]));
    }

    #[test]
    fn pem_reads_back_what_it_writes() {
        let (_, pem) = key_pair();
        assert_eq!(PublicKey::from_pem(&pem).unwrap().to_pem(), pem);
    }

    #[test]
    fn what_is_no_p256_public_key_is_refused() {
        assert_eq!(PublicKey::from_pem("nonsense"), Err(PublicKeyError::Pem));
        let pem = key_pair().1.replace("PUBLIC KEY", "PRIVATE KEY");
        assert_eq!(PublicKey::from_pem(&pem), Err(PublicKeyError::Pem));
        let off_the_curve = [&P256_SPKI_PREFIX[..], &[4], &[1; 64]].concat();
        let pem =
            pem_rfc7468::encode_string("PUBLIC KEY", pem_rfc7468::LineEnding::LF, &off_the_curve).unwrap();
        assert_eq!(PublicKey::from_pem(&pem), Err(PublicKeyError::Type));
    }
}
