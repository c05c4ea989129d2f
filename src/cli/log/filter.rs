//! Which entries, as options: the same question for the API, and for whoever filters by himself.

use clap::Args;

use crate::cli::Failure;
use crate::domain::{Digest, Entry, EntryFilter, Operation, Pattern, Timestamp};

/// Conditions, combined with "and"
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which entries")]
pub(super) struct FilterArgs {
    /// Of the image or file: sha256:…
    #[arg(long, value_name = "DIGEST")]
    digest: Option<Digest>,
    /// With its host: registry.example.com/team/app; * and ** as in policies
    #[arg(long, value_name = "GLOB", value_parser = Pattern::of_repositories)]
    repository: Option<Pattern>,
    /// As entries name it: token:ci
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    #[arg(long, value_name = "N")]
    key_version: Option<u32>,
    /// What the entry tells of: intent, outcome, attach, refusal, …
    #[arg(long, value_name = "KIND", value_parser = Entry::KINDS)]
    kind: Option<String>,
    /// sign, attest, blob, verify or log.read
    #[arg(long, value_name = "NAME", value_parser = operation)]
    operation: Option<Operation>,
    /// The id of the rule that decided
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// The name of one request
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Refusals alone (deny), or everything else (allow)
    #[arg(long, value_name = "allow|deny", value_parser = ["allow", "deny"])]
    decision: Option<String>,
    /// At this moment or later: 2026-03-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Before this moment
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
}

impl FilterArgs {
    pub(super) fn filter(&self) -> EntryFilter {
        EntryFilter {
            digest: self.digest,
            repository: self.repository.clone(),
            principal: self.principal.clone(),
            key: self.key.clone(),
            key_version: self.key_version,
            kind: self.kind.clone(),
            operation: self.operation,
            rule: self.rule.clone(),
            request_id: self.request_id.clone(),
            denied: self.decision.as_deref().map(|decision| decision == "deny"),
            from: self.from,
            to: self.to,
        }
    }

    /// The question as a path of the API, with more parameters behind it.
    pub(super) fn path(&self, more: &[(&str, String)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.filter().words());
        query.extend_pairs(more);
        format!("/v1/log/entries?{}", query.finish())
    }
}

/// One entry, read.
pub(super) fn entry_of(index: u64, bytes: &[u8]) -> Result<Entry, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::could_not_tell(format!(
            "entry {index} is none that this version of the command knows: {error}; a newer one may"
        ))
    })
}

fn operation(name: &str) -> Result<Operation, String> {
    serde_json::from_value(serde_json::Value::String(name.to_owned()))
        .map_err(|_| "an operation is one of sign, attest, blob, verify and log.read".to_owned())
}
