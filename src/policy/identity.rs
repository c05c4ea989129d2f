//! Of whom a rule speaks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::claims::{Exact, Globs, Path};
use super::shown;
use super::text::IdentityText;
use crate::domain::{Certificate, Claims, Digest, Principal, Timestamp, Workload};
use crate::input::{Segment, nearest};

/// One way to be somebody.
#[derive(Debug, Clone, PartialEq)]
pub enum Identity {
    /// The holder of one of the tokens with these names.
    Token(Vec<String>),
    Certificate(Conditions),
    /// Of whom a token of this issuer speaks.
    Issuer {
        name: String,
        conditions: Conditions,
    },
}

/// What claims have to say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    pub exact: Vec<Exact>,
    pub globs: Vec<Globs>,
}

impl Identity {
    /// # Errors
    /// What is wrong, and the way to it from `text`.
    pub fn new(text: IdentityText) -> Result<Self, (Vec<Segment>, String)> {
        let IdentityText { token, certificate, issuer, claims, globs } = text;
        let wrong = |key: &str, reason: &str| Err((vec![Segment::Key(key.to_owned())], reason.to_owned()));
        for (key, empty) in [
            ("claims", claims.as_ref().is_some_and(BTreeMap::is_empty)),
            ("globs", globs.as_ref().is_some_and(BTreeMap::is_empty)),
            ("token", token.as_ref().is_some_and(|names| names.0.is_empty())),
        ] {
            if empty {
                return wrong(key, "is empty; leave it out, or name at least one");
            }
        }
        let globs = globs.unwrap_or_default();
        match (token, certificate, issuer) {
            (Some(_), None, None) if claims.is_some() => wrong("claims", "a configured token has no claims"),
            (Some(_), None, None) if !globs.is_empty() => wrong("globs", "a configured token has no claims"),
            (Some(names), None, None) => Ok(Self::Token(names.0)),
            (None, Some(_), None) if claims.is_some() => {
                wrong("claims", "what a certificate has to say stands below `certificate` itself")
            }
            (None, Some(exact), None) => {
                if exact.is_empty() && globs.is_empty() {
                    return wrong(
                        "certificate",
                        "is empty; name what the certificate has to say, as in `{spiffe_id: \"spiffe://…\"}`",
                    );
                }
                known(&exact, "certificate")?;
                known(&globs, "globs")?;
                Ok(Self::Certificate(Conditions::read(&exact, "certificate", &globs)?))
            }
            (None, None, Some(name)) => {
                let claims = claims.unwrap_or_default();
                Ok(Self::Issuer { name, conditions: Conditions::read(&claims, "claims", &globs)? })
            }
            _ => Err((
                Vec::new(),
                "must have one of `token`, `certificate` and `issuer`, and only one; several identities are a list"
                    .to_owned(),
            )),
        }
    }

    pub fn matches(&self, principal: &Principal) -> bool {
        match (self, principal) {
            (Self::Token(names), Principal::Token { name }) => names.contains(name),
            (Self::Certificate(conditions), Principal::Certificate(certificate)) => {
                conditions.hold(&certificate.claims)
            }
            (Self::Issuer { name, conditions }, Principal::Workload(workload)) => {
                *name == workload.issuer && conditions.hold(&workload.claims)
            }
            _ => false,
        }
    }

    /// Whether it speaks of callers that prove who they are as `principal` does: tokens of the configuration, certificates, or tokens of the
    /// same issuer.
    pub fn is_of_sort(&self, principal: &Principal) -> bool {
        match (self, principal) {
            (Self::Token(_), Principal::Token { .. }) | (Self::Certificate(_), Principal::Certificate(_)) => {
                true
            }
            (Self::Issuer { name, .. }, Principal::Workload(workload)) => *name == workload.issuer,
            _ => false,
        }
    }

    /// The first condition that does not hold, with what was found.
    pub fn failed(&self, principal: &Principal) -> Option<String> {
        match (self, principal) {
            (Self::Token(names), Principal::Token { name }) => (!names.contains(name)).then(|| {
                let wanted = super::claims::list(names.iter().map(String::as_str));
                format!("identity.token: the caller's token is {}, the rule wants {wanted}", quoted(name))
            }),
            (Self::Certificate(conditions), Principal::Certificate(certificate)) => {
                conditions.failed(&certificate.claims, "certificate")
            }
            (Self::Issuer { name, conditions }, Principal::Workload(workload)) => {
                if *name != workload.issuer {
                    let (found, wanted) = (quoted(&workload.issuer), quoted(name));
                    return Some(format!(
                        "identity.issuer: the token's issuer is {found}, the rule wants {wanted}"
                    ));
                }
                conditions.failed(&workload.claims, "claims")
            }
            (wanted, principal) => {
                let found = match principal {
                    Principal::Token { .. } => "a token of the configuration",
                    Principal::Workload(_) => "an issuer's token",
                    Principal::Certificate(_) => "a client certificate",
                };
                let wanted = match wanted {
                    Self::Token(_) => "token",
                    Self::Certificate(_) => "certificate",
                    Self::Issuer { .. } => "issuer",
                };
                Some(format!("identity.{wanted}: the caller has {found}"))
            }
        }
    }

    /// Somebody who has the exact claims.
    pub fn example(&self) -> Principal {
        match self {
            Self::Token(names) => Principal::Token { name: names.first().cloned().unwrap_or_default() },
            Self::Certificate(conditions) => Principal::Certificate(Arc::new(Certificate {
                name: String::new(),
                claims: conditions.example(),
            })),
            Self::Issuer { name, conditions } => Principal::Workload(Arc::new(Workload {
                issuer: name.clone(),
                name: String::new(),
                claims: conditions.example(),
                token: Digest::of(b""),
                expires: Timestamp::MAX,
            })),
        }
    }

    /// The claims that it looks at.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let conditions = self.conditions();
        let exact = conditions.into_iter().flat_map(|conditions| &conditions.exact);
        let globs = conditions.into_iter().flat_map(|conditions| &conditions.globs);
        exact.map(|exact| &exact.path).chain(globs.map(|globs| &globs.path))
    }

    pub const fn conditions(&self) -> Option<&Conditions> {
        match self {
            Self::Token(_) => None,
            Self::Certificate(conditions) | Self::Issuer { conditions, .. } => Some(conditions),
        }
    }
}

impl Conditions {
    fn read(
        exact: &BTreeMap<String, Value>,
        key: &str,
        globs: &BTreeMap<String, Value>,
    ) -> Result<Self, (Vec<Segment>, String)> {
        let below = |key: &str, (mut path, reason): (Vec<Segment>, String)| {
            path.insert(0, Segment::Key(key.to_owned()));
            (path, reason)
        };
        Ok(Self {
            exact: Exact::read(exact).map_err(|fault| below(key, fault))?,
            globs: Globs::read(globs).map_err(|fault| below("globs", fault))?,
        })
    }

    fn example(&self) -> Claims {
        let mut claims = Claims::new();
        for exact in &self.exact {
            let Some((last, way)) = exact.path.split_last() else { continue };
            let innermost = way.iter().try_fold(&mut claims, |claims, name| {
                claims.entry(name).or_insert_with(|| Value::Object(Claims::new())).as_object_mut()
            });
            if let (Some(claims), Some(value)) = (innermost, exact.values.first()) {
                claims.insert(last.clone(), Value::from(value.as_str()));
            }
        }
        claims
    }

    fn hold(&self, claims: &Claims) -> bool {
        self.exact.iter().all(|exact| exact.holds(claims))
            && self.globs.iter().all(|globs| globs.holds(claims))
    }

    /// `key` is where the exact ones stand in a rule.
    fn failed(&self, claims: &Claims, key: &str) -> Option<String> {
        let whose = if key == "certificate" { "certificate" } else { "token" };
        let exact = self.exact.iter().find_map(|exact| {
            let failed = exact.failed(claims, whose)?;
            Some(format!("identity.{key}.{}: {failed}", super::claims::dotted(&exact.path)))
        });
        exact.or_else(|| {
            self.globs.iter().find_map(|globs| {
                let failed = globs.failed(claims, whose)?;
                Some(format!("identity.globs.{}: {failed}", super::claims::dotted(&globs.path)))
            })
        })
    }
}

/// What [`crate::domain::Certificate`] can say.
const CERTIFICATE: [&str; 10] = [
    "spiffe_id",
    "common_name",
    "organization",
    "organizational_unit",
    "dns_names",
    "uris",
    "emails",
    "subject",
    "issuer",
    "fingerprint",
];

fn known(claims: &BTreeMap<String, Value>, key: &str) -> Result<(), (Vec<Segment>, String)> {
    let Some(name) = claims.keys().find(|name| !CERTIFICATE.contains(&name.as_str())) else { return Ok(()) };
    let near =
        nearest(name, &CERTIFICATE).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let known = CERTIFICATE.join(", ");
    let path = vec![Segment::Key(key.to_owned()), Segment::Key(name.clone())];
    Err((path, format!("a certificate does not say this{near} Known: {known}")))
}

fn quoted(text: &str) -> String {
    shown(&Value::from(text).to_string())
}
