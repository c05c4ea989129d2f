//! Conditions on entries, as query parameters: the same for every resource that is asked for some of the log's entries.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::parameters::{denied, kind, operation, period, query, read_as, repository, text};
use crate::domain::EntryFilter;
use crate::http::ApiState;
use crate::http::problem::Problem;

/// What was asked: which entries, and beside that what the resource itself takes (`P`). A parameter that neither knows, and
/// one that stands there twice, is refused by its name.
pub struct Asked<P> {
    pub filter: FilterParameters,
    pub other: P,
}

/// Conditions, combined with "and".
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FilterParameters {
    /// `sha256:…` of the artifact.
    pub digest: Option<String>,
    /// With its host: `registry.example.com/team/app`; `*` and `**` as in policies.
    pub repository: Option<String>,
    /// As entries name it: `token:ci`.
    pub principal: Option<String>,
    pub key: Option<String>,
    pub key_version: Option<u32>,
    /// `intent`, `outcome`, `attach`, `adopted`, `refusal` and others: what the entry tells of.
    pub kind: Option<String>,
    /// `sign`, `attest`, `blob`, `verify` or `log.read`.
    pub operation: Option<String>,
    /// The id of the rule that decided.
    pub rule: Option<String>,
    /// The name of one request.
    pub request_id: Option<String>,
    /// `allow` or `deny`.
    pub decision: Option<String>,
    /// At this moment or later, RFC 3339.
    pub from: Option<String>,
    /// Before this moment, RFC 3339.
    pub to: Option<String>,
}

impl<P: DeserializeOwned + IntoParams> FromRequestParts<ApiState> for Asked<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        let known: Vec<_> = [FilterParameters::into_params(|| None), P::into_params(|| None)].concat();
        for (name, _) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            if !known.iter().any(|parameter| parameter.name == name) {
                let names: Vec<_> = known.iter().map(|parameter| format!("`{}`", parameter.name)).collect();
                return Err(Problem::invalid(format!(
                    "There is no parameter `{}`; there are {}.",
                    shortened(&name),
                    names.join(", ")
                )));
            }
        }
        let filter = query(Query::try_from_uri(&parts.uri))?;
        let other = query(Query::try_from_uri(&parts.uri))?;
        Ok(Self { filter, other })
    }
}

impl FilterParameters {
    /// What entries have to meet.
    ///
    /// # Errors
    /// Names the parameter that can not be meant.
    pub fn read(&self) -> Result<EntryFilter, Problem> {
        let (from, to) = period(self.from.as_ref(), self.to.as_ref())?;
        Ok(EntryFilter {
            digest: read_as("digest", self.digest.as_ref())?,
            repository: repository(self.repository.as_ref())?,
            principal: text("principal", self.principal.as_ref())?,
            key: text("key", self.key.as_ref())?,
            key_version: self.key_version,
            kind: kind(self.kind.as_ref())?,
            operation: operation(self.operation.as_ref())?,
            rule: text("rule", self.rule.as_ref())?,
            request_id: text("request_id", self.request_id.as_ref())?,
            denied: denied(self.decision.as_ref())?,
            from,
            to,
        })
    }
}

/// As much of a name that nobody knows as an answer shows.
fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(50).collect()
}
