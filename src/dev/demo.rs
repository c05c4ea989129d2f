//! One full round: sign, verify, sign again, look it up in the log.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::Environment;
use super::environment::loopback_client;
use crate::domain::{HashAlgorithm, PublicKey, SigningInput};
use crate::format::signature_manifest::SignatureManifest;

/// Plays a CI job, a verifier and an auditor against `environment`, and prints what they see.
///
/// # Errors
/// The first thing that is not as it should be.
pub async fn demo(environment: &Environment) -> Result<(), String> {
    let job = Job::new(environment)?;
    let image = environment.image.to_string();
    println!("1. A CI job pushed an image:\n   {image}\n");

    let (status, signed) = job.sign(&image).await?;
    expect(status == StatusCode::CREATED, "the signature was not made", &signed)?;
    let reference = text(&signed["signatures"][0]["reference"])?;
    println!(
        "2. It asked Signet to sign it: {status}\n   key {} version {}, signed at {}\n   attached at {reference}\n",
        signed["key"]["name"], signed["key"]["version"], signed["signed_at"],
    );

    verify(environment, &signed, &job).await?;
    println!(
        "3. A verifier read the signature back from the registry: it verifies with\n   {}\n",
        environment.public_key_file.display()
    );

    let (status, again) = job.sign(&image).await?;
    expect(
        status == StatusCode::OK && again["id"] == signed["id"],
        "the same request made another signature",
        &again,
    )?;
    println!("4. The job ran again: {status}, the same signature, nothing was written.\n");

    let digest = environment.image.digest;
    let entries = job.logged(&format!("/v1/log/entries?digest={digest}&kind=outcome")).await?;
    let entry = &entries["entries"][0];
    expect(entry["entry"]["id"] == signed["id"], "the log does not have it", &entries)?;
    let pretty = serde_json::to_string_pretty(entry).map_err(|error| error.to_string())?;
    println!("5. An auditor asked the log:\n   {}\n", pretty.replace('\n', "\n   "));

    println!(
        "6. The stock cosign says the same, while `signet dev` runs:\n   {}\n",
        cosign_line(environment)
    );
    println!("All of it worked.");
    Ok(())
}

/// How the stock cosign verifies the sample image.
pub fn cosign_line(environment: &Environment) -> String {
    format!(
        "cosign verify --key {} --insecure-ignore-tlog=true {}",
        environment.public_key_file.display(),
        environment.image
    )
}

struct Job {
    client: Client,
    api: String,
    token: String,
}

impl Job {
    fn new(environment: &Environment) -> Result<Self, String> {
        Ok(Self {
            client: loopback_client().map_err(|error| error.to_string())?,
            api: format!("http://{}", environment.server.api_address()),
            token: environment.token.clone(),
        })
    }

    async fn sign(&self, image: &str) -> Result<(StatusCode, Value), String> {
        let url = format!("{}/v1/signatures", self.api);
        let request = self.client.post(url).bearer_auth(&self.token).json(&json!({"image": image}));
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        Ok((status, response.json().await.map_err(|error| error.to_string())?))
    }

    /// What the log answers when its search index, which follows it, has come to what was just done.
    async fn logged(&self, path: &str) -> Result<Value, String> {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..500 {
            pause.tick().await;
            let found = self.get(path).await?;
            if found["entries"].as_array().is_none_or(|entries| !entries.is_empty()) {
                return Ok(found);
            }
        }
        self.get(path).await
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        let request = self.client.get(format!("{}{path}", self.api)).bearer_auth(&self.token);
        let response = request.send().await.map_err(|error| error.to_string())?;
        response.json().await.map_err(|error| error.to_string())
    }
}

/// Checks what the registry has with the published key, as a verifier would: nothing of Signet's answer is trusted.
async fn verify(environment: &Environment, signed: &Value, job: &Job) -> Result<(), String> {
    let pem = std::fs::read_to_string(&environment.public_key_file).map_err(|error| error.to_string())?;
    let key = PublicKey::from_pem(&pem).map_err(|error| error.to_string())?;
    let reference = text(&signed["signatures"][0]["reference"])?;
    let (_, tag) = reference.rsplit_once(':').ok_or("the reference has no tag")?;
    let base = format!("http://{}/v2/demo/app", environment.registry.address);
    let fetch = async |path: String| {
        let response = job.client.get(format!("{base}/{path}")).send().await;
        let response =
            response.and_then(reqwest::Response::error_for_status).map_err(|error| error.to_string())?;
        response.bytes().await.map_err(|error| error.to_string())
    };
    let manifest = SignatureManifest::parse(&fetch(format!("manifests/{tag}")).await?)?;
    for layer in &manifest.layers {
        let payload = fetch(format!("blobs/{}", layer.digest)).await?;
        let signature = layer.signature().ok_or("a layer has no signature")?;
        let ours = STANDARD.encode(&signature) == text(&signed["signatures"][0]["signature"])?;
        let signed = SigningInput::of(key.key_type(), HashAlgorithm::Sha256, &payload.clone().into());
        if ours && key.verifies(&signed, &signature) {
            return Ok(());
        }
    }
    Err("no signature in the registry verifies".to_owned())
}

fn expect(condition: bool, words: &str, answer: &Value) -> Result<(), String> {
    if condition { Ok(()) } else { Err(format!("{words}: {answer}")) }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "the answer lacks a field".to_owned())
}
