//! The signer against small servers on loopback that play Vault.

mod access;
mod batching;
mod failures;
mod fake_archive;
mod fake_log;
mod fake_vault;
mod kept;
mod keys;
mod logins;
mod notes;
mod redirects;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::fake_archive::FakeArchive;
use self::fake_log::FakeLog;
use self::fake_vault::{FakeVault, PUBLIC_KEY};
use super::{StartError, TransitSigner};
use crate::config::{AuthMethod, BatchConfig, KeyConfig, Purpose, VaultAuthConfig, VaultConfig};
use crate::domain::{
    Annotations, Claim, Clock, Digest, Entry, Event, Format, HashAlgorithm, IdSource as _, ImageReference,
    KeyReference, KeyVersion, MatchedClaims, Operation, Principal, PublicKey, RandomIds, RequestId, Ruling,
    Signing, SigningInput, Timestamp,
};
use crate::metrics::Metrics;
use crate::ports::{BatchMember, Signed, Signer as _, SignerError, SigningTask};

/// A signer with everything around it, which a test may set before it starts.
struct Setup {
    vault: VaultConfig,
    keys: Vec<KeyConfig>,
    log: Arc<FakeLog>,
    archive: Arc<FakeArchive>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }
}

impl Setup {
    fn new(vault: &FakeVault) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self {
            vault: VaultConfig {
                address: vault.address.parse().unwrap(),
                node_addresses: Vec::new(),
                namespace: None,
                mount: "transit".to_owned(),
                ca_file: None,
                request_timeout: Duration::from_secs(20),
                key_poll: Duration::from_secs(3600),
                auth: VaultAuthConfig {
                    token: Some("good".to_owned().into()),
                    ..VaultAuthConfig::new(AuthMethod::Token)
                },
                batch: BatchConfig { max_items: 240, max_bytes: 1024 * 1024, max_in_flight: 1 },
            },
            keys: vec![key("release")],
            log: Arc::default(),
            archive: Arc::default(),
            metrics: Arc::default(),
            shutdown: CancellationToken::new(),
        }
    }

    fn start(&self) -> Arc<TransitSigner> {
        self.try_start().unwrap()
    }

    fn try_start(&self) -> Result<Arc<TransitSigner>, StartError> {
        TransitSigner::start(
            &self.vault,
            &self.keys,
            Arc::clone(&self.log) as _,
            Arc::clone(&self.archive) as _,
            Arc::new(FixedClock),
            Arc::new(RandomIds),
            Arc::clone(&self.metrics),
            self.shutdown.clone(),
        )
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn key(name: &str) -> KeyConfig {
    KeyConfig {
        name: name.parse().unwrap(),
        vault_key: None,
        mount: None,
        hash: None,
        purposes: vec![Purpose::Signature],
    }
}

fn version(number: u32) -> KeyVersion {
    KeyVersion::new(number).unwrap()
}

/// A task of version 1 of `release` whose digest says `text`.
fn task(text: &str) -> SigningTask {
    task_with(text, 1)
}

fn task_with(text: &str, number: u32) -> SigningTask {
    let payload = Digest::of(text.as_bytes());
    let image: ImageReference = format!("registry.example.com/team/app@{payload}").parse().unwrap();
    let now = FixedClock.now();
    let key = KeyReference {
        name: "release".parse().unwrap(),
        version: version(number),
        fingerprint: PublicKey::from_pem(PUBLIC_KEY).unwrap().fingerprint(),
    };
    let input = SigningInput::Digest { algorithm: HashAlgorithm::Sha256, bytes: payload.as_bytes().to_vec() };
    let signing = Signing {
        id: RandomIds.signature_id(now),
        key,
        format: Format::Cosign,
        annotations: Annotations::default(),
        claim: Claim::Image,
        payload,
    };
    let entry = Entry::new(
        now,
        RequestId::from_caller("job").unwrap(),
        &Principal::Token { name: "ci".to_owned() },
        Operation::Sign,
        Some((&image).into()),
        Ruling {
            rule: Some("rule".to_owned()),
            policy: Digest::of(b"policy"),
            claims: MatchedClaims::new().into(),
        },
        Event::refusal(None, Vec::new()),
    );
    SigningTask { key: "release".parse().unwrap(), version: version(number), input, entry, signing }
}

/// A task of version 1 of `release` whose message has so many bytes.
fn message(bytes: usize) -> SigningTask {
    SigningTask { input: SigningInput::Message(vec![b'x'; bytes].into()), ..task("message") }
}

/// Signs in the background, and lets the others of its call go on as who has been recorded does.
fn signing(
    signer: &Arc<TransitSigner>,
    task: SigningTask,
) -> tokio::task::JoinHandle<Result<Signed, SignerError>> {
    let signer = Arc::clone(signer);
    tokio::spawn(async move {
        signer.sign(task).await.map(|signed| Signed { member: BatchMember::alone(), ..signed })
    })
}

/// Lets everybody else go on until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it never came to that");
}
