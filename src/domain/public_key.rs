//! Public keys, and whether a signature is theirs.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters};
use serde::{Deserialize, Serialize};

use super::{Digest, HashAlgorithm, KeyType, SigningInput};

/// A key of a type that is signed with here, as X.509 `SubjectPublicKeyInfo` (RFC 5280). Cheap to clone.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    key_type: KeyType,
    verifier: Verifier,
    fingerprint: Fingerprint,
}

/// The key, parsed for each way in which it can be used.
enum Verifier {
    /// In the order of [`HashAlgorithm::ALL`].
    Hashed([ParsedPublicKey; 3]),
    Ed25519(ParsedPublicKey),
}

/// SHA-256 over the DER of the SubjectPublicKeyInfo, written `sha256:<64 hexadecimal digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Digest);

/// Why bytes are no public key that we verify with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    #[error("the public key is no PEM block `PUBLIC KEY`")]
    Pem,
    #[error(
        "the public key is none of ECDSA on P-256, P-384 or P-521, RSA with 2048, 3072 or 4096 bits, or Ed25519"
    )]
    Type,
}

const P256: [&EcdsaVerificationAlgorithm; 3] = [
    &signature::ECDSA_P256_SHA256_ASN1,
    &signature::ECDSA_P256_SHA384_ASN1,
    &signature::ECDSA_P256_SHA512_ASN1,
];
const P384: [&EcdsaVerificationAlgorithm; 3] = [
    &signature::ECDSA_P384_SHA256_ASN1,
    &signature::ECDSA_P384_SHA384_ASN1,
    &signature::ECDSA_P384_SHA512_ASN1,
];
const P521: [&EcdsaVerificationAlgorithm; 3] = [
    &signature::ECDSA_P521_SHA256_ASN1,
    &signature::ECDSA_P521_SHA384_ASN1,
    &signature::ECDSA_P521_SHA512_ASN1,
];
const RSA: [&RsaParameters; 3] = [
    &signature::RSA_PKCS1_2048_8192_SHA256,
    &signature::RSA_PKCS1_2048_8192_SHA384,
    &signature::RSA_PKCS1_2048_8192_SHA512,
];

/// The DER that comes before the 32 bytes of a key in every Ed25519 SubjectPublicKeyInfo (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl PublicKey {
    /// Reads a PEM block `PUBLIC KEY` (RFC 7468).
    ///
    /// # Errors
    /// Where it is none, or its key is of no type that we verify with.
    pub fn from_pem(pem: &str) -> Result<Self, PublicKeyError> {
        let (label, der) = pem_rfc7468::decode_vec(pem.trim().as_bytes()).map_err(|_| PublicKeyError::Pem)?;
        match label {
            "PUBLIC KEY" => Self::from_der(der),
            _ => Err(PublicKeyError::Pem),
        }
    }

    /// The Ed25519 key of these 32 bytes (RFC 8032).
    ///
    /// # Errors
    /// Where they are no point of the curve.
    pub fn from_ed25519(bytes: &[u8; 32]) -> Result<Self, PublicKeyError> {
        Self::from_der([&ED25519_SPKI_PREFIX[..], bytes].concat())
    }

    /// Reads a `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// Where it is none, or its key is of no type that we verify with.
    pub fn from_der(der: Vec<u8>) -> Result<Self, PublicKeyError> {
        let (key_type, verifier) = parse(&der).ok_or(PublicKeyError::Type)?;
        // One key has one fingerprint: other encodings of the same key are not taken.
        let (Verifier::Hashed([parsed, ..]) | Verifier::Ed25519(parsed)) = &verifier;
        match parsed.as_der() {
            Ok(canonical) if canonical.as_ref() == der => {}
            _ => return Err(PublicKeyError::Type),
        }
        let fingerprint = Fingerprint(Digest::of(&der));
        Ok(Self(Arc::new(Inner { der, key_type, verifier, fingerprint })))
    }

    /// The key as a PEM block `PUBLIC KEY`, lines of 64 characters, a newline at the end.
    pub fn to_pem(&self) -> String {
        pem_rfc7468::encode_string("PUBLIC KEY", pem_rfc7468::LineEnding::LF, &self.0.der)
            .expect("invariant: the label is valid and the DER is below 1 KiB")
    }

    /// What [`PublicKey::from_ed25519`] takes; none for a key of another type.
    pub fn to_ed25519(&self) -> Option<[u8; 32]> {
        self.0.der.strip_prefix(&ED25519_SPKI_PREFIX)?.try_into().ok()
    }

    pub fn key_type(&self) -> &KeyType {
        &self.0.key_type
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Whether `signature` is this key's over `input`: ASN.1 DER (RFC 3279) for ECDSA, PKCS#1 v1.5 (RFC 8017)
    /// for RSA, pure Ed25519 (RFC 8032). Ed25519 verifies no mere digest, and the others no whole message.
    pub fn verifies(&self, input: &SigningInput, signature: &[u8]) -> bool {
        match (&self.0.verifier, input) {
            (Verifier::Hashed(parsed), SigningInput::Digest { algorithm, bytes }) => {
                let parsed = HashAlgorithm::ALL.iter().zip(parsed).find(|(hash, _)| *hash == algorithm);
                let digest = algorithm.import(bytes);
                parsed
                    .zip(digest)
                    .is_some_and(|((_, key), digest)| key.verify_digest_sig(&digest, signature).is_ok())
            }
            (Verifier::Ed25519(parsed), SigningInput::Message(message)) => {
                parsed.verify_sig(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

fn parse(der: &[u8]) -> Option<(KeyType, Verifier)> {
    let ecdsa = |algorithms: [&'static EcdsaVerificationAlgorithm; 3]| {
        let [a, b, c] = algorithms.map(|algorithm| ParsedPublicKey::new(algorithm, der).ok());
        Some(Verifier::Hashed([a?, b?, c?]))
    };
    let rsa = || {
        let [a, b, c] = RSA.map(|algorithm| ParsedPublicKey::new(algorithm, der).ok());
        let key_type = match PublicEncryptingKey::from_der(der).ok()?.key_size_bits() {
            2048 => KeyType::Rsa2048,
            3072 => KeyType::Rsa3072,
            4096 => KeyType::Rsa4096,
            _ => return None,
        };
        Some((key_type, Verifier::Hashed([a?, b?, c?])))
    };
    let ed25519 = || {
        // Raw keys would be taken too, and are no SubjectPublicKeyInfo.
        der.strip_prefix(&ED25519_SPKI_PREFIX)?;
        ParsedPublicKey::new(&signature::ED25519, der).ok().map(Verifier::Ed25519)
    };
    ecdsa(P256)
        .map(|verifier| (KeyType::EcdsaP256, verifier))
        .or_else(|| Some((KeyType::EcdsaP384, ecdsa(P384)?)))
        .or_else(|| Some((KeyType::EcdsaP521, ecdsa(P521)?)))
        .or_else(|| Some((KeyType::Ed25519, ed25519()?)))
        .or_else(rsa)
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.0.key_type, self.0.fingerprint)
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
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
    };

    use super::*;
    use crate::domain::Content;

    /// A key pair of the tests' own, with the PEM of its public half.
    pub(crate) fn key_pair() -> (EcdsaKeyPair, String) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
        (pair, pem(&der))
    }

    fn pem(der: &[u8]) -> String {
        pem_rfc7468::encode_string("PUBLIC KEY", pem_rfc7468::LineEnding::LF, der).unwrap()
    }

    fn input(text: &'static str) -> SigningInput {
        SigningInput::of(&KeyType::EcdsaP256, HashAlgorithm::Sha256, &Content::from(text))
    }

    #[test]
    fn a_signature_verifies_for_its_message_and_its_key_alone() {
        let (pair, pem) = key_pair();
        let key = PublicKey::from_pem(&pem).unwrap();
        let other = PublicKey::from_pem(&key_pair().1).unwrap();
        let signature = pair.sign(&SystemRandom::new(), b"payload").unwrap();

        assert!(key.verifies(&input("payload"), signature.as_ref()));
        assert!(!key.verifies(&input("another"), signature.as_ref()));
        assert!(!other.verifies(&input("payload"), signature.as_ref()));
        assert!(!key.verifies(&input("payload"), &[]));
    }

    #[test]
    fn ed25519_verifies_whole_messages_alone() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = PublicKey::from_ed25519(pair.public_key().as_ref().try_into().unwrap()).unwrap();
        let signature = pair.sign(b"payload");
        assert_eq!(key.key_type(), &KeyType::Ed25519);
        let message = SigningInput::of(&KeyType::Ed25519, HashAlgorithm::Sha256, &Content::from("payload"));
        assert!(key.verifies(&message, signature.as_ref()));
        assert!(!key.verifies(&input("payload"), signature.as_ref()));
    }

    #[test]
    fn rsa_keys_of_the_sizes_that_vault_makes_are_known_by_their_size() {
        for (size, key_type) in [(KeySize::Rsa2048, KeyType::Rsa2048), (KeySize::Rsa3072, KeyType::Rsa3072)] {
            let pair = RsaKeyPair::generate(size).unwrap();
            let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(
                pair.public_key(),
            );
            let key = PublicKey::from_der(der.unwrap().as_ref().to_vec()).unwrap();
            assert_eq!(key.key_type(), &key_type);
            let mut signature = vec![0; pair.public_modulus_len()];
            let sha256 = &aws_lc_rs::signature::RSA_PKCS1_SHA256;
            pair.sign(sha256, &SystemRandom::new(), b"payload", &mut signature).unwrap();
            assert!(key.verifies(&input("payload"), &signature));
            assert!(!key.verifies(&input("another"), &signature));
        }
    }

    #[test]
    fn pem_reads_back_what_it_writes() {
        let (_, pem) = key_pair();
        assert_eq!(PublicKey::from_pem(&pem).unwrap().to_pem(), pem);
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        assert_eq!(PublicKey::from_pem("nonsense"), Err(PublicKeyError::Pem));
        let private = key_pair().1.replace("PUBLIC KEY", "PRIVATE KEY");
        assert_eq!(PublicKey::from_pem(&private), Err(PublicKeyError::Pem));
        let (_, der) = pem_rfc7468::decode_vec(key_pair().1.as_bytes()).unwrap();
        let off_the_curve = [&der[..27], &[1; 64]].concat();
        assert_eq!(PublicKey::from_der(off_the_curve), Err(PublicKeyError::Type));
        assert_eq!(PublicKey::from_der([&der[..], b"more"].concat()), Err(PublicKeyError::Type));
        assert_eq!(PublicKey::from_der(vec![7; 32]), Err(PublicKeyError::Type));
    }
}
