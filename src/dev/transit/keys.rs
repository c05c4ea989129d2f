//! `keys/…`: making, reading, rotating, configuring and deleting keys.

use std::io;

use serde_json::{Map, Value, json};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::fields::Fields;
use super::keyring::{Key, Settings};

/// What Vault makes when the caller names no type.
const DEFAULT_TYPE: &str = "aes256-gcm96";
const ONLY_TYPE: &str = "ecdsa-p256";
const OTHER_TYPES: [&str; 16] = [
    "aes128-gcm96",
    DEFAULT_TYPE,
    "chacha20-poly1305",
    "xchacha20-poly1305",
    "ed25519",
    "ecdsa-p384",
    "ecdsa-p521",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
    "hmac",
    "aes128-cmac",
    "aes256-cmac",
    "ml-dsa",
    "slh-dsa",
    "hybrid",
];

pub(super) fn list(shared: &Shared) -> Result<Answer, Refusal> {
    let keyring = shared.keyring();
    let names: Vec<&str> = keyring.names().collect();
    if names.is_empty() {
        return Err(Refusal::NotFound);
    }
    Ok(Answer::data("transit", json!({"keys": names}), Vec::new()))
}

pub(super) fn read(shared: &Shared, name: &str) -> Result<Answer, Refusal> {
    let keyring = shared.keyring();
    let key = keyring.get(name).ok_or(Refusal::NotFound)?;
    Ok(describe(name, key, Vec::new()))
}

/// A name that is taken keeps its key, whatever its type.
pub(super) fn create(shared: &Shared, name: &str, fields: &Fields) -> Result<Answer, Refusal> {
    const KNOWN: [&str; 7] = [
        "name",
        "type",
        "derived",
        "convergent_encryption",
        "exportable",
        "allow_plaintext_backup",
        "auto_rotate_period",
    ];
    refuse_rotation_period(fields)?;
    let derived = fields.flag("derived")?;
    if fields.flag("convergent_encryption")? && !derived {
        return Err(Refusal::Invalid("convergent encryption requires derivation to be enabled".to_owned()));
    }
    let wanted = wanted_type(fields)?;
    let warnings = fields.warnings(&KNOWN);
    let settings = Settings {
        min_decryption_version: 1,
        min_encryption_version: 0,
        deletion_allowed: false,
        exportable: fields.flag("exportable")?,
        allow_plaintext_backup: fields.flag("allow_plaintext_backup")?,
        created: Default::default(),
    };
    let mut keyring = shared.keyring_mut();
    if let Some(key) = keyring.get(name) {
        return Ok(describe(name, key, warnings));
    }
    if wanted != ONLY_TYPE {
        return Err(Refusal::Invalid(format!(
            "this stand-in has no keys of type {wanted}; say \"type\": \"{ONLY_TYPE}\""
        )));
    }
    if derived {
        return Err(Refusal::Failed(format!(
            "key derivation and convergent encryption not supported for keys of type {ONLY_TYPE}"
        )));
    }
    let key = keyring.create(name, settings, shared.now()).map_err(storage)?;
    Ok(describe(name, key, warnings))
}

pub(super) fn rotate(shared: &Shared, name: &str) -> Result<Answer, Refusal> {
    let mut keyring = shared.keyring_mut();
    let rotated = keyring.rotate(name, shared.now());
    let rotated = rotated.ok_or_else(|| Refusal::Invalid("key not found".to_owned()))?;
    Ok(describe(name, rotated.map_err(storage)?, Vec::new()))
}

/// Changes the settings that the request names, all of them or none.
pub(super) fn configure(shared: &Shared, name: &str, fields: &Fields) -> Result<Answer, Refusal> {
    const KNOWN: [&str; 7] = [
        "name",
        "min_decryption_version",
        "min_encryption_version",
        "deletion_allowed",
        "exportable",
        "allow_plaintext_backup",
        "auto_rotate_period",
    ];
    let mut warnings = fields.warnings(&KNOWN);
    let mut keyring = shared.keyring_mut();
    let Some(key) = keyring.get(name) else {
        return Err(Refusal::Invalid(format!("no existing key named {name} could be found")));
    };
    let mut key = key.clone();
    if let Some(version) = minimum(fields, "decryption", &key)? {
        if version == 0 {
            let forced = "since Vault 0.3, transit key numbering starts at 1; forcing minimum to 1";
            warnings.push(forced.to_owned());
        }
        key.settings.min_decryption_version = version.max(1);
    }
    if let Some(version) = minimum(fields, "encryption", &key)? {
        key.settings.min_encryption_version = version;
    }
    let (encryption, decryption) = (key.settings.min_encryption_version, key.settings.min_decryption_version);
    if encryption > 0 && encryption < decryption {
        return Err(Refusal::Invalid(format!(
            "cannot set min encryption/decryption values; min encryption version of {encryption} must be greater \
             than or equal to min decryption version of {decryption}"
        )));
    }
    if let Some(allowed) = fields.optional_flag("deletion_allowed")? {
        key.settings.deletion_allowed = allowed;
    }
    // These two can be switched on and never off again.
    key.settings.exportable |= fields.flag("exportable")?;
    key.settings.allow_plaintext_backup |= fields.flag("allow_plaintext_backup")?;
    refuse_rotation_period(fields)?;
    let key = keyring.configure(name, key).map_err(storage)?;
    Ok(describe(name, key, warnings))
}

pub(super) fn delete(shared: &Shared, name: &str) -> Result<Answer, Refusal> {
    let mut keyring = shared.keyring_mut();
    let refusal = match keyring.get(name) {
        None => Some("could not delete key; not found"),
        Some(key) if !key.settings.deletion_allowed => Some("deletion is not allowed for this key"),
        Some(_) => None,
    };
    if let Some(reason) = refusal {
        return Err(Refusal::Invalid(format!("error deleting policy {name}: {reason}")));
    }
    keyring.delete(name).map_err(storage)?;
    Ok(Answer::Nothing)
}

/// What every call about one key answers. Versions below the minimum are left out.
fn describe(name: &str, key: &Key, warnings: Vec<String>) -> Answer {
    let settings = &key.settings;
    let available = key.versions.range(settings.min_decryption_version..);
    let versions: Map<String, Value> = available
        .map(|(version, signing_key)| {
            let description = json!({
                "certificate_chain": "",
                "creation_time": settings.created.get(version).map(ToString::to_string),
                "hybrid_public_key": "",
                "name": "P-256",
                "public_key": signing_key.public_key(),
            });
            (version.to_string(), description)
        })
        .collect();
    let data = json!({
        "allow_plaintext_backup": settings.allow_plaintext_backup,
        "auto_rotate_period": 0,
        "deletion_allowed": settings.deletion_allowed,
        "derived": false,
        "exportable": settings.exportable,
        "imported_key": false,
        "keys": versions,
        "latest_version": key.latest(),
        "min_available_version": 0,
        "min_decryption_version": settings.min_decryption_version,
        "min_encryption_version": settings.min_encryption_version,
        "name": name,
        "supports_decryption": false,
        "supports_derivation": false,
        "supports_encryption": false,
        "supports_signing": true,
        "type": ONLY_TYPE,
    });
    Answer::data("transit", data, warnings)
}

/// # Errors
///
/// 400 for a type that Vault does not have either.
fn wanted_type(fields: &Fields) -> Result<String, Refusal> {
    let wanted = fields.text("type")?.unwrap_or_else(|| DEFAULT_TYPE.to_owned());
    if wanted == ONLY_TYPE || OTHER_TYPES.contains(&wanted.as_str()) {
        Ok(wanted)
    } else {
        Err(Refusal::Invalid(format!("unknown key type {wanted}")))
    }
}

fn refuse_rotation_period(fields: &Fields) -> Result<(), Refusal> {
    match fields.text("auto_rotate_period")?.as_deref() {
        None | Some("" | "0" | "0s") => Ok(()),
        Some(_) => Err(Refusal::Invalid(
            "this stand-in rotates no key by itself: auto_rotate_period must be 0".to_owned(),
        )),
    }
}

/// `min_<kind>_version` of the request, at most the latest version.
fn minimum(fields: &Fields, kind: &str, key: &Key) -> Result<Option<u32>, Refusal> {
    let Some(wanted) = fields.optional_integer(&format!("min_{kind}_version"))? else {
        return Ok(None);
    };
    if wanted < 0 {
        return Err(Refusal::Invalid(format!("min {kind} version cannot be negative")));
    }
    let latest = key.latest();
    match u32::try_from(wanted) {
        Ok(version) if version <= latest => Ok(Some(version)),
        _ => Err(Refusal::Invalid(format!(
            "cannot set min {kind} version of {wanted}, latest key version is {latest}"
        ))),
    }
}

fn storage(error: io::Error) -> Refusal {
    Refusal::Failed(format!("the stand-in's key directory cannot be used: {error}"))
}
