//! The signature that a request wants, before anybody knows whether it exists.

use std::sync::Arc;

use crate::domain::{
    Annotations, Claim, Content, Digest, Format, HashAlgorithm, ImageReference, Key, KeyReference,
    KeyVersion, PublicKey, SignatureIdentity, SigningInput, Subject,
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

impl Wanted {
    /// "This image is signed."
    ///
    /// # Errors
    /// Where the key can not sign it.
    pub fn image(
        chosen: &ChosenKey,
        image: &ImageReference,
        format: Format,
        annotations: &Annotations,
    ) -> Result<Self, ServiceError> {
        let document = document(image, format, annotations);
        Self::document(chosen, image.into(), format, annotations.clone(), Claim::Image, document)
    }

    /// A document of whatever `claim`.
    ///
    /// # Errors
    /// Where the key can not sign it.
    pub fn document(
        chosen: &ChosenKey,
        subject: Subject,
        format: Format,
        annotations: Annotations,
        claim: Claim,
        document: Content,
    ) -> Result<Self, ServiceError> {
        let signed = match (&claim, format) {
            (Claim::Image, Format::Cosign) | (Claim::Blob { .. }, _) => document.clone(),
            (Claim::Image, Format::Bundle) | (Claim::Attestation { .. }, _) => {
                dsse::pre_authentication_encoding(dsse::IN_TOTO, &document)
            }
        };
        let payload = document.digest();
        let input = chosen.key.input(&signed);
        let unseen = Self::unseen(chosen, subject, format, claim, payload, input)?;
        Ok(Self { document, annotations, ..unseen })
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
        if let SigningInput::Message(message) = &input
            && message.len() > SigningInput::MAX_MESSAGE
        {
            return Err(SignerError::MessageTooLarge { key: key.name.clone(), bytes: message.len() }.into());
        }
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
