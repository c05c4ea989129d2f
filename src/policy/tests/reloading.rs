//! The policy in force follows its file, and only where that is right.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Policy as _, sign, token};
use crate::domain::{Digest, Event, SystemClock};
use crate::metrics::Metrics;
use crate::policy::{Configured, ReloadingPolicy, Source};
use crate::ports::Chronicle;

fn text(id: &str) -> String {
    let rule = "effect: allow, identity: {token: ci}, repositories: [x.y/**], keys: [k]";
    format!("version: 1\nrules:\n  - {{id: {id}, {rule}}}\n")
}

struct Running {
    policy: Arc<ReloadingPolicy>,
    metrics: Arc<Metrics>,
    told: Arc<Told>,
    _stop: DropGuard,
}

/// What would be logged.
#[derive(Default)]
struct Told(Mutex<Vec<Event>>);

impl Chronicle for Told {
    fn tell(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }

    fn instance(&self) -> &'static str {
        "test"
    }
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
    let (policy, watch) = ReloadingPolicy::load(source).unwrap();
    let told = Arc::new(Told::default());
    tokio::spawn(watch.follow(told.clone(), stopped.clone()));
    Running { policy, metrics, told, _stop: stopped.drop_guard() }
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

/// A file with secrets in it may be put in the policy's place.
#[tokio::test]
async fn each_policy_is_told_to_the_log_and_a_refused_one_without_what_it_quotes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.yaml");
    std::fs::write(&file, text("first")).unwrap();
    let running = start(&file);
    let replace = |content: &str| {
        let new = directory.path().join("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, &file).unwrap();
    };
    let events = |running: &Running| running.told.0.lock().unwrap().clone();
    running.until("the first policy is told", |running| events(running).len() == 1).await;
    let secret = "version: 1\nrules: \"hunter2\"\nhunter3: hunter4\n";
    replace(secret);
    running.until("the refusal is told", |running| events(running).len() == 2).await;
    replace(&text("second"));
    running.until("the second policy is told", |running| events(running).len() == 3).await;

    let instance = Some("test".to_owned());
    let [first, second] = ["first", "second"].map(|id| Digest::of(text(id).as_bytes()));
    let of = |digest, previous| Event::Policy { digest, previous, rules: 1, instance: instance.clone() };
    let events = events(&running);
    assert_eq!((&events[0], &events[2]), (&of(first, None), &of(second, Some(first))));
    let Event::PolicyRefused { digest, in_force, reason, .. } = &events[1] else { panic!("{events:?}") };
    assert_eq!((*digest, *in_force), (Some(Digest::of(secret.as_bytes())), first));
    assert!(reason.contains("line") && !reason.contains("hunter"), "{reason}");
}
