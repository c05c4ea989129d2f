//! What Signet counts, in the OpenMetrics text format. A leaf: every room may count, nobody here knows a room.

use std::fmt::Write as _;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// All counters of one Signet. Labels are of bounded number: routes, configured hosts, names of
/// operations; never anything that a caller chooses.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    http: Calls<HttpLabels>,
    vault: Calls<VaultLabels>,
    registries: Calls<RegistryLabels>,
    batch: Histogram,
    token_expires: Gauge,
    commits: Histogram,
    commit_entries: Counter,
    index_steps: Histogram,
    index_entries: Counter,
    index_behind: Gauge,
    clock_behind: Gauge,
    refusals_dropped: Counter,
    checkpoints: Histogram,
    checkpoints_failed: Counter,
    checkpoint_size: Gauge,
    checkpoint_time: Gauge,
    offers_dropped: Counter,
    push_lag: Family<PushLabels, Gauge>,
    pushed: Family<PushLabels, Counter>,
    push_failures: Family<PushLabels, Counter>,
    decisions: Family<DecisionLabels, Counter>,
    observed: Family<RuleLabels, Counter>,
    rate_limited: Counter,
    deliveries: Family<OutcomeLabels, Counter>,
    outbox: Family<StageLabels, Gauge>,
    certificate_expires: Gauge,
    certificate_refused: Gauge,
    handshakes_failed: Counter,
    authentications: Family<AuthenticationLabels, Counter>,
    key_sets: Family<KeySetLabels, Counter>,
    policy_rejected: Gauge,
    policy_rules: Gauge,
    policy_reloads: Family<OutcomeLabels, Counter>,
    /// Signatures that wait for a call to Vault.
    pub signing_queue: Gauge,
    /// Requests that are being worked on.
    pub in_flight: Gauge,
    /// Requests that wait for their turn.
    pub waiting: Gauge,
}

/// How many, and how long each took.
#[derive(Debug, Clone)]
struct Calls<L: Clone + std::hash::Hash + Eq> {
    total: Family<L, Counter>,
    seconds: Family<L, Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HttpLabels {
    route: String,
    method: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VaultLabels {
    operation: &'static str,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RegistryLabels {
    host: String,
    operation: &'static str,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    operation: String,
    decision: &'static str,
}

/// Receivers are named in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabels {
    receiver: String,
}

/// Rules are named in a file of the operators.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuthenticationLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeySetLabels {
    issuer: String,
    outcome: &'static str,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("signet");
        let http = Calls::register(&mut registry, "http_requests", "Requests to the API");
        let vault = Calls::register(&mut registry, "vault_calls", "Calls to Vault");
        let registries = Calls::register(&mut registry, "registry_calls", "Calls to registries");
        let batch = Histogram::new(exponential_buckets(1.0, 2.0, 11));
        registry.register("vault_batch_items", "Signatures that shared one call to Vault", batch.clone());
        let token_expires = Gauge::default();
        registry.register_with_unit(
            "vault_token_expires",
            "When the token for Vault expires, in Unix time; 0 where it does not, and where there is none",
            Unit::Seconds,
            token_expires.clone(),
        );
        let commits = seconds();
        registry.register_with_unit(
            "log_commit",
            "Time of one durable commit",
            Unit::Seconds,
            commits.clone(),
        );
        let commit_entries = Counter::default();
        registry.register("log_entries", "Entries that were made durable", commit_entries.clone());
        let index_steps = seconds();
        registry.register_with_unit(
            "log_index_step",
            "Time in which some entries were added to the search index",
            Unit::Seconds,
            index_steps.clone(),
        );
        let index_entries = Counter::default();
        registry.register(
            "log_index_entries",
            "Entries that this process added to the search index",
            index_entries.clone(),
        );
        let clock_behind = Gauge::default();
        registry.register_with_unit(
            "log_clock_behind",
            "How far the times of the newest entries are behind those of earlier ones",
            Unit::Seconds,
            clock_behind.clone(),
        );
        let index_behind = Gauge::default();
        registry.register(
            "log_index_behind",
            "Entries of the log that the search index does not know yet",
            index_behind.clone(),
        );
        let refusals_dropped = Counter::default();
        registry.register(
            "log_refusals_dropped",
            "Refusals that were not logged because the log was busy",
            refusals_dropped.clone(),
        );
        let checkpoints = seconds();
        registry.register_with_unit(
            "log_checkpoint",
            "Time of having one checkpoint of the log signed",
            Unit::Seconds,
            checkpoints.clone(),
        );
        let checkpoints_failed = Counter::default();
        registry.register(
            "log_checkpoints_failed",
            "Times that no checkpoint of the log could be published",
            checkpoints_failed.clone(),
        );
        let checkpoint_size = Gauge::default();
        registry.register(
            "log_checkpoint_entries",
            "Entries that the newest checkpoint covers",
            checkpoint_size.clone(),
        );
        let checkpoint_time = Gauge::default();
        registry.register_with_unit(
            "log_checkpoint_published",
            "When the newest checkpoint was published, in Unix time; 0 before the first",
            Unit::Seconds,
            checkpoint_time.clone(),
        );
        let offers_dropped = Counter::default();
        registry.register(
            "log_offers_dropped",
            "Entries about reading and verifying that were not logged because the log was busy",
            offers_dropped.clone(),
        );
        let push_lag = Family::default();
        registry.register(
            "log_push_lag",
            "Entries that a receiver has not acknowledged yet",
            push_lag.clone(),
        );
        let pushed = Family::default();
        registry.register("log_push_entries", "Entries that a receiver has acknowledged", pushed.clone());
        let push_failures = Family::default();
        registry.register(
            "log_push_failures",
            "Batches that a receiver did not acknowledge, and that are sent again",
            push_failures.clone(),
        );
        let decisions = Family::default();
        registry.register("policy_decisions", "Decisions of the policy", decisions.clone());
        let observed = Family::default();
        registry.register(
            "policy_observed",
            "Decisions that a rule would have changed, and the rule only observes",
            observed.clone(),
        );
        let rate_limited = Counter::default();
        registry.register(
            "rate_limited",
            "Requests that were refused because a budget of signatures did not reach",
            rate_limited.clone(),
        );
        let deliveries = Family::default();
        registry.register("deliveries", "Signatures on their way to registries", deliveries.clone());
        let outbox = Family::default();
        registry.register("outbox", "Signatures that wait in the outbox", outbox.clone());
        let certificate_expires = Gauge::default();
        registry.register_with_unit(
            "tls_certificate_expires",
            "When the certificate of the listeners expires, in Unix time; 0 without TLS",
            Unit::Seconds,
            certificate_expires.clone(),
        );
        let certificate_refused = Gauge::default();
        registry.register(
            "tls_reload_refused",
            "1 while the files of [http.tls] can not be used and what was read before stays in force",
            certificate_refused.clone(),
        );
        let handshakes_failed = Counter::default();
        registry.register(
            "tls_handshakes_failed",
            "Connections that ended before TLS was agreed on",
            handshakes_failed.clone(),
        );
        let authentications = Family::default();
        registry.register("authentications", "Callers who showed who they are", authentications.clone());
        let key_sets = Family::default();
        registry.register(
            "issuer_key_refreshes",
            "Times that an issuer's keys were looked for",
            key_sets.clone(),
        );
        let policy_rejected = Gauge::default();
        let help = "1 while the policy file can not be used and the one before it stays in force";
        registry.register("policy_rejected", help, policy_rejected.clone());
        let policy_rules = Gauge::default();
        registry.register("policy_rules", "Rules that are in force", policy_rules.clone());
        let policy_reloads = Family::default();
        registry.register("policy_reloads", "New contents of the policy file", policy_reloads.clone());
        let signing_queue = Gauge::default();
        registry.register("signing_queue", "Signatures that wait for a call to Vault", signing_queue.clone());
        let in_flight = Gauge::default();
        registry.register("requests_in_flight", "Requests that are being worked on", in_flight.clone());
        let waiting = Gauge::default();
        registry.register("requests_waiting", "Requests that wait for their turn", waiting.clone());
        Self {
            registry,
            http,
            vault,
            registries,
            batch,
            token_expires,
            commits,
            commit_entries,
            index_steps,
            index_entries,
            index_behind,
            clock_behind,
            refusals_dropped,
            checkpoints,
            checkpoints_failed,
            checkpoint_size,
            checkpoint_time,
            offers_dropped,
            push_lag,
            pushed,
            push_failures,
            decisions,
            observed,
            rate_limited,
            deliveries,
            outbox,
            certificate_expires,
            certificate_refused,
            handshakes_failed,
            authentications,
            key_sets,
            policy_rejected,
            policy_rules,
            policy_reloads,
            signing_queue,
            in_flight,
            waiting,
        }
    }

    /// A request to the API was answered. `route` is the pattern, not the path.
    pub fn http_request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let labels = HttpLabels { route: route.to_owned(), method: method.to_owned(), status };
        self.http.count(labels, took);
    }

    /// Vault answered with a status, or not (`outcome` is then `timeout` or `unreachable`).
    pub fn vault_call(&self, operation: &'static str, outcome: impl ToString, took: Duration) {
        self.vault.count(VaultLabels { operation, outcome: outcome.to_string() }, took);
    }

    /// A registry answered with a status, or not. `host` is a configured one.
    pub fn registry_call(&self, host: &str, operation: &'static str, outcome: impl ToString, took: Duration) {
        let labels = RegistryLabels { host: host.to_owned(), operation, outcome: outcome.to_string() };
        self.registries.count(labels, took);
    }

    /// `items` signatures went to Vault in one call.
    #[expect(clippy::cast_precision_loss, reason = "batches are far below 2^52")]
    pub fn vault_batch(&self, items: usize) {
        self.batch.observe(items as f64);
    }

    /// The token for Vault expires `at`, in Unix time; none where it does not, and where there is none.
    pub fn vault_token_expires(&self, at: Option<i64>) {
        self.token_expires.set(at.unwrap_or(0));
    }

    /// `entries` entries were made durable together.
    pub fn log_commit(&self, entries: usize, took: Duration) {
        self.commits.observe(took.as_secs_f64());
        self.commit_entries.inc_by(entries as u64);
    }

    /// The search index was looked after: of `log_size` entries it has the first `indexed`, `added` of them since before.
    pub fn search_index(&self, log_size: u64, indexed: u64, added: u64, took: Duration) {
        self.index_behind.set(log_size.saturating_sub(indexed).cast_signed());
        if added > 0 {
            self.index_steps.observe(took.as_secs_f64());
            self.index_entries.inc_by(added);
        }
    }

    /// So many refusals are not in the log.
    pub fn refusals_dropped(&self, count: u64) {
        self.refusals_dropped.inc_by(count);
    }

    /// The newest entries are so much older than one before them.
    pub fn log_clock_behind(&self, behind: Duration) {
        self.clock_behind.set(behind.as_secs().try_into().unwrap_or(i64::MAX));
    }

    /// The log's key has signed a checkpoint.
    pub fn checkpoint_signed(&self, took: Duration) {
        self.checkpoints.observe(took.as_secs_f64());
    }

    /// No checkpoint came of an attempt.
    pub fn checkpoint_failed(&self) {
        self.checkpoints_failed.inc();
    }

    /// The newest checkpoint covers `size` entries, from `at` on, in Unix time.
    pub fn checkpoint_published(&self, size: u64, at: i64) {
        self.checkpoint_size.set(size.try_into().unwrap_or(i64::MAX));
        self.checkpoint_time.set(at);
    }

    /// So many entries are not in the log of which nobody's answer depended.
    pub fn offers_dropped(&self, count: u64) {
        self.offers_dropped.inc_by(count);
    }

    /// A receiver of the log is so many entries behind.
    pub fn push_lag(&self, receiver: &str, entries: u64) {
        let labels = PushLabels { receiver: receiver.to_owned() };
        self.push_lag.get_or_create(&labels).set(entries.try_into().unwrap_or(i64::MAX));
    }

    /// A receiver of the log has acknowledged `entries`, or none of a batch.
    pub fn pushed(&self, receiver: &str, entries: Option<usize>) {
        let labels = PushLabels { receiver: receiver.to_owned() };
        match entries {
            Some(entries) => drop(self.pushed.get_or_create(&labels).inc_by(entries as u64)),
            None => drop(self.push_failures.get_or_create(&labels).inc()),
        }
    }

    /// Policy allowed or denied something.
    pub fn policy_decision(&self, operation: &impl ToString, allowed: bool) {
        let decision = if allowed { "allow" } else { "deny" };
        self.decisions.get_or_create(&DecisionLabels { operation: operation.to_string(), decision }).inc();
    }

    /// `rule`, which only observes, would have decided otherwise.
    pub fn policy_observed(&self, rule: &str) {
        self.observed.get_or_create(&RuleLabels { rule: rule.to_owned() }).inc();
    }

    /// A budget of signatures did not reach.
    pub fn rate_limited(&self) {
        self.rate_limited.inc();
    }

    /// Something became of a delivery: `attached` or `failed` by the outbox, `given_up`, `seen` when it was looked at
    /// again, or `missing` then.
    pub fn delivery(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// So many deliveries wait to be attached, and to be looked at again.
    pub fn outbox(&self, attach: u64, look_again: u64) {
        let count = |stage, number: u64| {
            let labels = StageLabels { stage };
            self.outbox.get_or_create(&labels).set(number.try_into().unwrap_or(i64::MAX));
        };
        count("attach", attach);
        count("look_again", look_again);
    }

    /// The listeners show a certificate that expires `at`, in Unix time, and what the files hold now is just that.
    pub fn certificate_in_force(&self, at: i64) {
        self.certificate_expires.set(at);
        self.certificate_refused.set(0);
    }

    /// The files hold something that can not be used.
    pub fn certificate_refused(&self) {
        self.certificate_refused.set(1);
    }

    pub fn handshake_failed(&self) {
        self.handshakes_failed.inc();
    }

    /// Somebody showed who they are: with a `token` of the configuration, as a `workload` with the token of an issuer, or with a
    /// `certificate`; `nothing` where nothing was shown. `accepted` or `refused`.
    pub fn authentication(&self, kind: &'static str, outcome: &'static str) {
        self.authentications.get_or_create(&AuthenticationLabels { kind, outcome }).inc();
    }

    /// The keys of a configured issuer were looked for: there were `new` ones, the `same`, or it `failed`.
    pub fn key_set_refresh(&self, issuer: &str, outcome: &'static str) {
        self.key_sets.get_or_create(&KeySetLabels { issuer: issuer.to_owned(), outcome }).inc();
    }

    /// Whether the policy file, as it is now, can not be used.
    pub fn policy_rejected(&self, rejected: bool) {
        self.policy_rejected.set(rejected.into());
    }

    /// So many rules are in force.
    pub fn policy_rules(&self, rules: usize) {
        self.policy_rules.set(rules.try_into().unwrap_or(i64::MAX));
    }

    /// A new content of the policy file was `applied` or `rejected`.
    pub fn policy_reloaded(&self, outcome: &'static str) {
        self.policy_reloads.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Everything, as `application/openmetrics-text; version=1.0.0`.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            let _ = writeln!(text, "# not complete");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl<L> Calls<L>
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static,
{
    fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let calls = Self { total: Family::default(), seconds: Family::new_with_constructor(seconds) };
        registry.register(name, help, calls.total.clone());
        registry.register_with_unit(
            format!("{name}_duration"),
            format!("{help}: how long each took"),
            Unit::Seconds,
            calls.seconds.clone(),
        );
        calls
    }

    fn count(&self, labels: L, took: Duration) {
        self.total.get_or_create(&labels).inc();
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// From a quarter of a millisecond to 16 seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 17))
}
