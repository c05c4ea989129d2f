//! What it costs to recognise a job by its token: new, and verified before; and what a million distinct tokens leave in memory.
//!
//! `cargo bench --bench authentication -- TOKENS` prints for RS256 (2048 bits), ES256 and EdDSA `p50_us` and `p99_us` of a new
//! and of a known token, then the resident memory before and after TOKENS distinct ones. The claims are those of GitLab.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use signet::config::IdentityConfig;
use signet::domain::{Clock as _, SystemClock};
use signet::identity::OidcAuthenticator;
use signet::metrics::Metrics;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Some(tokens) = std::env::args().skip(1).find_map(|argument| argument.parse::<usize>().ok()) else {
        // `cargo bench` starts every target; this one does nothing by itself.
        println!("say how many distinct tokens: cargo bench --bench authentication -- 1000000");
        return Ok(());
    };
    signet::server::install_crypto();
    let directory = tempfile::tempdir()?;
    let keys = Keys::new()?;
    let stopped = CancellationToken::new();
    let authenticator = authenticator(&keys, directory.path(), &stopped)?;
    for (name, sample) in [("RS256", 2_000), ("ES256", 5_000), ("EdDSA", 5_000)] {
        let tokens = (0..sample).map(|number| keys.token(name, number)).collect::<Result<Vec<_>, _>>()?;
        for known in [false, true] {
            let mut took = Vec::with_capacity(sample);
            for token in &tokens {
                let began = Instant::now();
                authenticator.authenticate(token).await?;
                took.push(began.elapsed().as_secs_f64() * 1e6);
            }
            took.sort_unstable_by(f64::total_cmp);
            let (p50, p99) = (took[sample / 2], took[sample * 99 / 100]);
            let what = if known { "known" } else { "new" };
            println!(
                "{name} {what}: tokens={sample} bytes={} p50_us={p50:.1} p99_us={p99:.1}",
                tokens[0].len()
            );
        }
    }
    let (mut signing, mut authenticating) = (0.0, 0.0);
    println!("memory: tokens=0 rss_mib={:.1}", resident_mib()?);
    for number in 1..=tokens {
        let began = Instant::now();
        let token = keys.token("EdDSA", 1_000_000_000 + number)?;
        signing += began.elapsed().as_secs_f64();
        let began = Instant::now();
        authenticator.authenticate(&token).await?;
        authenticating += began.elapsed().as_secs_f64();
        if number == tokens || number % (tokens / 10).max(1) == 0 {
            println!("memory: tokens={number} rss_mib={:.1}", resident_mib()?);
        }
    }
    println!(
        "distinct: tokens={tokens} signing_seconds={signing:.1} authenticating_seconds={authenticating:.1}"
    );
    stopped.cancel();
    Ok(())
}

fn authenticator(
    keys: &Keys,
    directory: &Path,
    stopped: &CancellationToken,
) -> Result<OidcAuthenticator, Failure> {
    let file = directory.join("keys.json");
    std::fs::write(&file, keys.published().to_string())?;
    let text = format!(
        "audience = 'https://signet.example.com'\n[[issuers]]\nname = 'gitlab'\nplatform = 'gitlab'\n\
         issuer = 'https://gitlab.example.com'\nalgorithms = ['RS256', 'ES256', 'EdDSA']\njwks_file = '{}'\n",
        file.display()
    );
    let identity: IdentityConfig = toml::from_str(&text)?;
    Ok(OidcAuthenticator::start(&identity, Arc::new(SystemClock), &Arc::new(Metrics::new()), stopped)?)
}

/// The issuer's keys.
struct Keys {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    random: SystemRandom,
}

impl Keys {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048)?,
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
            ed: Ed25519KeyPair::generate()?,
            random: SystemRandom::new(),
        })
    }

    fn published(&self) -> Value {
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

    fn token(&self, algorithm: &str, number: usize) -> Result<String, Failure> {
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

fn resident_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
