//! `signet attest`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Failure;
use super::api::{ApiArgs, Ending, idempotency_key, progress};
use super::sign::{FormatName, KeyChoice, report_one};
use crate::client::Extras;

/// Attest something about images: an SBOM, provenance, a vulnerability scan, anything in JSON
///
/// The predicate is signed byte for byte. The same command again changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet attest --type spdx --predicate app.spdx.json registry.example.com/team/app@sha256:9f86…
  syft IMAGE -o cyclonedx-json | signet attest --type cyclonedx --predicate - --replace IMAGE
  signet attest --type https://example.com/approval/v1 --predicate approval.json IMAGE")]
pub struct Attest {
    /// As `registry/repository@sha256:…`
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// slsaprovenance, slsaprovenance1, spdx, spdxjson, cyclonedx, link, vuln, openvex, custom, or a URI
    #[arg(long = "type", value_name = "TYPE")]
    predicate_type: String,
    /// A JSON object of at most 16 MiB; `-` is standard input
    #[arg(long, value_name = "FILE")]
    predicate: PathBuf,
    #[command(flatten)]
    choice: KeyChoice,
    /// How attestations are laid out; default: as the image has them
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Let attestations of the same type by the same key give way
    #[arg(long)]
    replace: bool,
    /// Do not wait for the registry: Signet attaches the attestation afterwards
    #[arg(long)]
    respond_async: bool,
    #[command(flatten)]
    api: ApiArgs,
}

#[derive(Serialize)]
struct Request<'a> {
    image: &'a str,
    predicate_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replace: bool,
    /// In the bytes of the file.
    predicate: &'a RawValue,
}

/// Bytes of a predicate.
const MAX_PREDICATE: u64 = 16 * 1024 * 1024;

impl Attest {
    pub async fn run(self) -> Result<(), Failure> {
        let client = self.api.client()?;
        let text = read(&self.predicate)?;
        let predicate: &RawValue = serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("{}: {error}", self.predicate.display())))?;
        let bar = progress(self.images.len() as u64, "{bar:40} {pos}/{len} images, {elapsed}");
        let mut endings = Vec::new();
        for image in &self.images {
            let request = Request {
                image,
                predicate_type: &self.predicate_type,
                key: self.choice.key.as_deref(),
                key_version: self.choice.key_version,
                format: self.format.map(FormatName::name),
                replace: self.replace,
                predicate,
            };
            let body = serde_json::to_vec(&request).map_err(Failure::usage)?;
            let extras =
                Extras { idempotency_key: Some(idempotency_key()), respond_async: self.respond_async };
            let reply = client.post("/v1/attestations", body.into(), &extras).await;
            bar.inc(1);
            let reply = reply.map(|reply| reply.body);
            bar.suspend(|| endings.push(report_one(self.api.output, image, reply)));
        }
        bar.finish_and_clear();
        Ending::conclude(&endings, "attested")
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let problem = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().take(MAX_PREDICATE + 1).read_to_string(&mut text),
        _ => {
            let file = std::fs::File::open(path).map_err(problem)?;
            file.take(MAX_PREDICATE + 1).read_to_string(&mut text)
        }
    };
    match read.map_err(problem)? as u64 {
        0..=MAX_PREDICATE => Ok(text),
        _ => Err(Failure::usage(format!("{} has more than 16 MiB, and no more is attested", path.display()))),
    }
}
