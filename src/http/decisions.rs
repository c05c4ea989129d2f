//! `/v1/policy/decisions`: what policy would say.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::ApiState;
use super::body::LargeBody;
use super::problem::{Problem, ProblemBody};
use super::signatures::{format, key};
use crate::domain::{
    Annotations, Certificate, Claims, Digest, ImageReference, Operation, Principal, Timestamp, Workload,
};
use crate::ports::{Decision, RuleVerdict};
use crate::service::{About, Caller, DecisionRequest, Explained, ServiceError};

/// What somebody would do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionQuestion {
    /// `sign`, `attest`, `blob`, `verify`, `log.read` or `policy.explain`.
    #[serde(default = "sign")]
    #[schema(value_type = String, default = "sign")]
    operation: Operation,
    /// The image by its digest; for `sign`, `attest` and `verify`, and for `log.read` of its repository: without one, that is of the
    /// whole log.
    #[schema(
        example = "registry.example.com/team/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    image: Option<String>,
    /// Left out: whether there is a key with which it is allowed.
    #[schema(example = "release")]
    key: Option<String>,
    /// `cosign` or `bundle`. Left out: whether it is allowed in one of them.
    format: Option<String>,
    /// A short name such as `spdx`, or a URI; for `attest` and `verify`.
    predicate_type: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// Left out: the caller. About others, only who may use `policy.explain` can ask.
    principal: Option<DecisionPrincipal>,
}

/// Somebody: by `token`, by `issuer` and `claims`, or by `certificate`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionPrincipal {
    /// The name of one of `[[identity.tokens]]`.
    token: Option<String>,
    /// The name of one of the issuers of the configuration.
    issuer: Option<String>,
    /// Of the issuer's token.
    #[schema(value_type = Option<Object>)]
    claims: Option<Claims>,
    /// What the issuer calls the workload. Default: the claim `sub`.
    name: Option<String>,
    /// What a client certificate says: `spiffe_id`, `common_name` and so on.
    #[schema(value_type = Option<Object>)]
    certificate: Option<Claims>,
}

/// What policy says.
#[derive(Serialize, ToSchema)]
pub struct DecisionBody {
    /// `allow` or `deny`.
    #[schema(example = "allow")]
    decision: &'static str,
    /// The rule that decided. None where no rule spoke, which is a denial.
    rule: Option<String>,
    /// The decision as a sentence.
    #[schema(example = "The rule `payments` allows it.")]
    reason: String,
    /// SHA-256 of the policy file that is in force.
    policy: String,
    /// How often the rule allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<DecisionLimits>,
    /// Every rule, in the order of the file; for those who may use `policy.explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<DecisionRule>>,
}

#[derive(Serialize, ToSchema)]
pub struct DecisionLimits {
    /// Signatures for each principal within any hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_hour: Option<u32>,
    /// Signatures with one token of an issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_token: Option<u32>,
}

/// What one rule has to do with it.
#[derive(Serialize, ToSchema)]
pub struct DecisionRule {
    id: String,
    /// `allow` or `deny`.
    effect: &'static str,
    /// `enforce`, or `observe`: then it decides nothing.
    mode: &'static str,
    /// Whether the rule speaks of what is asked.
    matched: bool,
    /// The first condition that does not hold, and what was found in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// Ask what policy would say
///
/// Nothing is done, counted or logged. Callers ask about themselves; with `policy.explain` also about others, and what each
/// rule had to do with it.
#[utoipa::path(post, path = "/v1/policy/decisions", tag = "policy", security(("bearer" = [])), request_body = DecisionQuestion, responses(
    (status = 200, description = "Allowed or denied, and why", body = DecisionBody),
    (status = "4XX", description = "Refused; the detail says what to do", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn decide(
    State(state): State<ApiState>,
    caller: Caller,
    body: LargeBody<MAX_BODY>,
) -> Result<Json<DecisionBody>, Problem> {
    let request = parse(body.json()?, state.clock.now())?;
    let of_whole_log = request.operation == Operation::LogRead && request.image.is_none();
    let (service, principal) = (state.service.clone(), caller.principal.clone());
    let asking = async move { service.explain(&caller, &request) };
    Ok(Json(DecisionBody::of(state.admission.run(&principal, asking).await??, of_whole_log)))
}

/// Bytes of a body: more than any token has.
const MAX_BODY: usize = 64 * 1024;

const fn sign() -> Operation {
    Operation::Sign
}

/// Strings become types, once.
fn parse(question: DecisionQuestion, now: Timestamp) -> Result<DecisionRequest, Problem> {
    let operation = question.operation;
    let image: Option<ImageReference> =
        question.image.map(|image| image.parse().map_err(ServiceError::Image)).transpose()?;
    let needs_image = matches!(operation, Operation::Sign | Operation::Attest | Operation::Verify);
    if needs_image && image.is_none() {
        return Err(Problem::invalid(format!("`image` is missing, and `{operation}` is about one.")));
    }
    if !needs_image && operation != Operation::LogRead && image.is_some() {
        return Err(Problem::invalid(format!("`{operation}` is about no image. Leave `image` out.")));
    }
    let predicate_type = question.predicate_type.map(|name| name.parse().map_err(ServiceError::from));
    Ok(DecisionRequest {
        about: question.principal.map_or(Ok(About::Caller), |principal| principal.parse(now))?,
        operation,
        image,
        key: key(question.key.as_deref())?,
        format: format(question.format.as_deref())?,
        predicate_type: predicate_type.transpose()?,
        annotations: Annotations::new(question.annotations).map_err(ServiceError::Annotations)?,
    })
}

impl DecisionPrincipal {
    fn parse(self, now: Timestamp) -> Result<About, Problem> {
        Ok(About::Other(match self {
            Self { token: Some(name), issuer: None, claims: None, name: None, certificate: None } => {
                Principal::Token { name }
            }
            Self { token: None, issuer: Some(issuer), claims: Some(claims), name, certificate: None } => {
                let subject = || claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
                let name = name.unwrap_or_else(subject);
                // There is no such token: nothing is ever counted for it.
                let token = Digest::of(b"");
                Principal::Workload(Arc::new(Workload { issuer, name, claims, token, expires: now }))
            }
            Self { token: None, issuer: None, claims: None, name: None, certificate: Some(claims) } => {
                let text = |name: &str| claims.get(name).and_then(Value::as_str);
                let name = text("spiffe_id").or_else(|| text("subject")).unwrap_or_default().to_owned();
                Principal::Certificate(Arc::new(Certificate { name, claims }))
            }
            _ => {
                return Err(Problem::invalid(
                    "`principal` is one of {\"token\": name}, {\"issuer\": name, \"claims\": {…}} and {\"certificate\": {…}}.",
                ));
            }
        }))
    }
}

impl DecisionBody {
    fn of(Explained { explanation, in_full }: Explained, of_whole_log: bool) -> Self {
        let Decision { allowed, ruling, limits, .. } = explanation.decision;
        let mut reason = match (&ruling.rule, allowed) {
            (Some(rule), true) => format!("The rule `{rule}` allows it."),
            (Some(rule), false) => format!("The rule `{rule}` denies it."),
            (None, true) => "It is allowed.".to_owned(),
            (None, false) => "No rule allows it.".to_owned(),
        };
        if of_whole_log && !allowed {
            reason.push_str(" This is about the whole log: name an `image` to ask about its repository.");
        }
        let number = |limit: Option<std::num::NonZeroU32>| limit.map(std::num::NonZeroU32::get);
        let (per_hour, per_token) = (number(limits.per_hour), number(limits.per_token));
        Self {
            decision: effect(allowed),
            rule: ruling.rule,
            reason,
            policy: ruling.policy.to_string(),
            limits: (per_hour.is_some() || per_token.is_some())
                .then_some(DecisionLimits { per_hour, per_token }),
            rules: in_full.then(|| explanation.rules.into_iter().map(DecisionRule::of).collect()),
        }
    }
}

impl DecisionRule {
    fn of(verdict: RuleVerdict) -> Self {
        Self {
            id: verdict.id,
            effect: effect(verdict.allows),
            mode: if verdict.observes { "observe" } else { "enforce" },
            matched: verdict.failed.is_none(),
            failed: verdict.failed,
        }
    }
}

const fn effect(allows: bool) -> &'static str {
    if allows { "allow" } else { "deny" }
}
