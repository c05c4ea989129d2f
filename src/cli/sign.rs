//! `signet sign`.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Failure;
use super::api::{ApiArgs, Ending, Output, annotation, idempotency_key, progress, tell};
use crate::client::{Client, ClientError, Extras, Refusal};

/// Sign images by digest
///
/// The same command again changes nothing. What fails for a moment is tried again until `--timeout`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet sign registry.example.com/team/app@sha256:9f86…
  signet sign --key release -a commit=4f2a -a run=17 registry.example.com/team/app@sha256:9f86…
  signet sign --recursive registry.example.com/team/index@sha256:60a1…      what it lists, too
  signet sign --output json IMAGE... | jq -r '.signatures[0].reference'")]
pub struct Sign {
    /// As `registry/repository@sha256:…`
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    #[command(flatten)]
    choice: KeyChoice,
    /// How signatures are laid out; default: as the image has them
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Sign with the image; may be repeated
    #[arg(long = "annotation", short = 'a', value_name = "KEY=VALUE", value_parser = annotation)]
    annotations: Vec<(String, String)>,
    /// Of an index, sign all that it lists too
    #[arg(long, short)]
    recursive: bool,
    /// Do not wait for the registry: Signet attaches the signature afterwards
    #[arg(long)]
    respond_async: bool,
    #[command(flatten)]
    api: ApiArgs,
}

/// Which key.
#[derive(Debug, Args)]
pub struct KeyChoice {
    /// May be left out where policy leaves one choice
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Default: the latest
    #[arg(long, value_name = "N")]
    pub key_version: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// Below the tag sha256-….sig
    Cosign,
    /// A Sigstore bundle that refers to the image
    Bundle,
}

/// Images that are asked for in one request.
const CHUNK: usize = 64;

/// What Signet answered about one image.
struct Answered {
    status: u16,
    result: Result<Value, ClientError>,
}

impl Sign {
    pub async fn run(self) -> Result<(), Failure> {
        let client = self.api.client()?;
        let annotations: BTreeMap<_, _> = self.annotations.iter().cloned().collect();
        let requests: Vec<_> = self.images.iter().map(|image| self.request(image, &annotations)).collect();
        let bar = progress(requests.len() as u64, "{bar:40} {pos}/{len} images, {elapsed}");
        let mut answers: Vec<Option<Answered>> = requests.iter().map(|_| None).collect();
        let mut attempts = 0;
        loop {
            let open: Vec<usize> = (0..answers.len()).filter(|place| is_open(&answers[*place])).collect();
            for places in open.chunks(CHUNK) {
                let asked = places.iter().map(|place| requests[*place].clone()).collect();
                for (place, answer) in places.iter().zip(self.ask(&client, asked).await) {
                    answers[*place] = Some(answer);
                }
                let settled = answers.iter().filter(|answer| !is_open(answer)).count();
                bar.set_position(settled as u64);
            }
            attempts += 1;
            let left = answers.iter().filter(|answer| is_open(answer)).count();
            if left == 0 || !client.patience().wait(attempts, None, &format!("{left} not signed yet")).await {
                break;
            }
        }
        bar.finish_and_clear();
        let mut endings = Vec::new();
        for (image, answer) in self.images.iter().zip(answers.iter().flatten()) {
            endings.push(self.report(image, answer));
        }
        Ending::conclude(&endings, "signed")
    }

    fn request(&self, image: &str, annotations: &BTreeMap<String, String>) -> Value {
        let mut request = json!({"image": image});
        self.choice.put_into(&mut request);
        if let Some(format) = self.format {
            request["format"] = json!(format.name());
        }
        if self.recursive {
            request["recursive"] = json!(true);
        }
        if !annotations.is_empty() {
            request["annotations"] = json!(annotations);
        }
        request
    }

    /// As many answers as requests.
    async fn ask(&self, client: &Client, mut requests: Vec<Value>) -> Vec<Answered> {
        let extras = Extras { idempotency_key: Some(idempotency_key()), respond_async: self.respond_async };
        if requests.len() == 1 {
            let body = requests.remove(0).to_string().into();
            let reply = client.post("/v1/signatures", body, &extras).await;
            return vec![Answered::of(reply.map(|reply| (reply.status, reply.body)))];
        }
        let count = requests.len();
        let body = json!({"requests": requests}).to_string().into();
        let reply = client.post("/v1/signatures:batch", body, &extras).await;
        let results = reply.map(|reply| reply.body["results"].as_array().cloned().unwrap_or_default());
        match results {
            Ok(results) if results.len() == count => results.iter().map(Answered::of_item).collect(),
            Ok(_) => {
                let words = "the answer has not as many results as were asked for".to_owned();
                let error = ClientError::Unreachable { words, may_pass: false };
                (0..count).map(|_| Answered::of(Err(error.clone()))).collect()
            }
            Err(error) => (0..count).map(|_| Answered::of(Err(error.clone()))).collect(),
        }
    }

    fn report(&self, image: &str, answer: &Answered) -> Ending {
        match &answer.result {
            Ok(body) => {
                self.api.output.answer(body, || words(body));
                failures(body).into_iter().fold(Ending::Done, |ending, (image, refusal)| {
                    tell(&format!("{image}: {refusal}"));
                    ending.max(Ending::of_status(refusal.status))
                })
            }
            Err(error) => {
                self.api.output.problem(image, error);
                Ending::of(error)
            }
        }
    }
}

impl KeyChoice {
    pub fn put_into(&self, request: &mut Value) {
        if let Some(key) = &self.key {
            request["key"] = json!(key);
        }
        if let Some(version) = self.key_version {
            request["key_version"] = json!(version);
        }
    }
}

impl FormatName {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cosign => "cosign",
            Self::Bundle => "bundle",
        }
    }
}

impl Answered {
    fn of(result: Result<(u16, Value), ClientError>) -> Self {
        match result {
            Ok((status, body)) => Self { status, result: Ok(body) },
            Err(error) => Self { status: 0, result: Err(error) },
        }
    }

    /// One of the results of a batch.
    fn of_item(item: &Value) -> Self {
        let status = item["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(0);
        let result = match (item.get("signature"), Refusal::parse(status, &item["problem"])) {
            (Some(signature), _) => Ok(signature.clone()),
            (None, Some(refusal)) if Ending::of_status(status) == Ending::No => {
                Err(ClientError::Refused { refusal })
            }
            (None, Some(refusal)) => Err(ClientError::Failed { refusal, retry_after: None }),
            (None, None) => {
                let words = "the answer has neither a signature nor a problem".to_owned();
                Err(ClientError::Unreachable { words, may_pass: false })
            }
        };
        Self { status, result }
    }
}

/// Whether there is no answer yet, or one that another attempt may better. What the client has tried by itself
/// until its time was over is settled: it does not allow another.
fn is_open(answer: &Option<Answered>) -> bool {
    match answer {
        None => true,
        Some(Answered { status: 207, result: Ok(body) }) => {
            let failures = failures(body);
            failures.iter().all(|(_, refusal)| Refusal::may_pass(refusal.status))
        }
        Some(Answered { status, result: Err(error) }) => *status != 0 && error.may_pass(),
        Some(_) => false,
    }
}

/// What of an index and all that it lists failed, and why.
fn failures(body: &Value) -> Vec<(String, Refusal)> {
    let children = body["children"].as_array().into_iter().flatten();
    let failure = |one: &Value| {
        let status = one["problem"]["status"].as_u64().and_then(|status| u16::try_from(status).ok())?;
        let image = one["image"].as_str().unwrap_or("?").to_owned();
        Some((image, Refusal::parse(status, &one["problem"])?))
    };
    std::iter::once(body).chain(children).filter_map(failure).collect()
}

/// One line for the image, and one for each that it lists.
pub fn words(body: &Value) -> String {
    let children = body["children"].as_array().into_iter().flatten();
    let lines: Vec<_> = std::iter::once(body).chain(children).map(line).collect();
    lines.join("\n")
}

fn line(body: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let image = text(&body["image"]);
    let signature = &body["signatures"][0];
    if signature.is_null() {
        return format!("{image}: {}", text(&body["state"]));
    }
    let (key, version) = (text(&body["key"]["name"]), &body["key"]["version"]);
    let was = if signature["created"] == true { "" } else { "was " };
    let place = match signature["reference"].as_str() {
        Some(reference) => format!("at {reference}"),
        None => "and is being attached".to_owned(),
    };
    format!("{image}: {was}signed with {key} v{version}, {place}")
}

/// For other commands that get the same answers.
pub fn report_one(output: Output, image: &str, reply: Result<Value, ClientError>) -> Ending {
    match reply {
        Ok(body) => {
            output.answer(&body, || words(&body));
            Ending::Done
        }
        Err(error) => {
            output.problem(image, &error);
            Ending::of(&error)
        }
    }
}
