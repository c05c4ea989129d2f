//! `keys/…`: making, reading, rotating, configuring, trimming and deleting keys.

use std::io;

use serde_json::{Map, Value, json};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::fields::Fields;
use super::keyring::{Key, Settings};
use super::signing_key::{Generated, SigningKey};
use crate::domain::KeyType;

/// What Vault makes when the caller names no type.
const DEFAULT_TYPE: &str = "aes256-gcm96";
/// Types that Vault has besides [`KeyType::SUPPORTED`].
const OTHER_TYPES: [&str; 10] = [
    "aes128-gcm96",
    DEFAULT_TYPE,
    "chacha20-poly1305",
    "xchacha20-poly1305",
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
    let period = rotation_period(fields)?.unwrap_or(0);
    let derived = fields.flag("derived")?;
    let convergent = fields.flag("convergent_encryption")?;
    if convergent && !derived {
        return Err(Refusal::Invalid("convergent encryption requires derivation to be enabled".to_owned()));
    }
    let wanted = wanted_type(fields)?;
    let warnings = fields.warnings(&KNOWN);
    let settings = Settings {
        auto_rotate_period: period,
        exportable: fields.flag("exportable")?,
        allow_plaintext_backup: fields.flag("allow_plaintext_backup")?,
        ..Settings::new(&wanted)
    };
    if let Some(key) = shared.keyring().get(name) {
        return Ok(describe(name, key, warnings));
    }
    match &wanted {
        KeyType::Unsupported(other) => {
            let known = KeyType::SUPPORTED.map(|known| known.to_string()).join(", ");
            return Err(Refusal::Invalid(format!("this stand-in has no keys of type {other}, but {known}")));
        }
        KeyType::Ed25519 if convergent => {
            return Err(Refusal::Failed(
                "convergent encryption not supported for keys of type ed25519".to_owned(),
            ));
        }
        KeyType::Ed25519 if derived => {
            return Err(Refusal::Invalid("this stand-in derives no keys; Vault does".to_owned()));
        }
        other if derived => {
            return Err(Refusal::Failed(format!(
                "key derivation and convergent encryption not supported for keys of type {other}"
            )));
        }
        _ => {}
    }
    // Before the lock is taken: an RSA key takes its time, and others go on signing.
    let first = generate(&wanted)?;
    let mut keyring = shared.keyring_mut();
    if let Some(key) = keyring.get(name) {
        return Ok(describe(name, key, warnings));
    }
    let key = keyring.create(name, settings, first, shared.now()).map_err(storage)?;
    Ok(describe(name, key, warnings))
}

pub(super) fn rotate(shared: &Shared, name: &str) -> Result<Answer, Refusal> {
    let missing = || Refusal::Invalid("key not found".to_owned());
    let key_type = shared.keyring().get(name).map(Key::key_type).ok_or_else(missing)?;
    let next = generate(&key_type)?;
    let mut keyring = shared.keyring_mut();
    let rotated = keyring.rotate(name, &key_type, next, shared.now()).ok_or_else(missing)?;
    Ok(describe(name, rotated.map_err(storage)?, Vec::new()))
}

/// Deletes versions for good.
pub(super) fn trim(shared: &Shared, name: &str, fields: &Fields) -> Result<Answer, Refusal> {
    let mut keyring = shared.keyring_mut();
    let key = keyring.get(name).ok_or_else(|| Refusal::Invalid("invalid key name".to_owned()))?;
    let settings = &key.settings;
    let first = fields.optional_integer("min_available_version")?;
    let first = first.ok_or_else(|| Refusal::Invalid("missing min_available_version".to_owned()))?;
    let refusal = match () {
        () if first < i64::from(settings.min_available_version) => {
            "minimum available version cannot be decremented"
        }
        () if settings.min_encryption_version == 0 => {
            "minimum available version cannot be set when minimum encryption version is not set"
        }
        () if first > i64::from(settings.min_encryption_version) => {
            "minimum available version cannot be greater than minmum encryption version"
        }
        () if first > i64::from(settings.min_decryption_version) => {
            "minimum available version cannot be greater than minimum decryption version"
        }
        () if first == 0 => "minimum available version should be positive",
        () => "",
    };
    let first = u32::try_from(first).ok().filter(|_| refusal.is_empty());
    let first = first.ok_or_else(|| Refusal::Invalid(refusal.to_owned()))?;
    match keyring.trim(name, first) {
        Some(key) => {
            Ok(describe(name, key.map_err(storage)?, fields.warnings(&["name", "min_available_version"])))
        }
        None => Err(Refusal::NotFound),
    }
}

/// `export/<kind>/<name>[/<version>]`: what is public leaves, and nothing else.
pub(super) fn export(
    shared: &Shared,
    kind: &str,
    name: &str,
    version: Option<&str>,
) -> Result<Answer, Refusal> {
    const PRIVATE: [&str; 4] = ["signing-key", "encryption-key", "hmac-key", "certificate-chain"];
    let invalid = |reason: &str| Refusal::Invalid(reason.to_owned());
    if kind != "public-key" && !PRIVATE.contains(&kind) {
        return Err(Refusal::Invalid(format!("invalid export type: {kind}")));
    }
    let keyring = shared.keyring();
    let key = keyring.get(name).ok_or(Refusal::NotFound)?;
    if kind != "public-key" {
        return Err(invalid(match key.settings.exportable {
            true => "this stand-in exports public keys alone; Vault does more",
            false => "private key material is not exportable",
        }));
    }
    let numbers = match version {
        None => key.settings.min_decryption_version..=key.latest(),
        Some("latest") => key.latest()..=key.latest(),
        Some(number) => {
            let number: u32 = number.parse().map_err(|_| invalid("invalid key version"))?;
            if number < key.settings.min_decryption_version {
                return Err(invalid("version for export is below minimum decryption version"));
            }
            if number > key.latest() {
                return Err(invalid("version does not exist or cannot be found"));
            }
            number..=number
        }
    };
    // Vault leaves the last line break out, but of RSA keys.
    let exported = |key: &SigningKey| match key.is_ecdsa() {
        true => key.public_key().trim_end().to_owned(),
        false => key.public_key().to_owned(),
    };
    let keys: Map<String, Value> = key
        .versions
        .range(numbers)
        .map(|(version, signing_key)| (version.to_string(), exported(signing_key).into()))
        .collect();
    let data = json!({"keys": keys, "name": name, "type": key.settings.key_type});
    Ok(Answer::data("transit", data, Vec::new()))
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
    let available = key.settings.min_available_version;
    if available > encryption {
        return Err(Refusal::Invalid(
            "min encryption version should not be less than min available version".to_owned(),
        ));
    }
    if available > decryption {
        return Err(Refusal::Invalid(
            "min decryption version should not be less then min available version".to_owned(),
        ));
    }
    if let Some(allowed) = fields.optional_flag("deletion_allowed")? {
        key.settings.deletion_allowed = allowed;
    }
    // These two can be switched on and never off again.
    key.settings.exportable |= fields.flag("exportable")?;
    key.settings.allow_plaintext_backup |= fields.flag("allow_plaintext_backup")?;
    if let Some(period) = rotation_period(fields)? {
        key.settings.auto_rotate_period = period;
    }
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
    let key_type = key.key_type();
    let available = key.versions.range(settings.min_decryption_version..);
    let versions: Map<String, Value> = available
        .map(|(version, signing_key)| {
            let description = json!({
                "certificate_chain": "",
                "creation_time": settings.created.get(version).map(ToString::to_string),
                "hybrid_public_key": "",
                "name": name_of(&key_type),
                "public_key": signing_key.public_key(),
            });
            (version.to_string(), description)
        })
        .collect();
    let data = json!({
        "allow_plaintext_backup": settings.allow_plaintext_backup,
        "auto_rotate_period": settings.auto_rotate_period,
        "deletion_allowed": settings.deletion_allowed,
        "derived": false,
        "exportable": settings.exportable,
        "imported_key": false,
        "keys": versions,
        "latest_version": key.latest(),
        "min_available_version": settings.min_available_version,
        "min_decryption_version": settings.min_decryption_version,
        "min_encryption_version": settings.min_encryption_version,
        "name": name,
        "supports_decryption": false,
        "supports_derivation": key_type == KeyType::Ed25519,
        "supports_encryption": false,
        "supports_signing": true,
        "type": settings.key_type,
    });
    Answer::data("transit", data, warnings)
}

/// What Vault calls a version of such a key.
fn name_of(key_type: &KeyType) -> String {
    match key_type {
        KeyType::EcdsaP256 => "P-256".to_owned(),
        KeyType::EcdsaP384 => "P-384".to_owned(),
        KeyType::EcdsaP521 => "P-521".to_owned(),
        other => other.to_string(),
    }
}

fn generate(key_type: &KeyType) -> Result<Generated, Refusal> {
    SigningKey::generate(key_type).map_err(|error| Refusal::Failed(error.to_string()))
}

/// # Errors
///
/// 400 for a type that Vault does not have either.
fn wanted_type(fields: &Fields) -> Result<KeyType, Refusal> {
    let wanted = fields.text("type")?.unwrap_or_else(|| DEFAULT_TYPE.to_owned());
    match KeyType::from(wanted.as_str()) {
        KeyType::Unsupported(other) if !OTHER_TYPES.contains(&other.as_str()) => {
            Err(Refusal::Invalid(format!("unknown key type {other}")))
        }
        known => Ok(known),
    }
}

fn rotation_period(fields: &Fields) -> Result<Option<u64>, Refusal> {
    match fields.optional_seconds("auto_rotate_period")? {
        Some(1..3600) => {
            Err(Refusal::Invalid("auto rotate period must be 0 to disable or at least an hour".to_owned()))
        }
        period => Ok(period),
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
