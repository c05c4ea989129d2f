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

/// An authenticated caller. Made by an authenticator alone, or read back from where one that it made was kept, as JSON; never
/// from a request's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Principal {
    /// A bearer token that the configuration names.
    Token { name: String },
    /// A job, or whatever else an issuer's token speaks of.
    Workload(Arc<Workload>),
    /// The holder of a client certificate.
    Certificate(Arc<Certificate>),
}

/// Whom a verified token speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The SPIFFE ID where there is one, else the subject's distinguished name (RFC 4514). Without control characters.
    pub name: String,
    /// `spiffe_id`, `common_name`, `organization`, `organizational_unit`, `dns_names`, `uris`, `emails`, `subject`, `issuer`,
    /// `fingerprint`: those that the certificate has; lists where there may be several.
    pub claims: Claims,
}

impl Principal {
    /// When what has proved it ends, where that is known from it: a workload's token says so, with the skew of clocks left out.
    pub fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Token { .. } | Self::Certificate(_) => None,
            Self::Workload(workload) => Some(workload.expires),
        }
    }

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Sessions that were kept before an update have this form: it stays.
    #[test]
    fn each_kind_is_kept_as_json_and_read_back_with_all_its_claims() {
        let claims = json!({
            "kind": "another", "name": "x", "sub": "project_path:team/app", "iat": 1_767_225_600_u64, "ratio": 0.5,
            "aud": ["a", "b"], "nested": {"deep": [null, true, {"a": -1}]}, "text": "\u{202e}<b>\"\0",
        });
        let digest = Digest::of(b"token");
        let expires = "2026-06-01T00:00:00.123456789Z";
        let workload = Workload {
            issuer: "gitlab".to_owned(),
            name: "42".to_owned(),
            claims: claims.as_object().unwrap().clone(),
            token: digest,
            expires: expires.parse().unwrap(),
        };
        let certificate =
            Certificate { name: "CN=job".to_owned(), claims: claims.as_object().unwrap().clone() };
        for (principal, form) in [
            (Principal::Token { name: "ci".to_owned() }, json!({"kind": "token", "name": "ci"})),
            (
                Principal::Workload(Arc::new(workload)),
                json!({
                    "kind": "workload", "issuer": "gitlab", "name": "42", "claims": claims,
                    "token": digest.to_string(), "expires": expires,
                }),
            ),
            (
                Principal::Certificate(Arc::new(certificate)),
                json!({"kind": "certificate", "name": "CN=job", "claims": claims}),
            ),
        ] {
            let kept = serde_json::to_vec(&principal).unwrap();
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&kept).unwrap(), form);
            assert_eq!(serde_json::from_slice::<Principal>(&kept).unwrap(), principal);
        }
        for wrong in ["{}", r#"{"kind":"admin","name":"ci"}"#, r#"{"kind":"workload","name":"ci"}"#] {
            assert!(serde_json::from_str::<Principal>(wrong).is_err(), "{wrong}");
        }
    }
}
