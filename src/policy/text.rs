//! The policy file as it is written. The JSON Schema that we publish is made from these types.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Format, KeyName, Operation, Timestamp};

/// Who may sign what with which key, in Signet. What no rule allows is denied, and a deny rule beats an allow rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Policy of Signet, version 1")]
pub struct PolicyText {
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    pub rules: Vec<RuleText>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Rule")]
pub struct RuleText {
    /// Names the rule in the log; each rule has its own.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    pub effect: Effect,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// A rule that only observes decides nothing: where it would have changed a decision, the log names it.
    #[serde(default)]
    pub mode: Mode,
    /// Whom the rule speaks of: one of these. A deny rule without it speaks of everybody.
    #[serde(default)]
    pub identity: Option<OneOrMany<IdentityText>>,
    /// Of these repositories, `host/path`: `*` stops at `/`, `**` crosses it. Needed in allow rules for sign, attest and verify.
    /// For log.read: what the log has of these; without it, the whole log.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub repositories: Option<Vec<String>>,
    /// With these keys, by their names in the configuration. Needed in allow rules for sign, attest, verify and blob.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub keys: Option<Vec<KeyName>>,
    #[serde(default = "only_sign")]
    #[schemars(length(min = 1))]
    pub operations: Vec<OperationText>,
    /// Attesting these types alone: short names as `spdx`, or URIs, where `*` stops at `/` and `**` crosses it. Without it, all.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub predicate_types: Option<Vec<String>>,
    /// In these layouts. Without it, all.
    #[serde(default)]
    #[schemars(schema_with = "formats")]
    pub formats: Option<Vec<Format>>,
    /// With these annotations: each with this value, with one of these, or with one that fits the glob.
    #[serde(default)]
    #[schemars(extend("minProperties" = 1))]
    pub annotations: Option<BTreeMap<String, AnnotationText>>,
    #[serde(default)]
    pub limits: Option<LimitsText>,
    /// RFC 3339. Before this moment the rule does not match.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub valid_from: Option<Timestamp>,
    /// RFC 3339. From this moment on the rule does not match.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub valid_until: Option<Timestamp>,
    /// An expression of CEL over `claims`, `request` and `principal` that must be true.
    #[serde(default)]
    #[schemars(length(min = 1, max = 4096))]
    pub condition: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Enforce,
    Observe,
}

/// What a rule can speak of. `resign` can be written and is not asked for yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperationText {
    Sign,
    Attest,
    Blob,
    Verify,
    #[serde(rename = "log.read")]
    LogRead,
    #[serde(rename = "policy.explain")]
    PolicyExplain,
    Resign,
}

impl OperationText {
    /// None for one that no request asks for.
    pub const fn operation(self) -> Option<Operation> {
        Some(match self {
            Self::Sign => Operation::Sign,
            Self::Attest => Operation::Attest,
            Self::Blob => Operation::Blob,
            Self::Verify => Operation::Verify,
            Self::LogRead => Operation::LogRead,
            Self::PolicyExplain => Operation::PolicyExplain,
            Self::Resign => return None,
        })
    }
}

impl FromStr for OperationText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::deserialize(StrDeserializer::<serde::de::value::Error>::new(text))
            .map_err(|error| error.to_string())
    }
}

/// Somebody: by a token's name, by what a client certificate says, or by the claims of an issuer's tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Identity", extend("oneOf" = [
    {"required": ["token"], "not": {"anyOf": [{"required": ["claims"]}, {"required": ["globs"]}]}},
    {"required": ["certificate"], "not": {"required": ["claims"]}},
    {"required": ["issuer"]},
]))]
pub struct IdentityText {
    /// Names of `[[identity.tokens]]`.
    #[serde(default)]
    pub token: Option<OneOrMany<String>>,
    /// What a client certificate has to say: `spiffe_id`, `common_name`, `organization`, `organizational_unit`, `dns_names`, `uris`,
    /// `emails`, `subject`, `issuer`, `fingerprint`.
    #[serde(default)]
    pub certificate: Option<BTreeMap<String, Value>>,
    /// The name of one of `[[identity.issuers]]`.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Claims with their values: text, a number, true or false, a list of which one is enough, or nested claims.
    #[serde(default)]
    #[schemars(extend("minProperties" = 1))]
    pub claims: Option<BTreeMap<String, Value>>,
    /// Claims with patterns for their values: `*` stops at `/`, `**` crosses it.
    #[serde(default)]
    #[schemars(extend("minProperties" = 1))]
    pub globs: Option<BTreeMap<String, Value>>,
}

/// How many signatures the rule allows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Limits", extend("minProperties" = 1))]
pub struct LimitsText {
    /// To each principal, within any hour.
    #[serde(default)]
    pub per_hour: Option<NonZeroU32>,
    /// With one token, as long as it lives.
    #[serde(default)]
    pub per_token: Option<NonZeroU32>,
}

#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum AnnotationText {
    /// One of these values.
    Values(OneOrMany<String>),
    Glob(GlobText),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Glob")]
pub struct GlobText {
    /// `*` stops at `/`, `**` crosses it.
    pub glob: OneOrMany<String>,
}

/// One, or a list of them.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrManyOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("one, or a list")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OneOrMany<T>, E> {
                T::deserialize(StrDeserializer::new(text)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrMany<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<OneOrMany<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(OneOrMany)
            }
        }
        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for AnnotationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = AnnotationText;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string, a list of strings, or {glob: …}")
            }

            fn visit_str<E>(self, text: &str) -> Result<AnnotationText, E> {
                Ok(AnnotationText::Values(OneOrMany(vec![text.to_owned()])))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AnnotationText, A::Error> {
                GlobText::deserialize(MapAccessDeserializer::new(map)).map(AnnotationText::Glob)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<AnnotationText, A::Error> {
                let values = Vec::deserialize(SeqAccessDeserializer::new(items))?;
                Ok(AnnotationText::Values(OneOrMany(values)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

fn only_sign() -> Vec<OperationText> {
    vec![OperationText::Sign]
}

fn formats(_: &mut SchemaGenerator) -> Schema {
    let names = Format::ALL.map(Format::as_str);
    json_schema!({"type": ["array", "null"], "minItems": 1, "items": {"type": "string", "enum": names}})
}

/// The JSON Schema (2020-12) of a policy file, as it is published.
pub fn schema() -> String {
    let schema = schemars::schema_for!(PolicyText);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_can_name_each_operation_by_the_name_that_the_log_has_for_it() {
        for operation in Operation::ALL {
            let read: OperationText = serde_json::from_value(operation.to_string().into()).unwrap();
            assert_eq!(read.operation(), Some(operation));
        }
    }
}
