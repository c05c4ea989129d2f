//! A month of a shop's log, told by a seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use signet::domain::{
    Annotations, AttachResult, BatchId, Claim, Digest, Entry, Event, Format, KeyName, KeyReference,
    MatchedClaims, Missing, Operation, Outcome, RequestId, Ruling, SignatureId, Signing, Subject, Timestamp,
};
use signet::ports::ArchivedVersion;
use uuid::Uuid;

/// A key's versions, the oldest first.
pub struct KeyLife {
    pub versions: Vec<ArchivedVersion>,
}

/// A project and how often it signs, among all.
struct Project {
    repository: &'static str,
    id: &'static str,
    rule: &'static str,
    /// Of the keys.
    key: usize,
    share: u32,
}

const PROJECTS: [Project; 8] = [
    project("payments/api", "4711", "payments-release", 0, 24),
    project("web/storefront", "4802", "web-release", 0, 21),
    project("payments/ledger", "4711", "payments-release", 0, 14),
    project("web/checkout", "4802", "web-release", 0, 12),
    project("mobile/backend", "5120", "mobile-release", 1, 9),
    project("payments/fraud-scoring", "4711", "payments-release", 0, 8),
    project("web/search", "4802", "web-release", 0, 7),
    project("mobile/push-gateway", "5120", "mobile-release", 1, 5),
];

const DAYS: i64 = 30;

const fn project(
    repository: &'static str,
    id: &'static str,
    rule: &'static str,
    key: usize,
    share: u32,
) -> Project {
    Project { repository, id, rule, key, share }
}

/// So many days before.
pub fn ago(now: Timestamp, days: i64) -> Timestamp {
    now.checked_sub(Duration::from_secs(u64::try_from(days).unwrap_or_default() * 24 * 3600))
        .unwrap_or_default()
}

/// Its entries, the oldest first. The last one is some minutes old.
pub fn month(lives: &[KeyLife], policy: Digest, now: Timestamp) -> Vec<Entry> {
    let mut writer = Writer { lives, policy, random: StdRng::seed_from_u64(8), entries: Vec::new() };
    writer.service(
        ago(now, DAYS),
        Event::Start { version: env!("CARGO_PKG_VERSION").to_owned(), instance: "signet-0".to_owned() },
    );
    writer
        .service(ago(now, DAYS), Event::Policy { digest: policy, previous: None, rules: 5, instance: None });
    for day in (0..DAYS).rev() {
        writer.day(now, day);
    }
    writer.entries.sort_by_key(|entry| entry.time);
    writer.entries
}

struct Writer<'a> {
    lives: &'a [KeyLife],
    policy: Digest,
    random: StdRng,
    entries: Vec<Entry>,
}

impl Writer<'_> {
    fn service(&mut self, time: Timestamp, event: Event) {
        self.entries.push(Entry::of_service(time, event));
    }

    /// All that happened `day` days ago.
    fn day(&mut self, now: Timestamp, day: i64) {
        let is_weekend = ago(now, day).strftime("%u").to_string().as_str() >= "6";
        let signatures =
            if is_weekend { self.random.random_range(4..11) } else { self.random.random_range(38..72) };
        for _ in 0..signatures {
            let time = self.moment(now, day);
            let project = self.project();
            // Bad luck comes with the days: Vault was sealed once, and a registry was full.
            let luck = match (day, self.random.random_range(0..400)) {
                (11, 0..60) => Luck::Sealed,
                (3, 0..20) => Luck::GivenUp,
                (_, 0) => Luck::Missing,
                _ => Luck::Good,
            };
            self.signature(time, project, luck);
        }
        let refusals = match day {
            8 => 19,
            _ if is_weekend => 0,
            _ => self.random.random_range(0..6),
        };
        for _ in 0..refusals {
            let time = self.moment(now, day);
            self.refusal(time);
        }
    }

    /// Within the day that ended `day` days ago.
    fn moment(&mut self, now: Timestamp, day: i64) -> Timestamp {
        let second = self.random.random_range(600..86_000);
        ago(now, day).checked_sub(Duration::from_secs(second)).unwrap_or_default()
    }

    fn project(&mut self) -> &'static Project {
        let mut place = self.random.random_range(0..PROJECTS.iter().map(|project| project.share).sum());
        let found = PROJECTS.iter().find(|project| {
            let is_here = place < project.share;
            place = place.saturating_sub(project.share);
            is_here
        });
        found.expect("the shares are those of all")
    }

    fn signature(&mut self, time: Timestamp, project: &Project, luck: Luck) {
        let digest = Digest::of(&self.random.random::<[u8; 16]>());
        self.signed(time, project, digest, luck);
        // Some are signed again, after the key has a new version.
        let mut versions = self.lives[project.key].versions.iter().map(|version| version.created_at);
        let Some(later) = versions.find(|made| *made > time) else { return };
        let again = later.checked_add(Duration::from_secs(self.random.random_range(3600..90_000)));
        if self.random.random_bool(0.4)
            && let Ok(again) = again
        {
            self.signed(again, project, digest, Luck::Good);
        }
    }

    fn signed(&mut self, time: Timestamp, project: &Project, digest: Digest, luck: Luck) {
        let signing = self.signing(time, project);
        let batch: BatchId = text(&Uuid::from_bytes(self.random.random()).to_string());
        let repository = format!("registry.example.com/{}", project.repository);
        let subject = Subject { repository: Some(repository.parse().expect("a repository")), digest };
        let head = self.head(time, project, Operation::Sign, subject);
        let intent = head.followed_by(time, Event::Intent { signing: signing.clone(), batch });
        let at = |milliseconds| time.checked_add(Duration::from_millis(milliseconds)).unwrap_or_default();
        let took = self.random.random_range(9..60);
        let outcome = match luck {
            Luck::Sealed => Outcome::Failed { code: "vault-sealed".to_owned() },
            _ => Outcome::Signed {
                batch,
                signature: self.random.random::<[u8; 32]>().repeat(2),
                signed_at: at(took),
                vault_request_id: Some(Uuid::from_bytes(self.random.random()).to_string()),
            },
        };
        let reference = format!("{repository}:sha256-{}.sig", digest.hex());
        let manifest = Digest::of(reference.as_bytes());
        let outcome =
            intent.followed_by(at(took), Event::Outcome { signing: signing.clone(), result: outcome });
        let attach =
            |after, result| intent.followed_by(at(after), Event::Attach { signing: signing.clone(), result });
        let mut attached = Vec::new();
        match luck {
            Luck::Sealed => {}
            Luck::GivenUp => attached
                .push(attach(took + 7_200_000, AttachResult::GivenUp { code: "registry-denied".to_owned() })),
            Luck::Good | Luck::Missing => {
                attached.push(attach(
                    took + 80,
                    AttachResult::Attached { reference: reference.clone(), manifest },
                ));
            }
        }
        if matches!(luck, Luck::Missing) {
            attached.push(attach(took + 600_000, AttachResult::Missing { reference }));
        }
        self.entries.extend([intent, outcome]);
        self.entries.extend(attached);
    }

    fn signing(&mut self, time: Timestamp, project: &Project) -> Signing {
        let life = &self.lives[project.key];
        let version =
            life.versions.iter().rev().find(|version| version.created_at <= time).expect("older ones");
        // Ordered by time, as the service's own (RFC 9562, version 7).
        let mut id: [u8; 16] = self.random.random();
        let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or_default();
        id[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
        (id[6], id[8]) = (id[6] & 0x0f | 0x70, id[8] & 0x3f | 0x80);
        Signing {
            id: SignatureId::from_bytes(id),
            key: KeyReference {
                name: version.key.clone(),
                version: version.version,
                fingerprint: version.public_key.fingerprint(),
            },
            format: Format::Cosign,
            annotations: Annotations::default(),
            claim: Claim::Image,
            payload: Digest::of(&id),
        }
    }

    fn refusal(&mut self, time: Timestamp) {
        let project = self.project();
        let repository = format!("registry.example.com/{}", project.repository);
        let digest = Digest::of(&self.random.random::<[u8; 16]>());
        let subject = Subject { repository: Some(repository.parse().expect("a repository")), digest };
        let mut head = self.head(time, project, Operation::Sign, subject);
        let condition = match self.random.random_range(0..3) {
            0 => "identity.claims.ref_protected: the token says \"false\", the rule wants \"true\"",
            1 => {
                "identity.globs.ref_path: the token says \"refs/heads/main\", the rule wants what fits \"refs/tags/v*\""
            }
            _ => {
                "identity.claims.pipeline_source: the token says \"merge_request_event\", the rule wants \"push\" or \"web\""
            }
        };
        if let Some(ruling) = &mut head.ruling {
            (ruling.rule, ruling.claims) = (None, MatchedClaims::default().into());
        }
        let missing = vec![Missing { rule: project.rule.to_owned(), condition: condition.to_owned() }];
        let key: KeyName = self.lives[project.key].versions[0].key.clone();
        self.entries.push(head.followed_by(time, Event::refusal(Some(key), missing)));
    }

    fn head(&mut self, time: Timestamp, project: &Project, operation: Operation, subject: Subject) -> Entry {
        let claim = |name: &str, value: &str| (name.to_owned(), Value::from(value));
        let release = format!("refs/tags/v2.{}.0", self.random.random_range(10..31));
        let claims = MatchedClaims::from([
            claim("pipeline_source", "push"),
            claim("project_id", project.id),
            claim("ref_path", &release),
            claim("ref_protected", "true"),
        ]);
        let request = format!("req-{}", hex::encode(self.random.random::<[u8; 8]>()));
        Entry {
            v: Entry::VERSION,
            time,
            request_id: RequestId::from_caller(&request),
            principal: format!("oidc:gitlab:{}", project.id),
            operation: Some(operation),
            subject: Some(subject),
            ruling: Some(Ruling {
                rule: Some(project.rule.to_owned()),
                policy: self.policy,
                claims: claims.into(),
            }),
            event: Event::Stop { instance: String::new() },
        }
    }
}

/// How a signature ends.
#[derive(Clone, Copy)]
enum Luck {
    Good,
    Sealed,
    GivenUp,
    Missing,
}

fn text<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_value(text.into()).expect("a name")
}
