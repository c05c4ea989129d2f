//! Which adapter stands behind which port.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::config::{AnchorKind, AuditConfig, Config, ConfigDigest, LoginConfig, Purpose, Verifications};
use crate::domain::{Clock, IdSource, RandomIds, SystemClock};
use crate::http::{Admission, ApiParts, ApiState, AuditParts};
use crate::identity::{
    CallerAuthenticator, CertificateAuthenticator, OidcAuthenticator, OidcLogin, TokenAuthenticator,
};
use crate::log::{
    AnchorKeeper, Archiver, Checkpointer, FileAnchor, GroupCommitLog, Guard, LogChronicle, LoggedKeys,
    NOT_READ, Push,
};
use crate::metrics::Metrics;
use crate::policy::{Configured, ReloadingPolicy, Source};
use crate::ports::{
    Anchor, Authenticator, KeyArchive, LogError, LoginProvider, NoteSigner, Policy, Registry, RuleLimits,
    SharedLocks, Signer, SigningLog, Store,
};
use crate::registry::OciRegistries;
use crate::service::{
    Budgets, DeliverySettings, ImageLocks, KeyPurposes, LargeBlobs, PredicateChecks, Present, Quiet, Repeats,
    Service, VerificationEntries,
};
use crate::store;
use crate::vault::TransitSigner;

/// What the listeners need.
pub struct Parts {
    pub api: ApiState,
    pub log: Arc<GroupCommitLog>,
    pub chronicle: Arc<LogChronicle>,
    /// Where the newest checkpoint is kept besides.
    pub anchor: Option<Arc<dyn Anchor>>,
}

/// Builds everything that `config` asks for. Background work ends when `stopped` is cancelled.
pub fn build(config: &Config, stopped: &CancellationToken) -> Result<Parts, StartError> {
    let guard = if config.log.anchor.is_some() { Guard::shut(NOT_READ) } else { Guard::open() };
    let (parts, keeper) = assemble(config, guard, stopped)?;
    if let Some(keeper) = keeper {
        keeper.start(stopped.clone());
    }
    Ok(parts)
}

/// As [`build`], where the log is the truth whatever its anchor says, and the anchor is left alone.
pub fn build_unguarded(config: &Config, stopped: &CancellationToken) -> Result<Parts, StartError> {
    assemble(config, Guard::open(), stopped).map(|(parts, _)| parts)
}

fn assemble(
    config: &Config,
    guard: Guard,
    stopped: &CancellationToken,
) -> Result<(Parts, Option<AnchorKeeper>), StartError> {
    let metrics = Arc::new(Metrics::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
    let source = Source {
        file: config.policy.file.clone(),
        poll: config.policy.poll,
        configured: Configured::of(config),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    let (policy, policy_file) = ReloadingPolicy::load(source)?;
    let keys = key_purposes(config);
    let OpenLog { log, shared_locks, origin } = open_log(config, guard, ids.as_ref(), &metrics)?;
    let signing_log: Arc<dyn SigningLog> = log.clone();
    let chronicle = LogChronicle::open(log.clone(), shared_locks.clone(), clock.clone());
    chronicle.start(ConfigDigest::of(config));
    tokio::spawn(policy_file.follow(chronicle.clone(), stopped.clone()));
    for receiver in &config.log.push {
        let push = Push::new(receiver, log.clone(), shared_locks.clone(), metrics.clone());
        let push = push.map_err(|LogError(reason)| StartError::Log(reason))?;
        tokio::spawn(push.run_until(stopped.clone()));
    }
    let keys_seen: Arc<dyn KeyArchive> =
        Arc::new(LoggedKeys { log: log.clone(), locks: shared_locks.clone(), clock: clock.clone() });
    let registry = OciRegistries::new(&config.registries, metrics.clone())
        .map_err(|error| StartError::Registries(error.to_string()))?;
    let signer = TransitSigner::start(
        &config.vault,
        &config.keys,
        signing_log.clone(),
        keys_seen.clone(),
        clock.clone(),
        ids.clone(),
        metrics.clone(),
        stopped.clone(),
    )
    .map_err(|error| StartError::Vault(error.to_string()))?;
    let vault_and_log = (&config.vault, &config.log);
    let notes = signer
        .notes(vault_and_log, &origin, keys_seen, clock.clone(), stopped.clone())
        .map_err(|error| StartError::Vault(error.to_string()))?;
    let notes: Arc<dyn NoteSigner> = notes;
    let transparency = Checkpointer::start(
        log.clone(),
        notes.clone(),
        origin.clone(),
        clock.clone(),
        metrics.clone(),
        stopped.clone(),
    );
    let anchor = config.log.anchor.as_ref().map(|settings| -> Arc<dyn Anchor> {
        match settings.kind {
            AnchorKind::Vault => {
                Arc::new(signer.anchor(settings.mount(), settings.path.to_string_lossy().into_owned()))
            }
            AnchorKind::File => Arc::new(FileAnchor::at(settings.path.clone())),
        }
    });
    let keeper = anchor.clone().map(|anchor| AnchorKeeper {
        log: log.clone(),
        checkpointer: transparency.clone(),
        notes: notes.clone(),
        anchor,
        origin,
    });
    if let Some(archive) = &config.log.archive {
        let archiver = Archiver {
            log: log.clone(),
            transparency: transparency.clone(),
            locks: shared_locks.clone(),
            clock: clock.clone(),
            config: archive.clone(),
            receivers: config.log.push.iter().map(|push| push.name.clone()).collect(),
        };
        tokio::spawn(archiver.run_until(stopped.clone()));
    }
    let service = Service {
        signer: signer as Arc<dyn Signer>,
        registry: Arc::new(registry) as Arc<dyn Registry>,
        policy: policy as Arc<dyn Policy>,
        log: signing_log,
        ranges: log.clone(),
        search: log.clone(),
        transparency,
        outbox: log.clone(),
        shared_locks,
        clock: clock.clone(),
        ids: ids.clone(),
        metrics: metrics.clone(),
        locks: ImageLocks::default(),
        large_blobs: LargeBlobs::default(),
        keys,
        delivery: DeliverySettings {
            look_again: config.attach.look_again.clone(),
            give_up_after: config.attach.give_up_after,
        },
        checks: PredicateChecks::default(),
        verifications: match config.log.verifications {
            Verifications::Off => VerificationEntries::None,
            Verifications::On => VerificationEntries::Offered,
            Verifications::Required => VerificationEntries::Required,
        },
        refusals: Repeats::of_refusals(),
        readings: Repeats::of_readings(),
        budgets: Budgets {
            quotas: log.clone(),
            limits: RuleLimits {
                per_hour: config.limits.signatures_per_hour,
                per_token: config.limits.signatures_per_token,
            },
        },
        present: Present::default(),
        observed: Quiet::default(),
        index_members: config.limits.index_members,
        longest_request: 2 * config.limits.request_timeout + config.vault.request_timeout,
        wake: Notify::new(),
    };
    let workloads = OidcAuthenticator::start(&config.identity, clock.clone(), &metrics, stopped)
        .map_err(|error| StartError::Issuers(error.to_string()))?;
    let workloads = Arc::new(workloads);
    let audit = audit(config, &log, &workloads, &clock)?;
    let authenticator = CallerAuthenticator {
        tokens: TokenAuthenticator::new(config.identity.tokens.clone(), clock.clone()),
        workloads,
        certificates: trusts_certificates(config)
            .then(|| Arc::new(CertificateAuthenticator::new(clock.clone())) as Arc<dyn Authenticator>),
        metrics: metrics.clone(),
    };
    let api = ApiState::from(ApiParts {
        service: Arc::new(service),
        authenticator: Arc::new(authenticator),
        idempotency: log.clone(),
        notes,
        tiles: Arc::default(),
        clock,
        admission: Admission::new(&config.limits, metrics.clone()),
        metrics,
        ids,
        unauthenticated: Arc::default(),
        turned_away: Arc::default(),
        exports: Arc::new(Semaphore::new(EXPORTS)),
        audit,
        body_bytes: config.limits.body_bytes,
        request_timeout: config.limits.request_timeout,
        batch_items: config.limits.batch_items,
    });
    Ok((Parts { api, log, chronicle, anchor }, keeper))
}

/// Exports at once. Each holds some hundred kilobytes, and a connection for as long as its reader takes.
const EXPORTS: usize = 32;

/// What the auditor's pages need; none where nobody wants them.
fn audit(
    config: &Config,
    log: &Arc<GroupCommitLog>,
    workloads: &Arc<OidcAuthenticator>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<AuditParts>>, StartError> {
    let AuditConfig { enabled, idle_timeout, session_lifetime, login } = &config.audit;
    if !enabled {
        return Ok(None);
    }
    let issuer_of =
        |login: &LoginConfig| config.identity.issuers.iter().find(|issuer| issuer.name == login.issuer);
    let provider = match login.as_ref().and_then(|login| Some((login, issuer_of(login)?))) {
        None => None,
        Some((login, issuer)) => {
            let provider = OidcLogin::new(login, issuer, workloads.clone(), clock.clone());
            let provider = provider.map_err(StartError::Login)?;
            Some(Arc::new(provider) as Arc<dyn LoginProvider>)
        }
    };
    Ok(Some(Arc::new(AuditParts {
        sessions: log.clone(),
        login: provider,
        idle_timeout: *idle_timeout,
        session_lifetime: *session_lifetime,
        public_url: config.http.public_url.clone(),
    })))
}

/// Whether connections may come with a certificate.
fn trusts_certificates(config: &Config) -> bool {
    config.http.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some())
}

fn key_purposes(config: &Config) -> KeyPurposes {
    let names = |purpose| {
        let keys = config.keys.iter().filter(|key| key.is_for(purpose));
        let mut names: Vec<_> = keys.map(|key| key.name.clone()).collect();
        names.sort();
        names
    };
    KeyPurposes {
        images: names(Purpose::Signature),
        attestations: names(Purpose::Attestation),
        blobs: names(Purpose::Blob),
    }
}

/// What has to be durable, and what holds between all who share it.
struct OpenLog {
    log: Arc<GroupCommitLog>,
    shared_locks: Arc<dyn SharedLocks>,
    /// The log's name.
    origin: String,
}

fn open_log(
    config: &Config,
    guard: Guard,
    ids: &dyn IdSource,
    metrics: &Arc<Metrics>,
) -> Result<OpenLog, StartError> {
    let mut opened = store::open(&config.log).map_err(|error| StartError::Log(error.to_string()))?;
    let origin = settle_origin(&mut *opened.store, config, ids)?;
    let log = GroupCommitLog::start(opened.store, guard, metrics.clone());
    let log = log.map_err(|error| StartError::Log(error.to_string()))?;
    Ok(OpenLog { log: Arc::new(log), shared_locks: opened.locks, origin })
}

/// The log's name, which every checkpoint and every proof says: it can not become another.
fn settle_origin(store: &mut dyn Store, config: &Config, ids: &dyn IdSource) -> Result<String, StartError> {
    let wanted = config.log.origin.clone();
    let name = wanted.clone().unwrap_or_else(|| new_origin(config, ids));
    // A store blocks, and this is a thread of the runtime.
    let kept = std::thread::scope(|scope| scope.spawn(|| store.settle_origin(&name)).join());
    let kept = kept.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let kept = kept.map_err(|LogError(reason)| StartError::Log(reason))?;
    match wanted {
        Some(wanted) if wanted != kept => Err(StartError::Log(format!(
            "`log.origin` is {wanted}, and this log began as {kept}, which every proof that was handed out says: write \
             that name, leave the setting out, or begin a new log in another place"
        ))),
        _ => Ok(kept),
    }
}

/// Where the log can be read, as <https://github.com/C2SP/C2SP/blob/main/tlog-tiles.md#parameters> has it; where nobody has
/// said how callers reach us, a name that no other log has.
fn new_origin(config: &Config, ids: &dyn IdSource) -> String {
    let public = config.http.public_url.as_ref().and_then(|url| {
        let host = url.host_str()?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{host}{port}{}/log", url.path().trim_end_matches('/')))
    });
    let fits = |origin: &String| origin.len() <= 255 && !origin.contains('+');
    public.filter(fits).unwrap_or_else(|| format!("signet/{}", ids.request_id()))
}
