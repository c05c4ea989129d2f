//! The signature that a request wants, before anybody knows whether it exists.

use std::sync::Arc;

use crate::domain::{
    Annotations, Claim, Format, HashAlgorithm, ImageReference, Key, KeyReference, KeyVersion, PublicKey,
    SignatureIdentity, SigningInput, Subject,
};
use crate::format::{dsse, simple_signing, statement};

/// Everything that the bytes of a signature depend on, but for the moment of signing.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub image: ImageReference,
    pub key: KeyReference,
    pub format: Format,
    pub annotations: Annotations,
    /// What the layout keeps: the simple-signing payload or the in-toto statement.
    pub document: Vec<u8>,
    public_key: PublicKey,
    hash: HashAlgorithm,
}

/// A request's choices that do not depend on the format.
#[derive(Debug, Clone)]
pub struct Choice {
    pub image: ImageReference,
    pub key: Arc<Key>,
    pub version: KeyVersion,
    pub annotations: Annotations,
}

impl Choice {
    /// The signature in one format; `None` where the key does not publish the version.
    pub fn in_format(&self, format: Format) -> Option<Wanted> {
        Some(Wanted {
            document: document(&self.image, format, &self.annotations),
            key: self.key.reference(self.version)?,
            public_key: self.key.versions.get(&self.version)?.public_key.clone(),
            hash: self.key.hash,
            image: self.image.clone(),
            annotations: self.annotations.clone(),
            format,
        })
    }
}

impl Wanted {
    /// What the key is given to sign.
    pub fn input(&self) -> SigningInput {
        let document = self.document.clone().into();
        let content = match self.format {
            Format::Cosign => document,
            Format::Bundle => dsse::pre_authentication_encoding(dsse::IN_TOTO, &document),
        };
        SigningInput::of(self.public_key.key_type(), self.hash, &content)
    }

    /// Whether `signature` is what is wanted.
    pub fn is_met_by(&self, signature: &[u8]) -> bool {
        self.public_key.verifies(&self.input(), signature)
    }

    pub fn identity(&self) -> SignatureIdentity {
        let subject = Subject::from(&self.image);
        SignatureIdentity::of_parts(&subject, &self.key, self.format, &self.annotations, &Claim::Image)
    }

    /// What verifies the signature.
    pub const fn verifier(&self) -> (&PublicKey, HashAlgorithm) {
        (&self.public_key, self.hash)
    }
}

/// The document that a layout keeps: always the same for the same image, format and annotations.
pub fn document(image: &ImageReference, format: Format, annotations: &Annotations) -> Vec<u8> {
    match format {
        Format::Cosign => simple_signing::payload(image, annotations),
        Format::Bundle => statement::signature_statement(image.digest, annotations),
    }
}
