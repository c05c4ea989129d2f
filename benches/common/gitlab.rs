//! What stands in for GitLab in benchmarks: an issuer's keys, and tokens with the claims of its jobs.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use signet::domain::{Clock as _, SystemClock};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The issuer's keys.
pub struct Keys {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    random: SystemRandom,
}

impl Keys {
    /// # Errors
    /// Where the machine has no randomness.
    pub fn new() -> Result<Self, Failure> {
        Ok(Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048)?,
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
            ed: Ed25519KeyPair::generate()?,
            random: SystemRandom::new(),
        })
    }

    /// The public keys, as a JWK Set.
    pub fn published(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let rsa = self.rsa.public_key();
        let n = text(rsa.modulus().big_endian_without_leading_zero());
        let e = text(rsa.exponent().big_endian_without_leading_zero());
        let (x, y) = self.ec.public_key().as_ref()[1..].split_at(32);
        json!({"keys": [
            {"kty": "RSA", "kid": "RS256", "n": n, "e": e},
            {"kty": "EC", "kid": "ES256", "crv": "P-256", "x": text(x), "y": text(y)},
            {"kty": "OKP", "kid": "EdDSA", "crv": "Ed25519", "x": text(self.ed.public_key().as_ref())},
        ]})
    }

    /// The token of job `number`: RS256, ES256 or EdDSA, good for an hour.
    ///
    /// # Errors
    /// Where it can not be signed.
    pub fn token(&self, algorithm: &str, number: usize) -> Result<String, Failure> {
        let header = json!({"alg": algorithm, "kid": algorithm, "typ": "JWT"}).to_string();
        let claims = claims(number).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = match algorithm {
            "RS256" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &self.random, signed.as_bytes(), &mut signature)?;
                signature
            }
            "ES256" => self.ec.sign(&self.random, signed.as_bytes())?.as_ref().to_vec(),
            _ => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The section `[identity]` of a configuration that takes such tokens, with the published keys in a file.
pub fn identity(keys: &Path) -> String {
    format!(
        "[identity]\naudience = 'https://signet.example.com'\n\
         [[identity.issuers]]\nname = 'gitlab'\nplatform = 'gitlab'\nissuer = 'https://gitlab.example.com'\n\
         algorithms = ['RS256', 'ES256', 'EdDSA']\njwks_file = '{}'\n",
        keys.display()
    )
}

fn claims(number: usize) -> Value {
    let now = SystemClock.now().as_second();
    json!({
        "iss": "https://gitlab.example.com", "aud": "https://signet.example.com",
        "iat": now, "nbf": now - 5, "exp": now + 3600, "jti": format!("7e1a3f0c-6f0e-4f2b-9a63-{number:012}"),
        "sub": "project_path:payments/app:ref_type:tag:ref:v1.4.2",
        "namespace_id": "72", "namespace_path": "payments", "project_id": "4711", "project_path": "payments/app",
        "job_project_id": "4711", "job_project_path": "payments/app", "user_id": "1302", "user_login": "release-bot",
        "user_email": "release-bot@example.com", "user_access_level": "developer", "pipeline_id": "912034",
        "pipeline_source": "push", "job_id": "7811203", "ref": "v1.4.2", "ref_type": "tag",
        "ref_path": "refs/tags/v1.4.2", "ref_protected": "true", "runner_id": 31, "runner_environment": "self-hosted",
        "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc", "project_visibility": "private",
        "ci_config_ref_uri": "gitlab.example.com/payments/app//.gitlab-ci.yml@refs/tags/v1.4.2",
        "ci_config_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
    })
}
