//! The policy in force follows its file, and only where that is right.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Policy as _, sign, token};
use crate::domain::SystemClock;
use crate::metrics::Metrics;
use crate::policy::{Configured, ReloadingPolicy, Source};

fn text(id: &str) -> String {
    let rule = "effect: allow, identity: {token: ci}, repositories: [x.y/**], keys: [k]";
    format!("version: 1\nrules:\n  - {{id: {id}, {rule}}}\n")
}

struct Running {
    policy: Arc<ReloadingPolicy>,
    metrics: Arc<Metrics>,
    _stop: DropGuard,
}

fn start(file: &Path) -> Running {
    let (stopped, metrics) = (CancellationToken::new(), Arc::new(Metrics::new()));
    let source = Source {
        file: file.to_owned(),
        poll: Duration::from_millis(5),
        configured: Configured::default(),
        clock: Arc::new(SystemClock),
        metrics: metrics.clone(),
    };
    let policy = ReloadingPolicy::start(source, stopped.clone()).unwrap();
    Running { policy, metrics, _stop: stopped.drop_guard() }
}

impl Running {
    fn rule(&self) -> Option<String> {
        self.policy.decide(&sign(&token("ci"))).ruling.rule
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            let mut pause = tokio::time::interval(Duration::from_millis(2));
            while !holds(self) {
                pause.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect(what);
    }
}

#[tokio::test]
async fn a_new_file_is_taken_and_a_bad_one_keeps_the_old_in_force_until_it_is_right() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.yaml");
    let write = |text: &str| {
        let new = directory.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &file).unwrap();
    };
    write(&text("one"));
    let running = start(&file);
    assert_eq!(running.rule().as_deref(), Some("one"));
    let before = running.policy.state().digest;
    write(&text("two"));
    running.until("the new rules are in force", |now| now.rule().as_deref() == Some("two")).await;
    assert_ne!(running.policy.state().digest, before);

    write("version: 1\nrules:\n  - {id: three, efect: allow}\n");
    running.until("the bad file is refused", |now| now.policy.state().refused.is_some()).await;
    let refused = running.policy.state().refused.unwrap();
    for part in ["policy.yaml", "did you mean \"effect\"?", "line 3"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(running.rule().as_deref(), Some("two"));
    assert!(running.metrics.encode().contains("signet_policy_rejected 1"));

    write(&text("two"));
    running.until("the old content heals it", |now| now.policy.state().refused.is_none()).await;
    std::fs::remove_file(&file).unwrap();
    running.until("a file that is gone is refused", |now| now.policy.state().refused.is_some()).await;
    write(&text("four"));
    running.until("a new content heals it", |now| now.rule().as_deref() == Some("four")).await;
    assert_eq!(running.policy.state().refused, None);
    let metrics = running.metrics.encode();
    for line in [
        "signet_policy_rejected 0",
        "signet_policy_rules 1",
        "signet_policy_reloads_total{outcome=\"applied\"} 2",
        "signet_policy_reloads_total{outcome=\"rejected\"} 2",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}
