//! `signet sign-blob`.

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Failure;
use super::api::{ApiArgs, Ending, idempotency_key, progress};
use super::keys::write_file;
use super::sign::KeyChoice;
use crate::client::{Client, ClientError, Extras};

/// Sign files of any size
///
/// The file is hashed here, and only its SHA-256 leaves this machine. Where the key needs the file itself (Ed25519
/// does), a file of up to 768 KiB is sent.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet sign-blob app.tar.gz                                   the signature on standard output
  signet sign-blob --bundle app.tar.gz.sigstore.json app.tar.gz
  signet sign-blob --bundle signed/ --signature signed/ *.yaml   below signed/: NAME.sigstore.json and NAME.sig
  cosign verify-blob --key release.pub --insecure-ignore-tlog=true --bundle app.tar.gz.sigstore.json app.tar.gz")]
pub struct SignBlob {
    /// `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    choice: KeyChoice,
    /// Write the Sigstore bundle to this file; with several FILEs, to this folder
    #[arg(long, value_name = "FILE|DIR")]
    bundle: Option<PathBuf>,
    /// Write the signature in base64 to this file; with several FILEs, to this folder
    #[arg(long, value_name = "FILE|DIR")]
    signature: Option<PathBuf>,
    /// For the log; not signed
    #[arg(long, value_name = "TYPE")]
    media_type: Option<String>,
    #[command(flatten)]
    api: ApiArgs,
}

/// What there is of a file.
struct Hashed {
    digest: String,
    /// Its bytes, where there are few.
    content: Option<Vec<u8>>,
}

/// Bytes of a file that can be sent.
const MAX_CONTENT: usize = 4 * 1024 * 1024;

/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;

impl SignBlob {
    pub async fn run(self) -> Result<(), Failure> {
        let client = self.api.client()?;
        let mut endings = Vec::new();
        for file in &self.files {
            // Reading a large file would hold up the rest of this process, of which there is none.
            let hashed = hash(file)?;
            match self.sign(&client, file, hashed).await {
                Ok(body) => {
                    self.write(file, &body)?;
                    self.api.output.answer(&body, || self.words(file, &body));
                    endings.push(Ending::Done);
                }
                Err(error) => {
                    self.api.output.problem(&file.display().to_string(), &error);
                    endings.push(Ending::of(&error));
                }
            }
        }
        Ending::conclude(&endings, "signed")
    }

    async fn sign(&self, client: &Client, file: &Path, hashed: Hashed) -> Result<Value, ClientError> {
        let mut request = json!({"digest": hashed.digest});
        if let Some(name) = name(file) {
            request["name"] = json!(name);
        }
        if let Some(media_type) = &self.media_type {
            request["media_type"] = json!(media_type);
        }
        self.choice.put_into(&mut request);
        let by_digest = ask(client, &request).await;
        match (&by_digest, hashed.content) {
            (Err(ClientError::Refused { refusal }), Some(content))
                if refusal.code == "digest-unsupported-for-key" =>
            {
                if let Some(request) = request.as_object_mut() {
                    request.remove("digest");
                }
                request["content"] = json!(STANDARD.encode(content));
                ask(client, &request).await
            }
            _ => by_digest,
        }
    }

    fn write(&self, file: &Path, body: &Value) -> Result<(), Failure> {
        let bundle = || format!("{}\n", body["bundle"]);
        let signature = || body["signature"].as_str().unwrap_or_default().to_owned();
        if let Some(out) = &self.bundle {
            write_file(&self.place(out, file, "sigstore.json")?, bundle().as_bytes())?;
        }
        if let Some(out) = &self.signature {
            write_file(&self.place(out, file, "sig")?, signature().as_bytes())?;
        }
        Ok(())
    }

    /// The file `out`, or one below the folder `out`.
    fn place(&self, out: &Path, file: &Path, ending: &str) -> Result<PathBuf, Failure> {
        if self.files.len() == 1 && !out.is_dir() {
            return Ok(out.to_owned());
        }
        std::fs::create_dir_all(out)
            .map_err(|error| Failure::usage(format!("{}: {error}", out.display())))?;
        Ok(out.join(format!("{}.{ending}", name(file).unwrap_or_else(|| "stdin".to_owned()))))
    }

    /// The signature, unless it was written into a file.
    fn words(&self, file: &Path, body: &Value) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if self.bundle.is_none() && self.signature.is_none() && self.files.len() == 1 {
            return text(&body["signature"]);
        }
        let (key, version) = (text(&body["key"]["name"]), &body["key"]["version"]);
        match self.bundle.is_none() && self.signature.is_none() {
            true => format!("{}: {}", file.display(), text(&body["signature"])),
            false => format!("{}: signed with {key} v{version}, {}", file.display(), text(&body["digest"])),
        }
    }
}

async fn ask(client: &Client, request: &Value) -> Result<Value, ClientError> {
    let extras = Extras { idempotency_key: Some(idempotency_key()), respond_async: false };
    Ok(client.post("/v1/blobs", request.to_string().into(), &extras).await?.body)
}

/// What the log calls the file: its name without folders. Standard input has none.
fn name(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_string_lossy().into_owned();
    (name != "-").then_some(name)
}

/// Reads the file once, whatever its size, in the same memory.
fn hash(path: &Path) -> Result<Hashed, Failure> {
    let problem = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    let (mut reader, size): (Box<dyn Read>, u64) = match path.to_str() {
        Some("-") => (Box::new(std::io::stdin()), 0),
        _ => {
            let file = std::fs::File::open(path).map_err(problem)?;
            let size = file.metadata().map_err(problem)?.len();
            (Box::new(file), size)
        }
    };
    let bar = progress(size, "{wide_msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}");
    bar.set_message(path.display().to_string());
    let mut hash = Sha256::new();
    let mut content = Some(Vec::new());
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = reader.read(&mut chunk).map_err(problem)?;
        if read == 0 {
            break;
        }
        hash.update(&chunk[..read]);
        content = content.filter(|content| content.len() + read <= MAX_CONTENT);
        if let Some(content) = &mut content {
            content.extend_from_slice(&chunk[..read]);
        }
        bar.inc(read as u64);
    }
    bar.finish_and_clear();
    Ok(Hashed { digest: format!("sha256:{}", hex::encode(hash.finalize())), content })
}
