//! `verify/…`, one signature a call: what `cosign verify --key hashivault://…` asks.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::Shared;
use super::answer::{Answer, Refusal};
use super::decode;
use super::fields::Fields;
use super::keyring::Key;
use super::manner::{Manner, Marshaling};
use super::signing_key::InputError;

/// `hash` is what the path says, or empty.
pub(super) fn verify(shared: &Shared, name: &str, hash: &str, fields: &Fields) -> Result<Answer, Refusal> {
    const KNOWN: [&str; 11] = [
        "name",
        "urlalgorithm",
        "hash_algorithm",
        "algorithm",
        "prehashed",
        "marshaling_algorithm",
        "signature_algorithm",
        "salt_length",
        "input",
        "signature",
        "context",
    ];
    if fields.get("batch_input").is_some() {
        return Err(invalid("this stand-in verifies no batches; Vault does"));
    }
    let text = fields
        .text("signature")?
        .ok_or_else(|| invalid("missing one of 'signature', 'hmac' or 'cmac' arguments to verify"))?;
    let manner = Manner::choose(hash, fields)?;
    let input = decode::base64(&fields.text("input")?.unwrap_or_default()).map_err(|place| {
        let reason = format!("illegal base64 data at input byte {place}");
        Refusal::Invalid(format!("failed to parse item: failed to parse input: {reason}"))
    })?;
    let keyring = shared.keyring();
    let key = keyring.get(name).ok_or_else(|| invalid("signature verification key not found"))?;
    let (version, encoded) = split(&text, key)?;
    let valid = match key.versions.get(&version) {
        Some(key) => {
            let signature = decode_signature(encoded, manner.marshaling, key.is_ecdsa())?;
            key.verifies(input, &signature, &manner).map_err(|error| match error {
                InputError::Invalid(reason) => Refusal::Invalid(format!("failed to parse item: {reason}")),
                failed @ InputError::Failed(_) => failed.into(),
            })?
        }
        None => false,
    };
    Ok(Answer::data("transit", json!({"valid": valid}), fields.warnings(&KNOWN)))
}

/// Takes `vault:v<version>:<signature>` apart, for a version that `key` still has.
fn split<'a>(text: &'a str, key: &Key) -> Result<(u32, &'a str), Refusal> {
    let rest = text.strip_prefix("vault:v").ok_or_else(|| invalid("invalid signature: no prefix"))?;
    let (version, encoded) =
        rest.split_once(':').ok_or_else(|| invalid("invalid signature: wrong number of fields"))?;
    let version: u32 =
        version.parse().map_err(|_| invalid("invalid signature: version number could not be decoded"))?;
    if version > key.latest() {
        return Err(invalid("invalid signature: version is too new"));
    }
    if version < key.settings.min_decryption_version {
        return Err(invalid("ciphertext or signature version is disallowed by policy (too old)"));
    }
    Ok((version, encoded))
}

fn decode_signature(encoded: &str, marshaling: Marshaling, is_ecdsa: bool) -> Result<Vec<u8>, Refusal> {
    let decoded = match marshaling {
        Marshaling::Asn1 => STANDARD.decode(encoded),
        Marshaling::Jws => URL_SAFE_NO_PAD.decode(encoded),
    };
    let signature = decoded.map_err(|_| invalid("invalid base64 signature value"))?;
    match marshaling {
        Marshaling::Asn1 if is_ecdsa && !is_sequence(&signature) => {
            Err(invalid("supplied signature is invalid"))
        }
        Marshaling::Asn1 | Marshaling::Jws => Ok(signature),
    }
}

/// DER of a sequence that is shorter than 256 bytes, as all ECDSA signatures are.
fn is_sequence(der: &[u8]) -> bool {
    let (length, body) = match der {
        [0x30, 0x81, length, body @ ..] if *length >= 0x80 => (*length, body),
        [0x30, length, body @ ..] if *length < 0x80 => (*length, body),
        _ => return false,
    };
    usize::from(length) == body.len()
}

fn invalid(reason: &str) -> Refusal {
    Refusal::Invalid(reason.to_owned())
}
