//! `[identity]`: who may be recognised.

use std::fmt;

use serde::Deserialize;

use crate::domain::Timestamp;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    #[serde(default)]
    pub tokens: Vec<TokenConfig>,
}

/// `[[identity.tokens]]`: a bearer token, named by its digest. The token itself stays with its owner.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The principal's name in policy and log.
    pub name: String,
    /// SHA-256 of the token, 64 hexadecimal digits: `printf %s "$TOKEN" | sha256sum`.
    pub sha256: TokenDigest,
    /// From this moment on the token is refused.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TokenDigest(pub [u8; 32]);

impl TryFrom<String> for TokenDigest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| "this is no SHA-256 in 64 hexadecimal digits; make it with `printf %s \"$TOKEN\" | sha256sum`")?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for TokenDigest {
    /// Not the digest: a guessable token could be found from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}
