//! The in-toto statement that cosign 3 signs for an image.
//! <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::go_json;
use crate::domain::{Annotations, Digest};

/// The predicate type that says "this image is signed".
pub const SIGNATURE_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    predicate_type: String,
    #[serde(default)]
    predicate: Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Subject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    digest: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, Value>,
}

/// The statement "this image is signed". The same image and annotations always give the same bytes.
pub fn signature_statement(image: Digest, annotations: &Annotations) -> Vec<u8> {
    let text = |(key, value): (&String, &String)| (key.clone(), Value::String(value.clone()));
    go_json::to_vec(&Statement {
        statement_type: STATEMENT_V1.to_owned(),
        subject: vec![Subject {
            name: None,
            digest: BTreeMap::from([("sha256".to_owned(), image.hex())]),
            annotations: annotations.as_map().iter().map(text).collect(),
        }],
        predicate_type: SIGNATURE_PREDICATE.to_owned(),
        predicate: Map::new(),
    })
}

/// Whether `statement` says that this image is signed, with just these annotations. Its bytes may differ
/// from ours: others write fields in other orders.
pub fn says_signed(statement: &[u8], image: Digest, annotations: &Annotations) -> bool {
    let Ok(statement) = serde_json::from_slice::<Statement>(statement) else { return false };
    let [subject] = statement.subject.as_slice() else { return false };
    statement.statement_type == STATEMENT_V1
        && statement.predicate_type == SIGNATURE_PREDICATE
        && subject.digest.get("sha256") == Some(&image.hex())
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
