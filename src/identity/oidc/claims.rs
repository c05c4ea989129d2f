//! What a token has to say (RFC 7519, OpenID Connect Core 2), and whom it speaks of.

use std::time::Duration;

use serde_json::Value;

use super::jws::Jws;
use super::refusal::{Refusal, quoted};
use crate::config::{Audience, IdentityConfig, IssuerConfig, TokenAlgorithm};
use crate::domain::{Claims, Digest, Timestamp, Workload};

/// What one issuer's tokens have to be like.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// The issuer's name in the configuration.
    pub(super) name: String,
    /// As `iss` has it.
    issuer: String,
    algorithms: Vec<TokenAlgorithm>,
    audience: Audience,
    principal_claim: String,
    /// In seconds.
    max_age: i64,
    skew: i64,
}

/// What the claims of a token say, for when its signature is right.
pub(super) struct Accepted {
    issuer: String,
    name: String,
    token: Digest,
    expires: Timestamp,
    /// From this moment on it is refused.
    pub(super) until: Timestamp,
}

impl Accepted {
    /// Whom the token with these claims speaks of.
    pub(super) fn workload(self, claims: Claims) -> Workload {
        let Self { issuer, name, token, expires, until: _ } = self;
        Workload { issuer, name, claims, token, expires }
    }
}

impl Rules {
    pub(super) fn new(identity: &IdentityConfig, issuer: &IssuerConfig) -> Self {
        Self {
            name: issuer.name.clone(),
            issuer: issuer.issuer.clone(),
            algorithms: issuer.algorithms.clone(),
            audience: identity.audience_of(issuer).clone(),
            principal_claim: issuer.principal_claim().to_owned(),
            max_age: seconds(issuer.max_token_age),
            skew: seconds(issuer.clock_skew),
        }
    }

    /// Whom `jws` speaks of, which says that it is this issuer's.
    ///
    /// # Errors
    /// Whatever a right signature would not mend: all that is asked of the claims and of the algorithm.
    pub(super) fn check(&self, jws: &Jws<'_>, now: Timestamp) -> Result<Accepted, Refusal> {
        if !self.algorithms.contains(&jws.algorithm) {
            return Err(Refusal::AlgorithmNotAllowed(jws.algorithm));
        }
        self.check_audience(&jws.claims)?;
        let (expires, until) = self.check_times(&jws.claims, now.as_second())?;
        let name = self.principal(&jws.claims)?;
        Ok(Accepted { issuer: self.name.clone(), name, token: self.token(jws), expires, until })
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), Refusal> {
        let wrong = || wrong("aud", "is neither a text nor a list of texts");
        let names = match claims.get("aud").ok_or_else(|| missing("aud"))? {
            Value::String(name) => vec![name.as_str()],
            Value::Array(names) => {
                names.iter().map(|name| name.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?
            }
            _ => return Err(wrong()),
        };
        if names.iter().any(|name| self.audience.contains(name)) {
            return Ok(());
        }
        Err(Refusal::Audience(names.first().map_or_else(|| "nobody".to_owned(), |name| quoted(name))))
    }

    /// When the token expires, and until when it is taken.
    fn check_times(&self, claims: &Claims, now: i64) -> Result<(Timestamp, Timestamp), Refusal> {
        let expires = time(claims, "exp")?.ok_or_else(|| missing("exp"))?;
        let issued = time(claims, "iat")?.ok_or_else(|| missing("iat"))?;
        let not_before = time(claims, "nbf")?;
        if now >= expires + self.skew {
            return Err(Refusal::Expired);
        }
        if issued > now + self.skew {
            return Err(Refusal::FromTheFuture);
        }
        if not_before.is_some_and(|not_before| not_before > now + self.skew) {
            return Err(Refusal::NotYetValid);
        }
        let oldest = issued + self.max_age + self.skew;
        if now >= oldest {
            return Err(Refusal::TooOld);
        }
        let at = |second| Timestamp::from_second(second).map_err(|_| wrong("exp", "is too far away"));
        Ok((at(expires)?, at(oldest.min(expires + self.skew))?))
    }

    /// The principal's name, as the configured claim has it.
    fn principal(&self, claims: &Claims) -> Result<String, Refusal> {
        let claim = &self.principal_claim;
        let name = match claims.get(claim).ok_or_else(|| missing(claim))? {
            Value::String(name) => name.clone(),
            Value::Number(number) if !number.is_f64() => number.to_string(),
            _ => return Err(wrong(claim, "names the principal, and is neither a text nor a whole number")),
        };
        if name.contains(char::is_control) || !(1..=MAX_NAME).contains(&name.chars().count()) {
            return Err(wrong(
                claim,
                "names the principal, and has not 1 to 512 characters without control characters",
            ));
        }
        Ok(name)
    }

    /// Names the token by its `jti`, where it has one. Else by what is signed, and not by the signature: of some
    /// algorithms, anybody can make a second right signature of a first one.
    fn token(&self, jws: &Jws<'_>) -> Digest {
        // No URL has a zero byte in it, so no two of these run into each other.
        let (kind, value) = match jws.claims.get("jti") {
            Some(Value::String(jti)) => ("jti", jti.as_bytes()),
            _ => ("signed", jws.signed),
        };
        Digest::of(&[self.issuer.as_bytes(), b"\0", kind.as_bytes(), b"\0", value].concat())
    }
}

/// Characters of a principal's name.
const MAX_NAME: usize = 512;

/// A NumericDate in whole seconds, which may be written with a fraction.
fn time(claims: &Claims, claim: &str) -> Result<Option<i64>, Refusal> {
    /// The end of the year 9998, so that adding a day stays in what timestamps hold.
    const LAST: i64 = 253_370_764_799;
    let Some(value) = claims.get(claim) else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, reason = "what is not within the range is refused below")]
    let second = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64));
    match second {
        Some(second) if (0..=LAST).contains(&second) => Ok(Some(second)),
        _ => Err(wrong(claim, "is no time in seconds since 1970")),
    }
}

fn missing(claim: &str) -> Refusal {
    wrong(claim, "is missing")
}

fn wrong(claim: &str, problem: &str) -> Refusal {
    Refusal::Claim { claim: claim.to_owned(), problem: problem.to_owned() }
}

/// Whole seconds, at least as many as `duration`.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
}
