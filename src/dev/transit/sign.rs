//! `sign/…`: one input, or a batch of which each item fails alone.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::decode;
use super::fields::{Fields, as_text};
use super::keyring::VersionError;
use super::manner::{Manner, Marshaling};
use super::signing_key::{InputError, SigningKey};

/// `hash` is what the path says, or empty. The signing itself runs on the caller's thread: some 30 µs for each input,
/// and milliseconds with RSA.
pub(super) fn sign(shared: &Shared, name: &str, hash: &str, fields: &Fields) -> Result<Answer, Refusal> {
    const KNOWN: [&str; 12] = [
        "name",
        "urlalgorithm",
        "hash_algorithm",
        "algorithm",
        "prehashed",
        "key_version",
        "marshaling_algorithm",
        "signature_algorithm",
        "salt_length",
        "input",
        "context",
        "batch_input",
    ];
    let manner = Manner::choose(hash, fields)?;
    let requested = fields.integer("key_version")?;
    let signer = match shared.keyring().get(name) {
        Some(key) => key.signer(requested),
        None => return Err(Refusal::Invalid("signing key not found".to_owned())),
    };
    let signing = Signing { manner, signer };
    let data = match fields.get("batch_input") {
        Some(batch) => {
            let results: Vec<Outcome> =
                parse_batch(batch)?.into_iter().map(|item| signing.answer_item(item)).collect();
            json!({"batch_results": results})
        }
        None => signing.answer_single(fields)?,
    };
    Ok(Answer::data("transit", data, fields.warnings(&KNOWN)))
}

/// What holds for all inputs of a request.
struct Signing {
    manner: Manner,
    signer: Result<(u32, Arc<SigningKey>), VersionError>,
}

/// One element of `batch_input`.
struct Item {
    input: Option<String>,
    context: String,
    reference: String,
}

/// One element of `batch_results`.
#[derive(Serialize)]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    /// Zero where there is no signature.
    key_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    reference: String,
}

impl Signing {
    /// An input that is left out is an empty one; only in a batch it is missing.
    fn answer_single(&self, fields: &Fields) -> Result<Value, Refusal> {
        let input = fields.text("input")?.unwrap_or_default();
        let context = fields.text("context")?.unwrap_or_default();
        let (key_version, signature) = self.sign(&input, &context)?;
        Ok(json!({"key_version": key_version, "signature": signature}))
    }

    fn answer_item(&self, item: Item) -> Outcome {
        let signed = match &item.input {
            Some(input) => self.sign(input, &item.context),
            None => Err(InputError::Invalid("missing input".to_owned())),
        };
        let (key_version, signature, error) = match signed {
            Ok((key_version, signature)) => (key_version, Some(signature), None),
            Err(InputError::Invalid(reason) | InputError::Failed(reason)) => (0, None, Some(reason)),
        };
        Outcome { signature, key_version, error, reference: item.reference }
    }

    fn sign(&self, input: &str, context: &str) -> Result<(u32, String), InputError> {
        let input = decode::base64(input).map_err(|place| {
            InputError::Invalid(format!("unable to decode input: illegal base64 data at input byte {place}"))
        })?;
        decode::base64(context)
            .map_err(|_| InputError::Invalid("failed to base64-decode context".to_owned()))?;
        let (version, key) = self.signer.as_ref().map_err(|error| InputError::Failed(error.to_string()))?;
        let signature = key.sign(input, &self.manner)?;
        let encoded = match self.manner.marshaling {
            Marshaling::Asn1 => STANDARD.encode(signature),
            Marshaling::Jws => URL_SAFE_NO_PAD.encode(signature),
        };
        Ok((*version, format!("vault:v{version}:{encoded}")))
    }
}

/// # Errors
///
/// 500 for anything but a list of objects whose fields are texts or numbers, 400 for an empty list.
fn parse_batch(batch: &Value) -> Result<Vec<Item>, Refusal> {
    let Value::Array(elements) = batch else {
        let kind = if batch.is_object() { "map" } else { "string" };
        return Err(Refusal::Failed(format!(
            "failed to parse batch input: '': source data must be an array or slice, got {kind}"
        )));
    };
    if elements.is_empty() {
        return Err(Refusal::Invalid("missing batch input to process".to_owned()));
    }
    let mut items = Vec::with_capacity(elements.len());
    let mut faults = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        match parse_item(element) {
            Ok(item) => items.push(item),
            Err(fault) => faults.push(format!("* '[{index}]{fault}")),
        }
    }
    if faults.is_empty() {
        return Ok(items);
    }
    let (count, faults) = (faults.len(), faults.join("\n"));
    Err(Refusal::Failed(format!("failed to parse batch input: {count} error(s) decoding:\n\n{faults}")))
}

/// Every field has to be a text or a number, also those that mean nothing.
fn parse_item(element: &Value) -> Result<Item, String> {
    let none = Map::new();
    let fields = match element {
        Value::Object(fields) => fields,
        Value::Null => &none,
        _ => return Err("' expected a map, got 'string'".to_owned()),
    };
    let mut texts = HashMap::new();
    for (name, value) in fields {
        let text = as_text(value).ok_or_else(|| format!("[{name}]' expected type 'string'"))?;
        texts.insert(name.as_str(), text);
    }
    Ok(Item {
        input: texts.remove("input"),
        context: texts.remove("context").unwrap_or_default(),
        reference: texts.remove("reference").unwrap_or_default(),
    })
}
