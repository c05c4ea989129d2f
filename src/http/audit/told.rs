//! Entries in words.

use super::parts::{Short, When, plain};
use crate::domain::{Alike, AttachResult, Claim, Entry, Event, Outcome, Signing};
use crate::ports::SignatureState;

/// An entry as a row of a table, or a step of a story.
#[derive(Debug, Clone)]
pub struct Told {
    pub index: u64,
    pub when: When,
    pub kind: &'static str,
    /// What happened, in a few words.
    pub what: String,
    /// Whether it went as it should.
    pub tone: Tone,
    pub principal: String,
    pub operation: Option<String>,
    pub repository: Option<String>,
    pub digest: Option<Short>,
    pub key: Option<String>,
    pub rule: Option<String>,
    /// The signature that it speaks of.
    pub signature: Option<String>,
    pub request: Option<String>,
}

/// How something is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Plain,
    Warning,
    Bad,
}

impl Tone {
    /// The class of the style sheet.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Plain => "plain",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

impl Told {
    pub fn of_entry(index: u64, entry: &Entry) -> Self {
        let (what, tone) = what(entry);
        let version = entry.key_version().map(|version| format!(" v{version}")).unwrap_or_default();
        Self {
            index,
            when: When(entry.time),
            kind: entry.kind(),
            what,
            tone,
            principal: plain(&entry.principal),
            operation: entry.operation.map(|operation| operation.to_string()),
            repository: entry.repository().map(|repository| plain(&repository.to_string())),
            digest: entry.subject.as_ref().map(|subject| Short(subject.digest)),
            key: entry.key().map(|key| format!("{key}{version}")),
            rule: entry.rule().map(plain),
            signature: entry.signing().map(|signing| signing.id.to_string()),
            request: entry.request_id.as_ref().map(|id| id.as_str().to_owned()),
        }
    }
}

fn what(entry: &Entry) -> (String, Tone) {
    use Tone::{Bad, Good, Plain, Warning};
    match &entry.event {
        Event::Refusal { count, alike, .. } => {
            let of = match alike {
                Alike::Kind => "",
                Alike::Principal => ", of several sorts",
                Alike::Nothing => ", of several principals",
            };
            match count.get() {
                1 => ("Policy said no".to_owned(), Bad),
                many => (format!("Policy said no, {many} times{of}"), Bad),
            }
        }
        Event::Intent { signing, .. } => (format!("Vault is about to be asked for {}", sort(signing)), Plain),
        Event::Outcome { signing, result: Outcome::Signed { .. } } => {
            (format!("Vault has made {}; it verifies", sort(signing)), Good)
        }
        Event::Outcome { result: Outcome::Failed { code }, .. } => {
            (format!("No signature: {}", plain(code)), Bad)
        }
        Event::Attach { result, .. } => match result {
            AttachResult::Attached { reference, .. } => {
                (format!("Attached at {}, and read back", plain(reference)), Good)
            }
            AttachResult::Failed { code } => {
                (format!("Not attached: {}; it is tried again", plain(code)), Warning)
            }
            AttachResult::Missing { reference } => {
                (format!("Gone from {} when looked at again; it is put back", plain(reference)), Warning)
            }
            AttachResult::GivenUp { code } => (format!("Attaching was given up: {}", plain(code)), Bad),
        },
        Event::Adopted { reference, .. } => {
            (format!("Found at {}, made by somebody else; it verifies", plain(reference)), Good)
        }
        Event::Verification { signed, predicate_type, .. } => {
            let of = predicate_type.as_deref().map(|uri| format!(" ({})", plain(uri))).unwrap_or_default();
            let said = if *signed { "signed" } else { "not signed" };
            (format!("Somebody asked, and was told: {said}{of}"), Plain)
        }
        Event::KeyVersion { .. } => ("A version of a key was seen for the first time".to_owned(), Plain),
        Event::Policy { rules, .. } => (format!("Another policy is in force, with {rules} rules"), Plain),
        Event::PolicyRefused { reason, .. } => {
            (format!("A policy file was refused: {}", plain(reason)), Warning)
        }
        Event::Configuration { changed, .. } if changed.is_empty() => {
            ("The configuration that Signet runs with".to_owned(), Plain)
        }
        Event::Configuration { changed, .. } => {
            (format!("Another configuration: {}", plain(&changed.join(", "))), Plain)
        }
        Event::Start { version, .. } => (format!("Signet {} began to write", plain(version)), Plain),
        Event::Stop { .. } => ("Signet ended in good order".to_owned(), Plain),
        Event::Read { query, count, .. } => (asked("The log was read", count.get(), query), Plain),
        Event::Export { query, first, end, count, .. } => {
            (asked(&format!("Entries {first} to before {end} were exported"), count.get(), query), Plain)
        }
        Event::Archive { end } => (format!("Entries below {end} are in archive files"), Plain),
        Event::AnchorReset { reason, .. } => {
            (format!("An operator took the log for the truth against its anchor: {}", plain(reason)), Warning)
        }
    }
}

fn asked(what: &str, count: u64, query: &std::collections::BTreeMap<String, String>) -> String {
    let often = if count == 1 { String::new() } else { format!(", {count} times") };
    let question: Vec<_> =
        query.iter().map(|(name, value)| format!("{} = {}", plain(name), plain(value))).collect();
    match question.is_empty() {
        true => format!("{what}{often}"),
        false => format!("{what}{often}: {}", question.join(", ")),
    }
}

fn sort(signing: &Signing) -> &'static str {
    match signing.claim {
        Claim::Image => "a signature of an image",
        Claim::Attestation { .. } => "an attestation",
        Claim::Blob { .. } => "a signature of a file",
    }
}

/// A signature's state in a word, and how to look at it.
pub const fn state(state: SignatureState, is_indeterminate: bool) -> (&'static str, Tone) {
    match state {
        SignatureState::Pending if is_indeterminate => ("indeterminate", Tone::Bad),
        SignatureState::Pending => ("pending", Tone::Plain),
        SignatureState::Signed => ("signed", Tone::Warning),
        SignatureState::Attached => ("attached", Tone::Good),
        SignatureState::Missing => ("missing", Tone::Bad),
        SignatureState::GivenUp => ("given up", Tone::Bad),
        SignatureState::Failed => ("failed", Tone::Bad),
    }
}
