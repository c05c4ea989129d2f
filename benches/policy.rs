//! How long a decision takes with ten thousand rules, without a cache of decisions:
//! `cargo bench --bench policy`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use signet::domain::{
    Annotations, Digest, Format, KeyName, Operation, Principal, Repository, Timestamp, Workload,
};
use signet::policy::RulePolicy;
use signet::ports::{Policy as _, Question};

const RULES: usize = 10_000;
const DECISIONS: usize = 200_000;

fn main() {
    println!("{RULES} rules, a token of 50 claims, {DECISIONS} decisions each");
    println!("{:<44} {:>9} {:>9} {:>9} {:>9}", "", "min", "median", "p99", "p99.9");
    measure(
        "distinct issuers, claims and globs",
        |n| rule(&format!("issuer-{n}"), n, ""),
        |n| format!("issuer-{n}"),
    );
    measure("one issuer, distinct project_id", |n| rule("gitlab", n, ""), |_| "gitlab".to_owned());
    let condition = "    condition: claims.claim17.startsWith('value') && 'b' in claims.groups\n";
    measure(
        "one issuer, distinct project_id, with CEL",
        |n| rule("gitlab", n, condition),
        |_| "gitlab".to_owned(),
    );
}

/// Decides for jobs of all projects in turn, with the format open, as the first question of a request has it.
fn measure(name: &str, rule: impl Fn(usize) -> String, issuer: impl Fn(usize) -> String) {
    let mut text = "version: 1\nrules:\n".to_owned();
    for n in 0..RULES {
        text.push_str(&rule(n));
    }
    let read = Instant::now();
    let policy = RulePolicy::parse(text.as_bytes()).expect("the rules are right");
    let read = read.elapsed();
    let key: KeyName = "release".parse().expect("a key");
    let annotations = Annotations::default();
    let jobs: Vec<_> =
        (0..1000).map(|n| n * (RULES / 1000) + n % 10).map(|n| (job(&issuer(n), n), repository(n))).collect();
    let mut times: Vec<Duration> = Vec::with_capacity(DECISIONS);
    for decision in 0..DECISIONS {
        // Every second job asks for a repository of another.
        let (principal, own) = &jobs[decision % jobs.len()];
        let (repository, allowed) = match decision % 2 {
            0 => (own, true),
            _ => (&jobs[(decision + 1) % jobs.len()].1, false),
        };
        let question = Question {
            repository: Some(repository),
            digest: Some(Digest::of(b"image")),
            key: Some(&key),
            format: (decision % 4 < 2).then_some(Format::Cosign),
            annotations: Some(&annotations),
            ..Question::new(principal, Operation::Sign, Timestamp::UNIX_EPOCH)
        };
        let start = Instant::now();
        let decided = policy.decide(&question);
        times.push(start.elapsed());
        assert_eq!(decided.allowed, allowed);
    }
    times.sort_unstable();
    let at = |share: f64| micros(times[(times.len() as f64 * share) as usize]);
    println!(
        "{name:<44} {:>9} {:>9} {:>9} {:>9}   (read in {read:.0?})",
        at(0.0),
        at(0.5),
        at(0.99),
        at(0.999)
    );
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

fn repository(n: usize) -> Repository {
    format!("registry.example.com/team-{n}/app").parse().expect("a repository")
}

fn rule(issuer: &str, n: usize, condition: &str) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "  - id: rule-{n}
    effect: allow
    identity:
      issuer: {issuer}
      claims: {{project_id: \"{n}\", ref_protected: \"true\", pipeline_source: [push, web], kubernetes.io: {{namespace: ci}}}}
      globs: {{ref_path: \"refs/tags/v*\", project_path: \"team-{n}/**\"}}
    repositories: [\"registry.example.com/team-{n}/**\"]
    keys: [release]
{condition}"
    );
    text
}

/// A job of the project with this number: a token of 50 claims.
fn job(issuer: &str, n: usize) -> Principal {
    let mut claims = Map::new();
    let known = json!({
        "project_id": n.to_string(), "ref_protected": "true", "pipeline_source": "push", "kubernetes.io": {"namespace": "ci"},
        "ref_path": "refs/tags/v1.2.3", "project_path": format!("team-{n}/app"), "groups": ["a", "b", "c"],
    });
    claims.extend(known.as_object().cloned().unwrap_or_default());
    claims.extend(
        (claims.len()..50)
            .map(|n| (format!("claim{n:02}"), Value::from(format!("value of the claim number {n}")))),
    );
    Principal::Workload(Arc::new(Workload {
        issuer: issuer.to_owned(),
        name: format!("project_path:team-{n}/app"),
        claims,
        token: Digest::of(&n.to_be_bytes()),
        expires: Timestamp::MAX,
    }))
}
