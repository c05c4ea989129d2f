//! The signature that a request wants, before anybody knows whether it exists.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::{
    Annotations, Claim, Content, Digest, Format, HashAlgorithm, ImageReference, Key, KeyReference, KeyType,
    KeyVersion, PublicKey, Record, SignatureIdentity, SigningInput, Subject,
};
use crate::format::{dsse, simple_signing, statement};

use crate::ports::SignerError;

use super::ServiceError;

/// The version of a key that is to sign.
#[derive(Debug, Clone)]
pub struct ChosenKey {
    pub key: Arc<Key>,
    pub version: KeyVersion,
}

/// Everything that the bytes of a signature depend on, but for the moment of signing.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub subject: Subject,
    pub key: KeyReference,
    pub format: Format,
    pub annotations: Annotations,
    pub claim: Claim,
    /// What the layout keeps: the simple-signing payload or the in-toto statement.
    pub document: Content,
    /// SHA-256 of the document.
    pub payload: Digest,
    /// What the key is given.
    pub input: SigningInput,
    public_key: PublicKey,
    hash: HashAlgorithm,
}

/// What is to be said of an image.
#[derive(Debug, Clone)]
pub enum Saying {
    /// "It is signed", with these annotations.
    Signed(Annotations),
    /// An attestation.
    Attested {
        predicate_type: String,
        /// As it was received.
        predicate: Bytes,
    },
}

impl Saying {
    pub fn claim(&self) -> Claim {
        match self {
            Self::Signed(_) => Claim::Image,
            Self::Attested { predicate_type, predicate } => Claim::Attestation {
                predicate_type: predicate_type.clone(),
                predicate: Digest::of(predicate),
            },
        }
    }

    fn annotations(&self) -> Annotations {
        match self {
            Self::Signed(annotations) => annotations.clone(),
            Self::Attested { .. } => Annotations::default(),
        }
    }

    /// The document that says it of `image`: always the same in the same format.
    fn document(&self, image: &ImageReference, format: Format) -> Content {
        match self {
            Self::Signed(annotations) => document(image, format, annotations),
            Self::Attested { predicate_type, predicate } => {
                statement::attestation_statement(image, predicate_type, predicate.clone())
            }
        }
    }
}

impl Wanted {
    /// The signature that says `saying` of `image`. Reads all of the document.
    ///
    /// # Errors
    /// Where the key can not sign it.
    pub fn of_image(
        chosen: &ChosenKey,
        image: &ImageReference,
        format: Format,
        saying: &Saying,
    ) -> Result<Self, ServiceError> {
        let document = saying.document(image, format);
        let wanted = Self::document(chosen, image.into(), format, saying.claim(), document)?;
        Ok(Self { annotations: saying.annotations(), ..wanted })
    }

    /// A document of whatever `claim`.
    ///
    /// # Errors
    /// Where the key can not sign it.
    pub fn document(
        chosen: &ChosenKey,
        subject: Subject,
        format: Format,
        claim: Claim,
        document: Content,
    ) -> Result<Self, ServiceError> {
        let signed = match (&claim, format) {
            (Claim::Image, Format::Cosign) | (Claim::Blob { .. }, _) => document.clone(),
            (Claim::Image, Format::Bundle) | (Claim::Attestation { .. }, _) => {
                dsse::pre_authentication_encoding(dsse::IN_TOTO, &document)
            }
        };
        let ChosenKey { key, .. } = chosen;
        if key.key_type == KeyType::Ed25519 && signed.len() > SigningInput::MAX_MESSAGE {
            return Err(SignerError::MessageTooLarge { key: key.name.clone(), bytes: signed.len() }.into());
        }
        let payload = document.digest();
        let unseen = Self::unseen(chosen, subject, format, claim, payload, key.input(&signed))?;
        Ok(Self { document, ..unseen })
    }

    /// A document of which only the digest is known.
    ///
    /// # Errors
    /// Where the key can not sign it.
    pub fn unseen(
        chosen: &ChosenKey,
        subject: Subject,
        format: Format,
        claim: Claim,
        payload: Digest,
        input: SigningInput,
    ) -> Result<Self, ServiceError> {
        let ChosenKey { key, version } = chosen;
        let (Some(reference), Some(published)) = (key.reference(*version), key.versions.get(version)) else {
            let (key, version) = (key.name.clone(), *version);
            return Err(ServiceError::KeyVersionUnavailable { key, version, usable: None });
        };
        Ok(Self {
            subject,
            key: reference,
            format,
            annotations: Annotations::default(),
            claim,
            document: Content::default(),
            payload,
            input,
            public_key: published.public_key.clone(),
            hash: key.hash,
        })
    }

    /// Whether `signature` is what is wanted.
    pub fn is_met_by(&self, signature: &[u8]) -> bool {
        self.public_key.verifies(&self.input, signature)
    }

    /// Whether the signature that `record` has is what is wanted.
    pub fn is_met_by_record(&self, record: &Record) -> bool {
        record.signature().is_some_and(|(signature, _)| self.is_met_by(signature))
    }

    pub fn identity(&self) -> SignatureIdentity {
        SignatureIdentity::of_parts(&self.subject, &self.key, self.format, &self.annotations, &self.claim)
    }

    /// What verifies the signature.
    pub const fn verifier(&self) -> (&PublicKey, HashAlgorithm) {
        (&self.public_key, self.hash)
    }
}

/// The document that says "this image is signed": always the same for the same image, format and annotations.
pub fn document(image: &ImageReference, format: Format, annotations: &Annotations) -> Content {
    match format {
        Format::Cosign => simple_signing::payload(image, annotations).into(),
        Format::Bundle => statement::signature_statement(image.digest, annotations).into(),
    }
}
