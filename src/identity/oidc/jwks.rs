//! Key sets (RFC 7517, RFC 7518, RFC 8037).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::jws::Jws;
use super::refusal::{Refusal, quoted};
use crate::config::TokenAlgorithm;
use crate::domain::Digest;
use crate::input::{self, Node};

/// The public keys of one issuer, as far as its tokens may be signed with them.
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// Keys that were in the set and are never used: symmetric ones, broken ones, and what is not known here.
    pub(super) skipped: usize,
    /// Of the bytes that it was read from; none of a set that was never read.
    pub(super) digest: Option<Digest>,
}

/// One key, for one algorithm.
struct Key {
    kid: Option<String>,
    algorithm: TokenAlgorithm,
    public: ParsedPublicKey,
}

/// A key set that can not be used, as a whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("it is no set of keys: {0}")]
    Unreadable(String),
    #[error("it has more than {} keys", KeySet::MAX)]
    TooMany,
    #[error("none of its {0} keys can be used with the issuer's `algorithms`")]
    Useless(usize),
}

impl KeySet {
    /// Keys of one set.
    const MAX: usize = 100;

    pub(super) const fn empty() -> Self {
        Self { keys: Vec::new(), skipped: 0, digest: None }
    }

    /// How many keys there are, counted once for each algorithm that they may be used with.
    pub(super) const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Reads a set, for tokens that are signed with one of `algorithms`.
    ///
    /// # Errors
    /// Where no key can be used. One bad key among others is only counted.
    pub(super) fn parse(bytes: &[u8], algorithms: &[TokenAlgorithm]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Node>,
        }
        let set: Set = input::from_json(bytes).map_err(|error| KeySetError::Unreadable(error.to_string()))?;
        let found = set.keys.len();
        if found > Self::MAX {
            return Err(KeySetError::TooMany);
        }
        let mut keys = Vec::new();
        let mut skipped = 0;
        for node in set.keys {
            let usable = input::from_node::<Jwk>(node).map(|jwk| jwk.keys(algorithms)).unwrap_or_default();
            skipped += usize::from(usable.is_empty());
            keys.extend(usable);
        }
        if keys.is_empty() {
            return Err(KeySetError::Useless(found));
        }
        Ok(Self { keys, skipped, digest: Some(Digest::of(bytes)) })
    }

    /// Whether one of these keys has signed `jws`.
    ///
    /// # Errors
    /// [`Refusal::UnknownKey`] where there is no key for it, which a newer set might have; else it is final.
    pub(super) fn verify(&self, jws: &Jws<'_>) -> Result<(), Refusal> {
        let fits = |key: &&Key| key.algorithm == jws.algorithm && (jws.kid.is_none() || key.kid == jws.kid);
        let mut fitting = self.keys.iter().filter(fits);
        let kid = || jws.kid.as_deref().map(quoted);
        match (fitting.next(), fitting.next()) {
            (None, _) => Err(Refusal::UnknownKey(kid())),
            // Which one is meant would be a guess.
            (Some(_), Some(_)) => Err(Refusal::AmbiguousKey(kid())),
            (Some(key), None) => {
                key.public.verify_sig(jws.signed, &jws.signature).map_err(|_| Refusal::Signature)
            }
        }
    }
}

/// A key as it is published. Members of other key types are not read.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private part: a key that has one here is everybody's.
    d: Option<Node>,
}

impl Jwk {
    /// The key for each of `algorithms` that it is good for.
    fn keys(&self, algorithms: &[TokenAlgorithm]) -> Vec<Key> {
        let is_for_signatures =
            self.purpose.as_deref().is_none_or(|purpose| ["sig", "jwt-svid"].contains(&purpose))
                && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let has_a_name = self.kid.as_ref().is_none_or(|kid| (1..=Jws::MAX_KID).contains(&kid.len()));
        if !is_for_signatures || !has_a_name || self.d.is_some() {
            return Vec::new();
        }
        let key = |algorithm: &TokenAlgorithm| {
            let public = self.is_for(*algorithm).then(|| self.public(*algorithm)).flatten()?;
            Some(Key { kid: self.kid.clone(), algorithm: *algorithm, public })
        };
        algorithms.iter().filter_map(key).collect()
    }

    fn is_for(&self, algorithm: TokenAlgorithm) -> bool {
        self.alg.as_deref().is_none_or(|name| {
            // RFC 9864 has a name of its own for the one curve that is read here.
            name == algorithm.name() || (algorithm == TokenAlgorithm::EdDSA && name == "Ed25519")
        })
    }

    fn public(&self, algorithm: TokenAlgorithm) -> Option<ParsedPublicKey> {
        use TokenAlgorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match algorithm {
            RS256 => self.rsa(&RSA_PKCS1_2048_8192_SHA256),
            RS384 => self.rsa(&RSA_PKCS1_2048_8192_SHA384),
            RS512 => self.rsa(&RSA_PKCS1_2048_8192_SHA512),
            PS256 => self.rsa(&RSA_PSS_2048_8192_SHA256),
            PS384 => self.rsa(&RSA_PSS_2048_8192_SHA384),
            PS512 => self.rsa(&RSA_PSS_2048_8192_SHA512),
            ES256 => self.ec(&ECDSA_P256_SHA256_FIXED, "P-256", 32),
            ES384 => self.ec(&ECDSA_P384_SHA384_FIXED, "P-384", 48),
            EdDSA => self.ed25519(),
        }
    }

    fn rsa(&self, parameters: &'static RsaParameters) -> Option<ParsedPublicKey> {
        if self.kty != "RSA" {
            return None;
        }
        let (n, e) = (number(self.n.as_deref()?)?, number(self.e.as_deref()?)?);
        // What is shorter is refused only when a signature is verified, and would stand for a key until then.
        if !(2048 / 8..=8192 / 8).contains(&n.len()) {
            return None;
        }
        RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok()
    }

    fn ec(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        curve: &str,
        length: usize,
    ) -> Option<ParsedPublicKey> {
        if self.kty != "EC" || self.crv.as_deref() != Some(curve) {
            return None;
        }
        let (x, y) = (decoded(self.x.as_deref()?)?, decoded(self.y.as_deref()?)?);
        if x.len() != length || y.len() != length {
            return None;
        }
        // An uncompressed point (SEC 1, 2.3.3). One that is not on the curve is refused.
        ParsedPublicKey::new(algorithm, [&[4], &x[..], &y[..]].concat()).ok()
    }

    fn ed25519(&self) -> Option<ParsedPublicKey> {
        if self.kty != "OKP" || self.crv.as_deref() != Some("Ed25519") {
            return None;
        }
        let x = decoded(self.x.as_deref()?)?;
        if x.len() != 32 {
            return None;
        }
        ParsedPublicKey::new(&ED25519, x).ok()
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A positive number, big-endian. Leading zeros, which some issuers write, say nothing.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = decoded(text)?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[first..].to_vec())
}
