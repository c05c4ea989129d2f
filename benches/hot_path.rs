//! What Signet itself does for a signature, piece by piece: `cargo bench --bench hot_path`, or some of it:
//! `cargo bench --bench hot_path -- tree`. With `--test` each piece is done once, and nothing is measured.

#[path = "common/gitlab.rs"]
mod gitlab;
#[path = "common/policy.rs"]
mod policy;

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use bytes::Bytes;
use criterion::{BatchSize, Bencher, Criterion, criterion_group, criterion_main};
use serde_json::Value;
use signet::config::IdentityConfig;
use signet::domain::{
    Annotations, Claim, Clock as _, Content, Digest, Entry, Event, Format, HashAlgorithm, IdSource as _,
    ImageReference, KeyName, KeyReference, KeyType, KeyVersion, Operation, Outcome, Principal, PublicKey,
    RandomIds, Signing, SigningInput, Subject, SystemClock, Timestamp, Workload,
};
use signet::format::{bundle, dsse, simple_signing, statement};
use signet::identity::OidcAuthenticator;
use signet::metrics::Metrics;
use signet::policy::RulePolicy;
use signet::ports::{NewEntry, Policy as _, Question};
use signet::tlog::{Edge, Hash, Subtrees, TileId, TilePath, inclusion_proof, verify_inclusion};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use self::gitlab::Keys;

/// Leaves of the tree.
const LEAVES: u64 = 1_000_000;
/// Of an attestation: an SBOM of a middling image.
const PREDICATE_BYTES: usize = 100_000;
const HOST: &str = "registry.example.com";

criterion_group! {
    name = hot_path;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = documents, decisions, tokens, entries, tree, signatures
}
criterion_main!(hot_path);

/// What is signed, and what is handed out.
fn documents(criterion: &mut Criterion) {
    let image = image();
    let annotations = Annotations::default();
    let (fingerprint, signature) = (VaultKey::new().public.fingerprint(), [7; 71]);
    criterion.bench_function("document/simple signing payload", |bencher| {
        bencher.iter(|| simple_signing::payload(black_box(&image), &annotations));
    });
    criterion.bench_function("document/blob bundle", |bencher| {
        let digest = (HashAlgorithm::Sha256, &image.digest.as_bytes()[..]);
        bencher.iter(|| bundle::blob_bundle(&fingerprint, black_box(digest), &signature));
    });
    let predicate = Bytes::from(format!("{{\"components\":\"{}\"}}", "x".repeat(PREDICATE_BYTES)));
    let says_signed = Content::from(statement::signature_statement(image.digest, &annotations));
    let attests = statement::attestation_statement(&image, "https://spdx.dev/Document", predicate);
    criterion.bench_function("document/signature statement", |bencher| {
        bencher.iter(|| statement::signature_statement(black_box(image.digest), &annotations));
    });
    for (size, statement) in [("small", says_signed), ("100 kB", attests)] {
        criterion.bench_function(&format!("document/PAE, {size}"), |bencher| {
            bencher.iter(|| dsse::pre_authentication_encoding(dsse::IN_TOTO, black_box(&statement)));
        });
        let encoded = dsse::pre_authentication_encoding(dsse::IN_TOTO, &statement);
        criterion.bench_function(&format!("document/digest of the PAE, {size}"), |bencher| {
            let key_type = KeyType::EcdsaP256;
            bencher.iter(|| SigningInput::of(&key_type, HashAlgorithm::Sha256, black_box(&encoded)));
        });
        criterion.bench_function(&format!("document/DSSE envelope, {size}"), |bencher| {
            bencher.iter(|| dsse::envelope(black_box(&statement), &signature));
        });
        criterion.bench_function(&format!("document/bundle, {size}"), |bencher| {
            bencher.iter(|| bundle::bundle(&fingerprint, black_box(&statement), &signature));
        });
    }
}

/// Of the policy that `benches/run` has, with the claims of a GitLab job. How long ten thousand rules take is told by the
/// bench `policy`.
fn decisions(criterion: &mut Criterion) {
    let desk = Desk::new();
    let policy = rules();
    let key: KeyName = "release".parse().expect("a name");
    let (image, annotations) = (image(), Annotations::default());
    let job = desk.job();
    // The right project, on a branch that anybody may push to.
    let mut unprotected = job.clone();
    unprotected.claims.insert("ref_protected".to_owned(), Value::from("false"));
    for (name, job, allowed) in [("allowed", job, true), ("denied", unprotected, false)] {
        let principal = Principal::Workload(Arc::new(job));
        let file = Question {
            digest: Some(image.digest),
            key: Some(&key),
            ..Question::new(&principal, Operation::Blob, SystemClock.now())
        };
        let image = Question {
            repository: Some(&image.repository),
            format: Some(Format::Cosign),
            annotations: Some(&annotations),
            operation: Operation::Sign,
            ..file
        };
        for (what, question) in [("file", file), ("image", image)] {
            assert_eq!(policy.decide(&question).allowed, allowed);
            criterion.bench_function(&format!("decision/{what}, {name}"), |bencher| {
                bencher.iter(|| policy.decide(black_box(&question)));
            });
        }
    }
}

/// A token that was verified before, and one that was not.
fn tokens(criterion: &mut Criterion) {
    let desk = Desk::new();
    let authenticator = desk.authenticator();
    let token = desk.keys.token("RS256", 0).expect("a token");
    let known = || desk.runtime.block_on(authenticator.authenticate(&token)).expect("it is good");
    criterion.bench_function("token/known", |bencher| {
        bencher.iter_custom(|times| {
            known();
            desk.timed(async || {
                for _ in 0..times {
                    black_box(authenticator.authenticate(&token).await).expect("it is good");
                }
            })
        });
    });
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let token = |number| desk.keys.token(algorithm, number).expect("a token");
        let tokens: Vec<_> = (0..1000).map(token).collect();
        criterion.bench_function(&format!("token/new, {algorithm}"), |bencher| {
            bencher.iter_custom(|times| of_new_tokens(&desk, &tokens, times));
        });
    }
}

/// Time of so many tokens, of which none was seen before: those who have seen them all are replaced.
fn of_new_tokens(desk: &Desk, tokens: &[String], times: u64) -> Duration {
    let mut left = times;
    let mut took = Duration::ZERO;
    while left > 0 {
        let authenticator = desk.authenticator();
        let some = &tokens[..tokens.len().min(left as usize)];
        took += desk.timed(async || {
            for token in some {
                black_box(authenticator.authenticate(token).await).expect("it is good");
            }
        });
        left -= some.len() as u64;
    }
    took
}

/// Of a file's signature: from an entry to the bytes that are kept with their leaf, and back.
fn entries(criterion: &mut Criterion) {
    for (name, entry) in [("intent", intent()), ("outcome", outcome())] {
        criterion.bench_function(&format!("entry/{name}, to bytes"), |bencher| {
            let of = |entry| NewEntry::try_from(entry).expect("it is short");
            bencher.iter_batched(|| entry.clone(), of, BatchSize::SmallInput);
        });
        let bytes = entry.to_bytes();
        criterion.bench_function(&format!("entry/{name}, from bytes"), |bencher| {
            bencher.iter(|| serde_json::from_slice::<Entry>(black_box(&bytes)).expect("an entry"));
        });
    }
}

/// The log's, with [`LEAVES`].
fn tree(criterion: &mut Criterion) {
    let tree = LazyCell::new(Tree::new);
    for leaves in [1, 64] {
        criterion.bench_function(&format!("tree/append {leaves}"), |bencher| {
            let (edge, leaves) = (&tree.edge, vec![Hash::of_leaf(b"entry"); leaves]);
            let append = |mut edge: Edge| {
                let grown = edge.append(leaves.iter().copied());
                (edge.head(), edge, grown)
            };
            bencher.iter_batched(|| edge.clone(), append, BatchSize::SmallInput);
        });
    }
    criterion.bench_function("tree/inclusion proof", |bencher| {
        let (index, head) = (LEAVES - 64, tree.edge.head());
        let prove =
            || inclusion_proof(black_box(index), LEAVES, |path| tree.tile(path)).expect("it is there");
        assert!(verify_inclusion(Hash::of_leaf(&index.to_be_bytes()), index, head, &prove()));
        bencher.iter(prove);
    });
}

/// The check of what comes back from Vault, beside which all else can be seen in proportion.
fn signatures(criterion: &mut Criterion) {
    let key = VaultKey::new();
    let (input, signature) = key.sign(b"document");
    criterion.bench_function("signature/check, P-256", |bencher: &mut Bencher<'_>| {
        bencher.iter(|| assert!(key.public.verifies(black_box(&input), &signature)));
    });
}

fn image() -> ImageReference {
    format!("{HOST}/payments/app@{}", Digest::of(b"image")).parse().expect("a reference")
}

fn rules() -> RulePolicy {
    RulePolicy::parse(policy::policy(&[HOST.to_owned()]).as_bytes()).expect("the rules are right")
}

/// Where jobs show their tokens.
struct Desk {
    keys: Keys,
    directory: TempDir,
    runtime: Runtime,
}

impl Desk {
    fn new() -> Self {
        signet::server::install_crypto();
        let (keys, directory) = (Keys::new().expect("keys"), tempfile::tempdir().expect("a folder"));
        std::fs::write(directory.path().join("keys.json"), keys.published().to_string()).expect("a file");
        Self { keys, directory, runtime: Runtime::new().expect("a runtime") }
    }

    /// One that has seen no tokens.
    fn authenticator(&self) -> OidcAuthenticator {
        let _in = self.runtime.enter();
        let text = gitlab::identity(&self.directory.path().join("keys.json"));
        let mut sections: BTreeMap<String, IdentityConfig> = toml::from_str(&text).expect("a configuration");
        let identity = sections.remove("identity").expect("the section");
        let (metrics, stopped) = (Arc::new(Metrics::new()), CancellationToken::new());
        OidcAuthenticator::start(&identity, Arc::new(SystemClock), &metrics, &stopped)
            .expect("the keys are there")
    }

    /// Whom a token speaks of.
    fn job(&self) -> Workload {
        let token = self.keys.token("ES256", 0).expect("a token");
        let job = self.runtime.block_on(self.authenticator().authenticate(&token));
        Arc::unwrap_or_clone(job.expect("it is good"))
    }

    fn timed(&self, work: impl AsyncFnOnce()) -> Duration {
        self.runtime.block_on(async {
            let began = Instant::now();
            work().await;
            began.elapsed()
        })
    }
}

/// A key as Vault has it.
struct VaultKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl VaultKey {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        let der = pair.public_key().as_der().expect("a public key").as_ref().to_vec();
        Self { pair, public: PublicKey::from_der(der).expect("a public key") }
    }

    fn sign(&self, document: &[u8]) -> (SigningInput, Vec<u8>) {
        let content = Content::from(document.to_vec());
        let input = SigningInput::of(&KeyType::EcdsaP256, HashAlgorithm::Sha256, &content);
        let signature = self.pair.sign(&SystemRandom::new(), document).expect("a signature");
        (input, signature.as_ref().to_vec())
    }
}

fn intent() -> Entry {
    let now = SystemClock.now();
    let (signing, batch) = (signing(now), RandomIds.batch_id(now));
    of_job(now, Event::Intent { signing, batch })
}

fn outcome() -> Entry {
    let now = SystemClock.now();
    let result = Outcome::Signed {
        batch: RandomIds.batch_id(now),
        signature: vec![7; 71],
        signed_at: now,
        vault_request_id: Some("5f1c8d7a-6f0e-4ce5-9d3b-1f0c5b0c7f11".to_owned()),
    };
    of_job(now, Event::Outcome { signing: signing(now), result })
}

fn signing(now: Timestamp) -> Signing {
    Signing {
        id: RandomIds.signature_id(now),
        key: KeyReference {
            name: "release".parse().expect("a name"),
            version: KeyVersion::new(1).expect("a version"),
            fingerprint: VaultKey::new().public.fingerprint(),
        },
        format: Format::Bundle,
        annotations: Annotations::default(),
        claim: Claim::Blob { name: None, media_type: None },
        payload: Digest::of(b"file"),
    }
}

/// As a job's request for the signature of a file has it written.
fn of_job(now: Timestamp, event: Event) -> Entry {
    let principal = Principal::Workload(Arc::new(Desk::new().job()));
    let (key, subject) = ("release".parse().expect("a name"), Subject::file(Digest::of(b"file")));
    let question = Question {
        digest: Some(subject.digest),
        key: Some(&key),
        ..Question::new(&principal, Operation::Blob, now)
    };
    let ruling = rules().decide(&question).ruling;
    Entry::new(now, RandomIds.request_id(), &principal, Operation::Blob, Some(subject), ruling, event)
}

/// A tree with its tiles. The leaf of an index is that of its eight bytes.
struct Tree {
    edge: Edge,
    tiles: BTreeMap<TileId, Arc<Subtrees>>,
}

impl Tree {
    fn new() -> Self {
        let (mut edge, mut tiles) = (Edge::empty(), BTreeMap::<_, Vec<u8>>::new());
        for growth in edge.append((0..LEAVES).map(|index| Hash::of_leaf(&index.to_be_bytes()))) {
            let hashes = growth.hashes.iter().flat_map(Hash::as_bytes);
            tiles.entry(growth.tile).or_default().extend(hashes);
        }
        let known = |(id, hashes): (TileId, Vec<u8>)| (id, Arc::new(Subtrees::of(&hashes).expect("hashes")));
        Self { edge, tiles: tiles.into_iter().map(known).collect() }
    }

    /// As the service has those that it has just read.
    fn tile(&self, path: TilePath) -> Result<Arc<Subtrees>, Infallible> {
        let id = TileId::of_path(&path).expect("a proof is of hashes");
        Ok(Arc::clone(&self.tiles[&id]))
    }
}
