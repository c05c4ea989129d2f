//! In-toto statements: what an attestation says, of which image.
//!
//! - <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>
//! - <https://github.com/in-toto/attestation/blob/main/spec/v0.1.0/README.md#statement>

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{go_json, predicate};
use crate::domain::{Annotations, Content, Digest, ImageReference};

/// The predicate type that says "this image is signed".
pub const SIGNATURE_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// Bytes of a statement: the largest predicate, and what stands around it.
pub const MAX_BYTES: u64 = predicate::MAX_BYTES as u64 + 64 * 1024;

const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";
/// What every cosign writes around predicates.
const STATEMENT_V0_1: &str = "https://in-toto.io/Statement/v0.1";

/// A statement that was read. Its predicate is any JSON: it may be large, and is neither parsed nor copied.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Statement<'a> {
    #[serde(rename = "_type", borrow)]
    pub statement_type: Cow<'a, str>,
    pub subject: Vec<Subject>,
    #[serde(borrow)]
    pub predicate_type: Cow<'a, str>,
    /// In the bytes that were signed.
    #[serde(borrow, default)]
    predicate: Option<&'a RawValue>,
}

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Subject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// By algorithm, in hexadecimal digits.
    pub digest: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, Value>,
}

impl<'a> Statement<'a> {
    /// Reads a statement of whatever version.
    ///
    /// # Errors
    /// Where it is none, or has fields that verifiers refuse; the text says what is wrong.
    pub fn parse(json: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| format!("it is no in-toto statement: {error}"))
    }

    /// The predicate's bytes; none where there is no predicate.
    pub fn predicate(&self) -> Option<&'a [u8]> {
        self.predicate.map(|predicate| predicate.get().as_bytes())
    }

    /// Whether one of the subjects is this image.
    pub fn is_about(&self, image: Digest) -> bool {
        let hex = image.hex();
        self.subject.iter().any(|subject| subject.digest.get("sha256") == Some(&hex))
    }
}

/// The statement "this image is signed". The same image and annotations always give the same bytes.
pub fn signature_statement(image: Digest, annotations: &Annotations) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct SignatureStatement<'a> {
        #[serde(rename = "_type")]
        statement_type: &'a str,
        subject: [Subject; 1],
        predicate_type: &'a str,
        predicate: Map<String, Value>,
    }
    let text = |(key, value): (&String, &String)| (key.clone(), Value::String(value.clone()));
    go_json::to_vec(&SignatureStatement {
        statement_type: STATEMENT_V1,
        subject: [Subject {
            name: None,
            digest: BTreeMap::from([("sha256".to_owned(), image.hex())]),
            annotations: annotations.as_map().iter().map(text).collect(),
        }],
        predicate_type: SIGNATURE_PREDICATE,
        predicate: Map::new(),
    })
}

/// The statement that `predicate` holds for `image`. The predicate is neither copied nor changed by a byte.
pub fn attestation_statement(image: &ImageReference, predicate_type: &str, predicate: Bytes) -> Content {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Head<'a> {
        #[serde(rename = "_type")]
        statement_type: &'a str,
        predicate_type: &'a str,
        subject: [HeadSubject; 1],
    }
    #[derive(Serialize)]
    struct HeadSubject {
        name: String,
        digest: BTreeMap<&'static str, String>,
    }
    let mut head = go_json::to_vec(&Head {
        statement_type: STATEMENT_V0_1,
        predicate_type,
        subject: [HeadSubject {
            name: image.repository.to_string(),
            digest: BTreeMap::from([("sha256", image.digest.hex())]),
        }],
    });
    head.pop();
    head.extend_from_slice(br#","predicate":"#);
    let mut statement = Content::from(head);
    statement.push(predicate);
    statement.push(&b"}"[..]);
    statement
}

/// Whether `statement` says that this image is signed, with just these annotations. Its bytes may differ
/// from ours: others write fields in other orders.
pub fn says_signed(statement: &[u8], image: Digest, annotations: &Annotations) -> bool {
    let Ok(statement) = Statement::parse(statement) else { return false };
    let [subject] = statement.subject.as_slice() else { return false };
    statement.statement_type == STATEMENT_V1
        && statement.predicate_type == SIGNATURE_PREDICATE
        && statement.predicate().is_none_or(|predicate| predicate.starts_with(b"{"))
        && statement.is_about(image)
        && subject.annotations.len() == annotations.as_map().len()
        && annotations
            .as_map()
            .iter()
            .all(|(key, value)| subject.annotations.get(key).and_then(Value::as_str) == Some(value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_is_the_one_that_verifiers_read() {
        let image = Digest::from_bytes([0xab; 32]);
        assert_eq!(
            String::from_utf8(signature_statement(image, &Annotations::default())).unwrap(),
            format!(
                r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{}"}},"annotations":{{}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{{}}}}"#,
                image.hex()
            )
        );
    }

    #[test]
    fn an_attestation_names_its_image_and_keeps_its_predicate_byte_for_byte() {
        let hex = "ab".repeat(32);
        let image = format!("registry.example.com/team/app@sha256:{hex}").parse().unwrap();
        let predicate = Bytes::from("{ \"b\" : 1.50,\n\"a\":\"<\\u00e9>\" }");
        let statement = attestation_statement(&image, "https://example.com/a?b&c", predicate.clone());
        assert_eq!(
            std::str::from_utf8(&statement.to_bytes()).unwrap(),
            format!(
                "{{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"predicateType\":\"https://example.com/a?b\\u0026c\",\"subject\":[{{\"name\":\"registry.example.com/team/app\",\"digest\":{{\"sha256\":\"{hex}\"}}}}],\"predicate\":{{ \"b\" : 1.50,\n\"a\":\"<\\u00e9>\" }}}}"
            )
        );
        assert!(statement.pieces().any(|piece| piece.as_ptr() == predicate.as_ptr()), "it was copied");

        let bytes = statement.to_bytes();
        let read = Statement::parse(&bytes).unwrap();
        assert_eq!(read.predicate_type, "https://example.com/a?b&c");
        assert_eq!(read.predicate(), Some(&predicate[..]));
        assert_eq!(read.subject[0].name.as_deref(), Some("registry.example.com/team/app"));
        assert!(read.is_about(image.digest));
        assert!(!read.is_about(Digest::of(b"other")));
    }

    #[test]
    fn a_statement_is_read_however_deep_its_predicate_is() {
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        let text = format!(r#"{{"_type":"t","predicateType":"p","subject":[],"predicate":{open}{close}}}"#);
        assert!(Statement::parse(text.as_bytes()).is_ok());
        for text in [
            "null",
            r#"{"_type":"t","predicateType":"p"}"#,
            r#"{"_type":"t","predicateType":"p","subject":[],"predicate":{},"more":1}"#,
            r#"{"_type":"t","predicateType":"p","subject":[],"predicate":{},"predicate":{}}"#,
            r#"{"_type":"t","predicateType":"p","subject":[{"name":"n"}]}"#,
        ] {
            assert!(Statement::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_statement_is_recognised_by_what_it_says() {
        let image = Digest::of(b"image");
        let none = Annotations::default();
        let some = Annotations::new([("k".to_owned(), "v".to_owned())].into()).unwrap();
        assert!(says_signed(&signature_statement(image, &some), image, &some));
        assert!(!says_signed(&signature_statement(image, &some), image, &none));
        assert!(!says_signed(&signature_statement(image, &none), image, &some));
        assert!(!says_signed(&signature_statement(Digest::of(b"other"), &none), image, &none));
        let provenance = String::from_utf8(signature_statement(image, &none))
            .unwrap()
            .replace(SIGNATURE_PREDICATE, "https://slsa.dev/provenance/v1");
        assert!(!says_signed(provenance.as_bytes(), image, &none));
    }
}
