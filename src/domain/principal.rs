//! Who calls, and what they ask for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Digest, Timestamp};

/// What is known of a caller beyond the name, as JSON: the claims of a token, or what a certificate says.
pub type Claims = serde_json::Map<String, Value>;

/// Those claims that a rule looked at, by their names; of nested ones, the way to them. They are in the log.
pub type MatchedClaims = BTreeMap<String, Value>;

/// An authenticated caller. Made by an authenticator alone, never from a request's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A bearer token that the configuration names.
    Token { name: String },
    /// A job, or whatever else an issuer's token speaks of.
    Workload(Arc<Workload>),
    /// The holder of a client certificate.
    Certificate(Arc<Certificate>),
}

/// Whom a verified token speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// What the issuer calls the workload: the value of the claim that the configuration chose for it. Without control
    /// characters.
    pub name: String,
    /// All claims of the token.
    pub claims: Claims,
    /// Names this token among all of all issuers: what is counted for each token is counted by it. It tells nothing
    /// that would help to guess the token.
    pub token: Digest,
    /// When the token expires.
    pub expires: Timestamp,
}

/// Whom a verified client certificate speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The SPIFFE ID where there is one, else the subject's distinguished name (RFC 4514). Without control characters.
    pub name: String,
    /// `spiffe_id`, `common_name`, `organization`, `organizational_unit`, `dns_names`, `uris`, `emails`, `subject`, `issuer`,
    /// `fingerprint`: those that the certificate has; lists where there may be several.
    pub claims: Claims,
}

impl Principal {
    /// What rules can look at besides the name; nothing for a configured token.
    pub fn claims(&self) -> Option<&Claims> {
        match self {
            Self::Token { .. } => None,
            Self::Workload(workload) => Some(&workload.claims),
            Self::Certificate(certificate) => Some(&certificate.claims),
        }
    }
}

impl fmt::Display for Principal {
    /// The form of the log and of its queries: the kind, a colon, the name; of a workload, the issuer before the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { name } => write!(f, "token:{name}"),
            Self::Workload(workload) => write!(f, "oidc:{}:{}", workload.issuer, workload.name),
            Self::Certificate(certificate) => write!(f, "certificate:{}", certificate.name),
        }
    }
}

/// What policy says, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// The id of the rule that decided; none where no rule spoke, which is a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// SHA-256 of the policy file that was in force.
    pub policy: Digest,
    /// The claims that the rule looked at.
    #[serde(default, skip_serializing_if = "MatchedClaims::is_empty")]
    pub claims: Arc<MatchedClaims>,
}

/// What a rule can allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation {
    #[serde(rename = "sign")]
    Sign,
    #[serde(rename = "attest")]
    Attest,
    #[serde(rename = "blob")]
    Blob,
    #[serde(rename = "verify")]
    Verify,
    #[serde(rename = "log.read")]
    LogRead,
    /// Asking why policy decides as it does, and how it would decide about others.
    #[serde(rename = "policy.explain")]
    PolicyExplain,
}

impl Operation {
    pub const ALL: [Self; 6] =
        [Self::Sign, Self::Attest, Self::Blob, Self::Verify, Self::LogRead, Self::PolicyExplain];
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sign => "sign",
            Self::Attest => "attest",
            Self::Blob => "blob",
            Self::Verify => "verify",
            Self::LogRead => "log.read",
            Self::PolicyExplain => "policy.explain",
        })
    }
}
