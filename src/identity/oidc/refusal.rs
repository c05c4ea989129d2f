//! Why a token is refused.

use crate::config::TokenAlgorithm;

/// Why a token is not believed, for our log alone. Never the token or a part of it; what the token says is shown cut and
/// escaped, and only where that helps the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it has more than {limit} bytes")]
    TooLong { limit: usize },
    #[error("it is no JSON Web Signature in compact form")]
    Form,
    #[error("its {part} can not be read: {reason}")]
    Part { part: &'static str, reason: String },
    #[error("its header says `{0}`, which would have us take a key that it brings itself")]
    OwnKey(&'static str),
    #[error("its header says `crit`: it needs something that is not known here")]
    Critical,
    #[error("its header's {member} is {problem}")]
    Header { member: &'static str, problem: String },
    #[error("its algorithm {0} is none that tokens may have")]
    UnknownAlgorithm(String),
    #[error("its issuer {0} is none of the configuration")]
    UnknownIssuer(String),
    #[error("its algorithm {} is not among the issuer's `algorithms`", .0.name())]
    AlgorithmNotAllowed(TokenAlgorithm),
    #[error("the claim `{claim}` {problem}")]
    Claim { claim: String, problem: String },
    #[error("it was made for {0}, which is not our audience")]
    Audience(String),
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYetValid,
    #[error("it was issued in the future")]
    FromTheFuture,
    #[error("it is older than `max_token_age`")]
    TooOld,
    #[error("the issuer has no fitting key {}", .0.as_deref().unwrap_or("for a token that names none"))]
    UnknownKey(Option<String>),
    #[error("the issuer has several fitting keys {}", .0.as_deref().unwrap_or("for a token that names none"))]
    AmbiguousKey(Option<String>),
    #[error("its signature is not by the issuer's key")]
    Signature,
}

/// At most 200 characters of what a reader said: the way to a mistake can be as long as the token.
pub(super) fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(200) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// At most 64 characters of something that a stranger wrote, in quotes and without what could make a line of a log lie.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 64;
    let mut shown = String::from("\"");
    for character in text.chars().take(SHOWN) {
        // Whatever is not plain ASCII, and quotes and backslashes.
        shown.extend(character.escape_default());
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown.push('"');
    shown
}
