//! `signet verify`.

use std::collections::BTreeMap;

use clap::Args;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::Failure;
use super::api::{ApiArgs, Ending, annotation, progress};
use crate::client::{Client, ClientError, Extras};

/// Say whether images are signed, and by which version of the key
///
/// Exits 0 where all are, 1 where one is not, and 3 where nobody can tell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet verify --key release registry.example.com/team/app@sha256:9f86…
  signet verify --key release -a commit=4f2a registry.example.com/team/app@sha256:9f86…
  signet verify --key attest --type spdx registry.example.com/team/app@sha256:9f86…
  signet verify --key release --output json IMAGE | jq '.signatures[] | {verdict, reference}'")]
pub struct Verify {
    /// As `registry/repository@sha256:…`
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Whose signature is asked for
    #[arg(long, value_name = "NAME")]
    key: String,
    /// Default: any version, also one that signs no more
    #[arg(long, value_name = "N")]
    key_version: Option<u32>,
    /// What the signature has to say; may be repeated
    #[arg(long = "annotation", short = 'a', value_name = "KEY=VALUE", value_parser = annotation)]
    annotations: Vec<(String, String)>,
    /// Ask for an attestation of this type instead: spdx, cyclonedx, slsaprovenance1, …, or a URI
    #[arg(long = "type", value_name = "TYPE")]
    predicate_type: Option<String>,
    #[command(flatten)]
    api: ApiArgs,
}

/// Images that are asked about at once.
const AT_ONCE: usize = 4;

impl Verify {
    pub async fn run(self) -> Result<(), Failure> {
        let client = self.api.client()?;
        let bar = progress(self.images.len() as u64, "{bar:40} {pos}/{len} images, {elapsed}");
        let asking: Vec<_> = self.images.iter().map(|image| self.ask(&client, image)).collect();
        let mut answers = stream::iter(asking).buffered(AT_ONCE);
        let mut endings = Vec::new();
        for image in &self.images {
            let Some(answer) = answers.next().await else { break };
            bar.inc(1);
            bar.suspend(|| endings.push(self.report(image, answer)));
        }
        bar.finish_and_clear();
        Ending::conclude(&endings, "verified")
    }

    async fn ask(&self, client: &Client, image: &str) -> Result<Value, ClientError> {
        let mut request = json!({"image": image, "key": self.key});
        if let Some(version) = self.key_version {
            request["key_version"] = json!(version);
        }
        if !self.annotations.is_empty() {
            request["annotations"] = json!(self.annotations.iter().cloned().collect::<BTreeMap<_, _>>());
        }
        if let Some(predicate_type) = &self.predicate_type {
            request["predicate_type"] = json!(predicate_type);
        }
        let body = request.to_string().into();
        Ok(client.post("/v1/verifications", body, &Extras::default()).await?.body)
    }

    fn report(&self, image: &str, answer: Result<Value, ClientError>) -> Ending {
        match answer {
            Ok(body) => {
                self.api.output.answer(&body, || words(&body));
                if body["state"] == "signed" { Ending::Done } else { Ending::No }
            }
            Err(error) => {
                self.api.output.problem(image, &error);
                Ending::of(&error)
            }
        }
    }
}

/// A line for the image, and one for each signature that was found.
fn words(body: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("{}: {}", text(&body["image"]), text(&body["state"]))];
    for found in body["signatures"].as_array().into_iter().flatten() {
        let key = match found["key"]["version"].as_u64() {
            Some(version) => format!("{} v{version}", text(&found["key"]["name"])),
            None => "unknown key".to_owned(),
        };
        let mut line = format!("  {}: {key}, {}", text(&found["verdict"]), text(&found["reference"]));
        for name in ["predicate_type", "signed_at"] {
            if let Some(value) = found[name].as_str() {
                line.push_str(&format!(", {value}"));
            }
        }
        lines.push(line);
    }
    lines.join("\n")
}
