//! The fields of a request's body, as forgiving as Vault reads them: `"1"` is a number, `1` is a text and a truth.

use serde_json::{Map, Value};

use super::answer::Refusal;

/// A body that is a JSON object. No body, and a body that does not begin like JSON (Vault takes it for a form), has no fields.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let Some(b'{' | b'[') = body.trim_ascii_start().first() else {
            return Ok(Self(Map::new()));
        };
        let value: Value =
            serde_json::from_slice(body).map_err(|error| Refusal::Malformed(error.to_string()))?;
        check_limits(&value)?;
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(Refusal::Invalid(
                "error parsing JSON: failed to parse JSON input: json: cannot unmarshal array into Go value \
                 of type map[string]interface {}"
                    .to_owned(),
            )),
        }
    }

    /// The field as it came; `None` when it is absent or null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// `None` when the field is absent; null is the empty text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        match value {
            Value::Bool(flag) => Ok(Some(u8::from(*flag).to_string())),
            _ => as_text(value).map(Some).ok_or_else(|| not_valid(name, "'' expected type 'string'")),
        }
    }

    /// Zero when the field is absent, null or empty.
    pub(super) fn integer(&self, name: &str) -> Result<i64, Refusal> {
        Ok(self.optional_integer(name)?.unwrap_or(0))
    }

    pub(super) fn optional_integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let text = match value {
            Value::Bool(flag) => return Ok(Some(i64::from(*flag))),
            _ => as_text(value).ok_or_else(|| not_valid(name, "'' expected type 'int'"))?,
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) if text.is_empty() => Ok(Some(0)),
            Err(_) => Err(not_valid(
                name,
                &format!("cannot parse '' as int: strconv.ParseInt: parsing \"{text}\": invalid syntax"),
            )),
        }
    }

    /// Seconds: a number, or a text as `3600`, `90m`, `1h30m` or `1d`.
    pub(super) fn optional_seconds(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let text = as_text(value).ok_or_else(|| not_valid(name, "could not parse duration from input"))?;
        if text.starts_with('-') {
            return Err(not_valid(name, &format!("cannot provide negative value '{text}'")));
        }
        let seconds =
            seconds(&text).ok_or_else(|| not_valid(name, &format!("time: invalid duration \"{text}\"")))?;
        Ok(Some(seconds))
    }

    /// False when the field is absent, null or empty.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        Ok(self.optional_flag(name)?.unwrap_or(false))
    }

    pub(super) fn optional_flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        if let Value::Bool(flag) = value {
            return Ok(Some(*flag));
        }
        let text = as_text(value).ok_or_else(|| not_valid(name, "'' expected type 'bool'"))?;
        match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
            _ => Err(not_valid(
                name,
                &format!("cannot parse '' as bool: strconv.ParseBool: parsing \"{text}\": invalid syntax"),
            )),
        }
    }

    /// The warning about fields beyond `known`, if there are any.
    pub(super) fn warnings(&self, known: &[&str]) -> Vec<String> {
        let mut unknown: Vec<&str> = self.0.keys().map(String::as_str).collect();
        unknown.retain(|name| !known.contains(name));
        unknown.sort_unstable();
        if unknown.is_empty() {
            return Vec::new();
        }
        let names = unknown.join(" ");
        vec![format!("Endpoint ignored these unrecognized parameters: [{names}]")]
    }
}

/// Texts, numbers and null (empty); nothing else is taken for a text inside a batch.
pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn seconds(text: &str) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let parts = text.split_inclusive(|c: char| !c.is_ascii_digit());
    parts
        .map(|part| {
            let (number, unit) = part.split_at(part.find(|c: char| !c.is_ascii_digit())?);
            let unit = match unit {
                "d" => 86_400,
                "h" => 3_600,
                "m" => 60,
                "s" => 1,
                _ => return None,
            };
            number.parse::<u64>().ok()?.checked_mul(unit)
        })
        .sum()
}

fn not_valid(name: &str, reason: &str) -> Refusal {
    Refusal::Invalid(format!(
        "Field validation failed: error converting input for field \"{name}\": {reason}"
    ))
}

/// 10,000 elements an array, 1 MiB a string: Vault 1.21's limits that a signing request can meet.
fn check_limits(value: &Value) -> Result<(), Refusal> {
    const ELEMENTS: usize = 10_000;
    const STRING_BYTES: usize = 1024 * 1024;
    match value {
        Value::String(text) if text.len() > STRING_BYTES => {
            Err(Refusal::Malformed("JSON string value exceeds allowed length".to_owned()))
        }
        Value::Array(elements) if elements.len() > ELEMENTS => {
            Err(Refusal::Malformed("JSON array exceeds allowed element count".to_owned()))
        }
        Value::Array(elements) => elements.iter().try_for_each(check_limits),
        Value::Object(fields) => fields.values().try_for_each(check_limits),
        _ => Ok(()),
    }
}
