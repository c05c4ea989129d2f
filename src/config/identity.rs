//! `[identity]`: who may be recognised.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use super::duration;
use super::validate::{Wrong, ensure, once, path, wrong};
use crate::domain::Timestamp;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// What tokens of issuers have to be made for: one of these is in their `aud`.
    #[serde(default)]
    pub audience: Audience,
    #[serde(default)]
    pub issuers: Vec<IssuerConfig>,
    #[serde(default)]
    pub tokens: Vec<TokenConfig>,
}

/// `[[identity.issuers]]`: somebody whose tokens (OpenID Connect, JWT-SVID) are believed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The issuer's name in policy and log.
    pub name: String,
    /// What stands in `iss`, character by character.
    pub issuer: String,
    /// Who makes the tokens, where it is one that is known here.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Where the keys are; without it and `jwks_file`, what the issuer's discovery document says.
    #[serde(default)]
    pub jwks_uri: Option<Url>,
    /// The keys themselves, read again when they change: nothing is fetched then.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// PEM bundle of the authorities that may have signed the issuer's certificate; with it, no others may.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// What tokens may be signed with.
    #[serde(default = "IssuerConfig::default_algorithms")]
    pub algorithms: Vec<TokenAlgorithm>,
    /// In place of [`IdentityConfig::audience`], for this issuer's tokens.
    #[serde(default)]
    pub audience: Audience,
    /// See [`IssuerConfig::principal_claim`].
    #[serde(default)]
    pub principal_claim: Option<String>,
    /// Counted from `iat`. An older token is refused, also where it has not expired.
    #[serde(default = "IssuerConfig::default_max_token_age", deserialize_with = "duration::deserialize")]
    pub max_token_age: Duration,
    /// How far the issuer's clock may be from ours; at most [`IssuerConfig::MAX_CLOCK_SKEW`].
    #[serde(default = "IssuerConfig::default_clock_skew", deserialize_with = "duration::deserialize")]
    pub clock_skew: Duration,
    /// The longest time after which fetched keys are fetched again.
    #[serde(default = "IssuerConfig::default_refresh", deserialize_with = "duration::deserialize")]
    pub refresh: Duration,
}

/// Makers of tokens whose claims are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    GitLab,
    GitHub,
    Buildkite,
    CircleCi,
    Jenkins,
    Kubernetes,
    Spiffe,
}

/// Signature algorithms (RFC 7518, RFC 8037) that tokens may have: asymmetric ones alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum TokenAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// Names that a token may be made for. In TOML one string, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audience(Vec<String>);

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

impl IdentityConfig {
    /// What tokens of `issuer` may be made for.
    pub fn audience_of<'a>(&'a self, issuer: &'a IssuerConfig) -> &'a Audience {
        if issuer.audience.is_empty() { &self.audience } else { &issuer.audience }
    }

    /// # Errors
    /// The first thing that makes no sense.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        self.audience.check("identity.audience")?;
        for (index, token) in self.tokens.iter().enumerate() {
            ensure(is_name(&token.name), format!("identity.tokens[{index}].name"), || {
                "a token's name has 1 to 128 bytes, no control characters and no white space around it"
                    .to_owned()
            })?;
        }
        once(
            &self.tokens,
            |token| &token.name,
            |index, token| {
                (format!("identity.tokens[{index}].name"), format!("the token {} is here twice", token.name))
            },
        )?;
        // Policy and log would know the holder by whichever name is found first.
        once(
            &self.tokens,
            |token| &token.sha256.0,
            |index, _| {
                (format!("identity.tokens[{index}].sha256"), "this token has another name already".to_owned())
            },
        )?;
        for (index, issuer) in self.issuers.iter().enumerate() {
            issuer.check(&|name| format!("identity.issuers[{index}].{name}"))?;
            ensure(!self.audience_of(issuer).is_empty(), "identity.audience", || {
                "missing: without it, tokens that were made for others would be taken; write this service's address, \
                 and have the jobs ask for tokens with it"
                    .to_owned()
            })?;
        }
        once(
            &self.issuers,
            |issuer| &issuer.name,
            |index, issuer| {
                (
                    format!("identity.issuers[{index}].name"),
                    format!("the issuer {} is here twice", issuer.name),
                )
            },
        )?;
        // Which of two sections a token belongs to would be a guess.
        once(
            &self.issuers,
            |issuer| &issuer.issuer,
            |index, _| {
                (
                    format!("identity.issuers[{index}].issuer"),
                    "this issuer has another name already".to_owned(),
                )
            },
        )
    }
}

impl IssuerConfig {
    pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

    /// Which claim names the principal: the platform's id of the project, where the platform has one, and else `sub`.
    pub fn principal_claim(&self) -> &str {
        let by_default = || self.platform.map_or("sub", Platform::principal_claim);
        self.principal_claim.as_deref().unwrap_or_else(by_default)
    }

    fn check(&self, key: &dyn Fn(&str) -> String) -> Result<(), Wrong> {
        ensure(is_name(&self.name) && !self.name.contains(':'), key("name"), || {
            "an issuer's name has 1 to 128 bytes, no colon, no control characters and no white space around it"
                .to_owned()
        })?;
        let issuer = Url::parse(&self.issuer).ok().filter(|_| self.issuer.len() <= 512);
        ensure(
            issuer.is_some_and(|url| is_trustworthy(&url) && url.query().is_none()),
            key("issuer"),
            || {
                "write what stands in the tokens' `iss`, in full: https:// and a host, without user name, password, query and \
             fragment; http:// is for this machine alone"
                .to_owned()
            },
        )?;
        if let Some(url) = &self.jwks_uri {
            ensure(is_trustworthy(url), key("jwks_uri"), || {
                "write https://, a host and the path of the keys, without user name, password and fragment; http:// is for \
                 this machine alone"
                    .to_owned()
            })?;
        }
        if self.jwks_file.is_some() {
            ensure(self.jwks_uri.is_none(), key("jwks_uri"), || {
                "jwks_file is set too: keep one of the two".to_owned()
            })?;
            ensure(self.ca_file.is_none(), key("ca_file"), || {
                "jwks_file is set too, so that nothing is fetched: keep one of the two".to_owned()
            })?;
        }
        path(key("jwks_file"), self.jwks_file.as_deref())?;
        path(key("ca_file"), self.ca_file.as_deref())?;
        if self.algorithms.is_empty() {
            return wrong(
                key("algorithms"),
                "without one no token is ever right: name those that the issuer signs with",
            );
        }
        self.audience.check(&key("audience"))?;
        let claim = self.principal_claim();
        ensure(
            (1..=256).contains(&claim.len()) && !claim.contains(char::is_control),
            key("principal_claim"),
            || "write the name of a claim, as it stands in the tokens".to_owned(),
        )?;
        ensure(self.clock_skew <= Self::MAX_CLOCK_SKEW, key("clock_skew"), || {
            "it is at most 5m: what is farther off is no skew, and lets old tokens live on".to_owned()
        })?;
        ensure(self.refresh >= Duration::from_secs(1), key("refresh"), || "it is at least 1s".to_owned())
    }

    fn default_algorithms() -> Vec<TokenAlgorithm> {
        vec![TokenAlgorithm::RS256]
    }

    const fn default_max_token_age() -> Duration {
        Duration::from_secs(60 * 60)
    }

    const fn default_clock_skew() -> Duration {
        Duration::from_secs(60)
    }

    const fn default_refresh() -> Duration {
        Duration::from_secs(60 * 60)
    }
}

impl Platform {
    /// The claim that names what a token speaks of and that nobody can take over: names can be given anew after a rename, ids
    /// can not.
    const fn principal_claim(self) -> &'static str {
        match self {
            Self::GitLab => "project_id",
            Self::GitHub => "repository_id",
            Self::Buildkite => "pipeline_id",
            Self::CircleCi => "oidc.circleci.com/project-id",
            Self::Jenkins | Self::Kubernetes | Self::Spiffe => "sub",
        }
    }
}

impl TokenAlgorithm {
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// As `alg` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }
}

impl Audience {
    pub const fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a token for `name` is for us.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|ours| ours == name)
    }

    fn check(&self, key: &str) -> Result<(), Wrong> {
        let fits = |name: &String| (1..=512).contains(&name.len()) && !name.contains(char::is_control);
        ensure(self.0.iter().all(fits), key, || {
            "an audience has 1 to 512 bytes and no control characters; it is what the jobs ask for".to_owned()
        })
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Audience;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, name: &str) -> Result<Audience, E> {
                Ok(Audience(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Audience, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = items.next_element()? {
                    names.push(name);
                }
                Ok(Audience(names))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

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

fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && !name.contains(char::is_control) && name.trim() == name
}

/// Whether what is fetched from `url` is what its host has published: nobody in between could have changed it.
pub(crate) fn is_trustworthy(url: &Url) -> bool {
    let safe = match url.scheme() {
        "https" => url.has_host(),
        "http" => match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        },
        _ => false,
    };
    safe && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}
