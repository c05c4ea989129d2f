//! The policy that is in force follows its file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Configured, PolicyError, RulePolicy, file};
use crate::domain::{Clock, Digest, Event, Missing, Reach};
use crate::metrics::Metrics;
use crate::ports::{Chronicle, Decision, Explanation, Policy, PolicyState, Question};

/// The rules of a file, as it is now. A file that can not be used keeps the rules before it in force.
#[derive(Debug)]
pub struct ReloadingPolicy {
    current: ArcSwap<RulePolicy>,
    /// Why the file, as it is now, is not in force.
    refused: ArcSwapOption<String>,
}

/// Where the rules come from.
pub struct Source {
    pub file: PathBuf,
    /// How often the file is read. A new content is in force once it was read twice in a row, so after twice this time.
    pub poll: Duration,
    /// What rules can name, for warnings.
    pub configured: Configured,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
}

impl ReloadingPolicy {
    /// Reads the file. What becomes of it later is seen by who follows it.
    ///
    /// # Errors
    /// Where the file can not be used now.
    pub fn load(source: Source) -> Result<(Arc<Self>, Watch), PolicyError> {
        let policy = RulePolicy::load(&source.file)?;
        warn(&policy, &source);
        source.metrics.policy_rules(policy.len());
        let this = Arc::new(Self { current: ArcSwap::from_pointee(policy), refused: ArcSwapOption::empty() });
        let watch = Watch { source: Arc::new(source), policy: this.clone(), pending: None, judged: None };
        Ok((this, watch))
    }
}

impl Policy for ReloadingPolicy {
    fn decide(&self, question: &Question<'_>) -> Decision {
        self.current.load().decide(question)
    }

    fn reach(&self, question: &Question<'_>) -> (Decision, Reach) {
        self.current.load().reach(question)
    }

    fn explain(&self, question: &Question<'_>) -> Explanation {
        self.current.load().explain(question)
    }

    fn nearest(&self, question: &Question<'_>) -> Vec<Missing> {
        self.current.load().nearest(question)
    }

    fn state(&self) -> PolicyState {
        let refused = self.refused.load_full().map(|reason| reason.as_str().to_owned());
        PolicyState { refused, ..self.current.load().state() }
    }
}

/// Who follows the file.
pub struct Watch {
    source: Arc<Source>,
    policy: Arc<ReloadingPolicy>,
    /// What the file had when it was read last, where that is neither in force nor judged.
    pending: Option<Content>,
    /// What was found to be of no use, so that it is said once.
    judged: Option<Content>,
}

/// What a reading of the file brought: the digest of its bytes, or why there are none.
type Content = Result<Digest, String>;

impl Watch {
    /// Follows the file until `stopped`, and tells which policy is in force, from the first one on. The file is read again
    /// and again, whatever the operating system says of it: a mounted `ConfigMap` is changed by another link two folders up,
    /// and a network's file system reports no changes.
    pub async fn follow(mut self, chronicle: Arc<dyn Chronicle>, stopped: CancellationToken) {
        self.tell(&*chronicle, None);
        let mut poll = tokio::time::interval(self.source.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stopped.run_until_cancelled(poll.tick()).await.is_some() {
            let bytes = tokio::fs::read(&self.source.file).await.map_err(|error| error.to_string());
            if stopped.run_until_cancelled(self.look(bytes, &*chronicle)).await.is_none() {
                return;
            }
        }
    }

    async fn look(&mut self, bytes: Result<Vec<u8>, String>, chronicle: &dyn Chronicle) {
        let content = bytes.as_ref().map(|bytes| Digest::of(bytes)).map_err(Clone::clone);
        if content == Ok(self.policy.current.load().digest) {
            self.pending = None;
            self.judged = None;
            if self.policy.refused.swap(None).is_some() {
                tracing::info!("the policy file is again what is in force");
                self.source.metrics.policy_rejected(false);
            }
            return;
        }
        if self.judged.as_ref() == Some(&content) {
            self.pending = None;
            return;
        }
        // Half of a file that is being written can be a policy: one without the deny rules at its end. So it must have come to
        // rest.
        if self.pending.replace(content.clone()).as_ref() != Some(&content) {
            return;
        }
        self.pending = None;
        let source = self.source.clone();
        let read = tokio::task::spawn_blocking(move || {
            let policy = bytes.and_then(|bytes| file::parse(&bytes))?;
            warn(&policy, &source);
            Ok(policy)
        });
        match read.await.unwrap_or_else(|_| Err("it could not be read to its end".to_owned())) {
            Ok(policy) => self.apply(policy, chronicle),
            Err(reason) => self.reject(content, &reason, chronicle),
        }
    }

    fn apply(&mut self, policy: RulePolicy, chronicle: &dyn Chronicle) {
        let (rules, digest, before) = (policy.len(), policy.digest, self.policy.current.load().digest);
        self.policy.current.store(Arc::new(policy));
        self.policy.refused.store(None);
        self.judged = None;
        tracing::info!(rules, %digest, %before, "a new policy is in force");
        self.source.metrics.policy_reloaded("applied");
        self.source.metrics.policy_rejected(false);
        self.source.metrics.policy_rules(rules);
        self.tell(chronicle, Some(before));
    }

    /// Tells what is in force.
    fn tell(&self, chronicle: &dyn Chronicle, previous: Option<Digest>) {
        let PolicyState { digest, rules, .. } = self.policy.current.load().state();
        let instance = Some(chronicle.instance().to_owned());
        chronicle.tell(Event::Policy { digest, previous, rules, instance });
    }

    fn reject(&mut self, content: Content, reason: &str, chronicle: &dyn Chronicle) {
        let problem = PolicyError { path: shown(&self.source.file), reason: reason.to_owned() };
        let in_force = self.policy.current.load().digest;
        tracing::error!(%in_force, "{problem}; the policy before it stays in force");
        self.policy.refused.store(Some(Arc::new(problem.to_string())));
        chronicle.tell(Event::PolicyRefused {
            digest: content.as_ref().ok().copied(),
            in_force,
            reason: unquoted(reason),
            instance: Some(chronicle.instance().to_owned()),
        });
        self.judged = Some(content);
        self.source.metrics.policy_reloaded("rejected");
        self.source.metrics.policy_rejected(true);
    }
}

fn warn(policy: &RulePolicy, source: &Source) {
    for warning in policy.warnings(Some(&source.configured), source.clock.now()) {
        tracing::warn!("policy: {warning}");
    }
}

/// `reason` without what it quotes: the file may be any, one with secrets even, and the log keeps this for years.
fn unquoted(reason: &str) -> String {
    let mut words = String::new();
    let mut quote = None;
    for c in reason.chars() {
        match quote {
            Some(end) if c == end => {
                words.extend(['…', c]);
                quote = None;
            }
            Some(_) => {}
            None => {
                quote = ['"', '`'].into_iter().find(|quote| *quote == c);
                words.push(c);
            }
        }
    }
    words.chars().take(500).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
