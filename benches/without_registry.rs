//! What a signature costs without HTTP and without a registry, for `benches/measure`: policy, log, Vault and the check of
//! the signature are the real ones, and what is attached goes nowhere.
//!
//! `without_registry CONFIG CALLERS SIGNATURES` prints `signatures`, `seconds`, `per_second`, `p50_ms`, `p99_ms`, and
//! `signing_calls`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use futures::future::try_join_all;
use signet::domain::{
    Annotations, Descriptor, Digest, Format, IdSource as _, ImageReference, Principal, RandomIds, Repository,
    SystemClock,
};
use signet::log::{Checkpointer, GroupCommitLog};
use signet::metrics::Metrics;
use signet::policy::RulePolicy;
use signet::ports::{
    Alone, Manifest, ManifestUpdate, Referrer, Registry, RegistryError, RegistryReply, RegistrySettings,
    RuleLimits,
};
use signet::service::{
    Budgets, Caller, DeliverySettings, ImageLocks, KeyPurposes, LargeBlobs, PredicateChecks, Quiet, Repeats,
    Service, SignRequest, VerificationEntries,
};
use signet::vault::TransitSigner;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, callers, signatures] = arguments.as_slice() else {
        // `cargo bench` starts every target; this one does nothing by itself.
        println!("started by benches/measure");
        return Ok(());
    };
    signet::server::install_crypto();
    let metrics = Arc::new(Metrics::new());
    let stopped = CancellationToken::new();
    let (service, repository) = service(Path::new(config), &metrics, &stopped)?;
    let service = Arc::new(service);
    let (callers, signatures): (usize, usize) = (callers.parse()?, signatures.parse()?);
    let left = Arc::new(AtomicUsize::new(signatures));

    let began = Instant::now();
    let callers = (0..callers).map(|_| tokio::spawn(sign(service.clone(), repository.clone(), left.clone())));
    let mut took = Vec::new();
    for caller in try_join_all(callers).await? {
        took.extend(caller?);
    }
    let seconds = began.elapsed().as_secs_f64();
    took.sort_unstable_by(f64::total_cmp);
    let text = metrics.encode();
    let calls = text.lines().find_map(|line| line.strip_prefix("signet_vault_batch_items_count "));
    println!(
        "signatures={signatures} seconds={seconds:.2} per_second={:.0} p50_ms={:.1} p99_ms={:.1} signing_calls={}",
        f64::from(u32::try_from(signatures)?) / seconds,
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        calls.ok_or("no such metric")?,
    );
    stopped.cancel();
    Ok(())
}

/// Signs new images until none is left, and returns how many milliseconds each took.
async fn sign(
    service: Arc<Service>,
    repository: Repository,
    left: Arc<AtomicUsize>,
) -> Result<Vec<f64>, Failure> {
    let mut took = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let digest = Digest::of(uuid::Uuid::new_v4().as_bytes());
        let request = SignRequest {
            image: ImageReference { repository: repository.clone(), digest },
            key: None,
            key_version: None,
            format: None,
            annotations: Annotations::default(),
            recursive: false,
            respond_async: false,
        };
        let caller = Caller {
            principal: Principal::Token { name: "ci".to_owned() },
            request_id: RandomIds.request_id(),
        };
        let asked = Instant::now();
        service.sign(&caller, &request).await?;
        took.push(asked.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(took)
}

/// The service as `signet serve` wires it, but for the registry.
fn service(
    config: &Path,
    metrics: &Arc<Metrics>,
    stopped: &CancellationToken,
) -> Result<(Service, Repository), Failure> {
    let config = signet::config::load(config)?;
    let log = Arc::new(GroupCommitLog::start(
        signet::store::open(&config.log)?.store,
        signet::log::Guard::open(),
        metrics.clone(),
    )?);
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    let signer = TransitSigner::start(
        &config.vault,
        &config.keys,
        log.clone(),
        log.clone(),
        clock.clone(),
        ids.clone(),
        metrics.clone(),
        stopped.clone(),
    )?;
    let notes = signer.notes(
        (&config.vault, &config.log),
        "log.example.com/measured",
        log.clone(),
        clock.clone(),
        stopped.clone(),
    )?;
    let transparency = Checkpointer::start(
        log.clone(),
        notes,
        "log.example.com/measured".to_owned(),
        clock.clone(),
        metrics.clone(),
        stopped.clone(),
    );
    let service = Service {
        signer,
        registry: Arc::new(Nowhere),
        policy: Arc::new(RulePolicy::load(&config.policy.file)?),
        outbox: log.clone(),
        log: log.clone(),
        ranges: log.clone(),
        search: log.clone(),
        transparency,
        shared_locks: Arc::new(Alone),
        clock,
        ids,
        metrics: metrics.clone(),
        locks: ImageLocks::default(),
        large_blobs: LargeBlobs::default(),
        keys: KeyPurposes {
            images: config.keys.iter().map(|key| key.name.clone()).collect(),
            ..KeyPurposes::default()
        },
        delivery: DeliverySettings {
            look_again: config.attach.look_again,
            give_up_after: config.attach.give_up_after,
        },
        checks: PredicateChecks::default(),
        refusals: Repeats::of_refusals(),
        readings: Repeats::of_readings(),
        verifications: VerificationEntries::None,
        budgets: Budgets { quotas: log.clone(), limits: RuleLimits::default() },
        observed: Quiet::default(),
        index_members: config.limits.index_members,
        longest_request: config.limits.request_timeout,
        wake: Notify::new(),
    };
    let host = &config.registries.first().ok_or("no registry")?.host;
    Ok((service, format!("{host}/measured").parse()?))
}

/// A registry that has every image and no signatures, and takes what it gets.
struct Nowhere;

#[async_trait]
impl Registry for Nowhere {
    fn settings(&self, _: &str) -> Option<RegistrySettings> {
        Some(RegistrySettings {
            default_format: Format::Cosign,
            allow_mixed_layouts: false,
            max_signatures: 100,
        })
    }

    async fn resolve(&self, image: &ImageReference) -> RegistryReply<Descriptor> {
        let manifest = Descriptor::of("application/vnd.oci.image.manifest.v1+json", b"manifest");
        Ok(Some(Descriptor { digest: image.digest, ..manifest }))
    }

    async fn tagged(&self, _: &Repository, _: &str) -> RegistryReply<Manifest> {
        Ok(None)
    }

    async fn manifest(&self, _: &Repository, _: Digest) -> RegistryReply<Manifest> {
        Ok(None)
    }

    async fn blob(&self, _: &Repository, _: Digest, _: u64) -> RegistryReply<Vec<u8>> {
        Ok(None)
    }

    async fn referrers(&self, _: &ImageReference) -> Result<Vec<Descriptor>, RegistryError> {
        Ok(Vec::new())
    }

    async fn update_tag(
        &self,
        _: &Repository,
        _: &str,
        _: Option<Manifest>,
        _: &dyn ManifestUpdate,
    ) -> Result<Digest, RegistryError> {
        Ok(Digest::of(b"nowhere"))
    }

    async fn push_referrer(
        &self,
        _: &ImageReference,
        _: Referrer,
        _: &[Descriptor],
    ) -> Result<(), RegistryError> {
        Ok(())
    }
}
