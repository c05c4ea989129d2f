//! Who calls, and what they ask for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An authenticated caller. Made by an authenticator alone, never from a request's fields.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A bearer token that the configuration names.
    Token { name: String },
}

impl fmt::Display for Principal {
    /// The form of the log and of its queries: the kind, a colon, the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { name } => write!(f, "token:{name}"),
        }
    }
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
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sign => "sign",
            Self::Attest => "attest",
            Self::Blob => "blob",
            Self::Verify => "verify",
            Self::LogRead => "log.read",
        })
    }
}
