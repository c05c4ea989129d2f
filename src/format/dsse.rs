//! Dead Simple Signing Envelope, v1.
//!
//! - <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>
//! - <https://github.com/secure-systems-lab/dsse/blob/master/envelope.md>

use std::borrow::Cow;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderStringWriter;
use bytes::Bytes;
use serde::Deserialize;

use super::statement;
use crate::domain::Content;

/// The payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// Bytes of an envelope around an attestation that we read: what the largest one has of ours, and some signatures of
/// others.
pub const MAX_BYTES: u64 = statement::MAX_BYTES.div_ceil(3) * 4 + 64 * 1024;

/// The bytes that are signed: the pre-authentication encoding of `payload`, which is not copied.
pub fn pre_authentication_encoding(payload_type: &str, payload: &Content) -> Content {
    let mut encoding =
        Content::from(format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()));
    encoding.append(payload);
    encoding
}

/// The envelope of one signature over an in-toto statement, as JSON. The same parts always give the same bytes.
///
/// The key's id stays out: some verifiers skip a signature whose id they do not expect.
pub fn envelope(statement: &Content, signature: &[u8]) -> Content {
    let mut envelope = Content::from(format!(r#"{{"payloadType":"{IN_TOTO}","payload":""#));
    envelope.push(base64(statement));
    envelope.push(format!(r#"","signatures":[{{"sig":"{}"}}]}}"#, STANDARD.encode(signature)));
    envelope
}

/// An envelope that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub payload_type: String,
    /// In the bytes that were signed.
    pub payload: Bytes,
    pub signatures: Vec<Vec<u8>>,
}

/// Why bytes are no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("it is no DSSE envelope: {0}")]
    Json(String),
    #[error("the `{0}` of the DSSE envelope is no standard base64")]
    Base64(&'static str),
}

impl Envelope {
    /// Reads an envelope. Fields that the specification does not know are no concern of ours.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(json: &[u8]) -> Result<Self, EnvelopeError> {
        let encoded: Encoded<'_> =
            serde_json::from_slice(json).map_err(|error| EnvelopeError::Json(error.to_string()))?;
        encoded.decode()
    }

    /// The signature, where there is exactly one: bundles have no other, and Signet makes no other.
    pub fn only_signature(&self) -> Option<&[u8]> {
        match self.signatures.as_slice() {
            [signature] => Some(signature),
            _ => None,
        }
    }

    /// The bytes that were signed.
    pub fn signed(&self) -> Content {
        pre_authentication_encoding(&self.payload_type, &self.payload.clone().into())
    }
}

/// An envelope as it stands in JSON. The payload is borrowed: it may be large.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Encoded<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    payload_type: String,
    signatures: Vec<EncodedSignature>,
}

#[derive(Debug, Deserialize)]
struct EncodedSignature {
    sig: String,
    #[serde(default)]
    keyid: Option<String>,
}

/// As [`Encoded`], in a bundle: there, verifiers take no field that they do not know.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct StrictlyEncoded<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    payload_type: String,
    signatures: Vec<EncodedSignature>,
}

impl<'a> From<StrictlyEncoded<'a>> for Encoded<'a> {
    fn from(StrictlyEncoded { payload, payload_type, signatures }: StrictlyEncoded<'a>) -> Self {
        Self { payload, payload_type, signatures }
    }
}

impl Encoded<'_> {
    /// Whether a signature says which key made it.
    pub(super) fn names_a_key(&self) -> bool {
        let mut names = self.signatures.iter().filter_map(|signature| signature.keyid.as_ref());
        names.any(|keyid| !keyid.is_empty())
    }

    pub(super) fn decode(self) -> Result<Envelope, EnvelopeError> {
        let decode = |field, text: &str| STANDARD.decode(text).map_err(|_| EnvelopeError::Base64(field));
        Ok(Envelope {
            payload: decode("payload", &self.payload)?.into(),
            signatures: self
                .signatures
                .iter()
                .map(|signature| decode("sig", &signature.sig))
                .collect::<Result<_, _>>()?,
            payload_type: self.payload_type,
        })
    }
}

/// `content` in standard base64: the one copy that is made of it.
pub(super) fn base64(content: &Content) -> String {
    let text = String::with_capacity(content.len().div_ceil(3) * 4);
    let mut encoder = EncoderStringWriter::from_consumer(text, &STANDARD);
    for piece in content.pieces() {
        encoder.write_all(piece).expect("invariant: writing to a string does not fail");
    }
    encoder.into_inner()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_specifications_example() {
        let encoding = pre_authentication_encoding("http://example.com/HelloWorld", &"hello world".into());
        assert_eq!(encoding, Content::from("DSSEv1 29 http://example.com/HelloWorld 11 hello world"));
    }

    #[test]
    fn an_envelope_has_what_verifiers_demand_and_no_more() {
        let json = r#"{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"c2ln"}]}"#;
        assert_eq!(envelope(&"{}".into(), b"sig"), Content::from(json));
    }

    #[test]
    fn what_others_write_is_read_and_what_is_none_is_not() {
        let envelope = Envelope::parse(
            br#"{"signatures":[{"keyid":"","sig":"c2ln"},{"sig":""}],"payload":"e\u00330=","payloadType":"x","more":1}"#,
        );
        let envelope = envelope.unwrap();
        assert_eq!(envelope.payload, "{}");
        assert_eq!(envelope.signatures, [&b"sig"[..], b""]);
        assert_eq!(envelope.only_signature(), None);
        assert_eq!(envelope.signed(), Content::from("DSSEv1 1 x 2 {}"));
        for text in [
            "",
            "[]",
            "{}",
            r#"{"payloadType":"x","payload":"e30=","signatures":null}"#,
            r#"{"payloadType":"x","payload":"e30","signatures":[]}"#,
            r#"{"payloadType":"x","payload":"e30=","signatures":[{"sig":"_-=="}]}"#,
            r#"{"payloadType":"x","payload":"e30=","payload":"e30=","signatures":[]}"#,
        ] {
            assert!(Envelope::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_envelope_reads_back_what_was_put_in_however_it_came_in_pieces(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8),
            signature: Vec<u8>,
        ) {
            let mut statement = Content::default();
            for piece in &pieces {
                statement.push(piece.clone());
            }
            let envelope = envelope(&statement, &signature);
            let read = Envelope::parse(&envelope.to_bytes()).unwrap();
            prop_assert_eq!(&read.payload, &statement.to_bytes());
            prop_assert_eq!(read.only_signature(), Some(&signature[..]));
            prop_assert_eq!(read.signed(), pre_authentication_encoding(IN_TOTO, &statement));
        }
    }
}
