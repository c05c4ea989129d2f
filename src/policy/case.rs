//! Questions as people write them: on the command line, and in suites of cases for a policy's own tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::text::{Effect, OperationText};
use crate::domain::{
    Annotations, Certificate, Claims, Digest, Format, ImageReference, KeyName, Operation, Principal,
    Repository, Timestamp, Workload,
};
use crate::format::predicate::PredicateType;
use crate::input::{self, Segment};
use crate::ports::{Decision, Explanation, Policy, Question};

/// A question with all that it is about.
#[derive(Debug, Clone)]
pub struct Case {
    principal: Principal,
    operation: Operation,
    repository: Option<Repository>,
    digest: Option<Digest>,
    key: Option<KeyName>,
    format: Option<Format>,
    predicate_type: Option<PredicateType>,
    annotations: Annotations,
    at: Timestamp,
}

/// Who asks, as it is written: one of the three.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalText {
    /// The name of one of `[[identity.tokens]]`.
    #[serde(default)]
    pub token: Option<String>,
    /// The name of one of `[[identity.issuers]]`.
    #[serde(default)]
    pub issuer: Option<String>,
    /// The claims of the issuer's token.
    #[serde(default)]
    pub claims: Option<Claims>,
    /// What a client certificate says.
    #[serde(default)]
    pub certificate: Option<Claims>,
}

/// What is asked, as it is written.
#[derive(Debug, Clone, Default)]
pub struct QuestionText {
    pub operation: Option<OperationText>,
    /// `host/repository`, with or without a digest.
    pub image: Option<String>,
    pub key: Option<String>,
    pub format: Option<Format>,
    pub predicate_type: Option<String>,
    pub annotations: BTreeMap<String, String>,
}

impl Case {
    /// # Errors
    /// A sentence that begins with what is wrong.
    pub fn new(principal: PrincipalText, question: QuestionText, at: Timestamp) -> Result<Self, String> {
        let operation = match question.operation {
            None => Operation::Sign,
            Some(named) => {
                named.operation().ok_or("operation: no request asks for `resign` in this version")?
            }
        };
        let (repository, digest) = match question.image.as_deref() {
            None => (None, None),
            Some(image) if image.contains('@') => {
                let image: ImageReference = image.parse().map_err(|error| format!("image: {error}"))?;
                (Some(image.repository), Some(image.digest))
            }
            Some(name) => (Some(name.parse().map_err(|error| format!("image: {error}"))?), None),
        };
        let key = question.key.map(|key| key.parse().map_err(|error| format!("key: {error}"))).transpose()?;
        let predicate_type = question.predicate_type.map(|text| text.parse::<PredicateType>());
        Ok(Self {
            principal: principal.read()?,
            operation,
            repository,
            digest,
            key,
            format: question.format,
            predicate_type: predicate_type.transpose().map_err(|error| format!("predicate_type: {error}"))?,
            annotations: Annotations::new(question.annotations)
                .map_err(|error| format!("annotations: {error}"))?,
            at,
        })
    }

    /// The decision, and what every rule had to do with it.
    pub fn explain(&self, policy: &impl Policy) -> Explanation {
        policy.explain(&self.question())
    }

    fn decide(&self, policy: &impl Policy) -> Decision {
        policy.decide(&self.question())
    }

    fn question(&self) -> Question<'_> {
        Question {
            repository: self.repository.as_ref(),
            digest: self.digest,
            key: self.key.as_ref(),
            format: self.format,
            predicate_type: self.predicate_type.as_ref().map(PredicateType::as_str),
            annotations: Some(&self.annotations),
            ..Question::new(&self.principal, self.operation, self.at)
        }
    }
}

impl PrincipalText {
    fn read(self) -> Result<Principal, String> {
        let name = |claims: &Claims, key: &str| {
            claims.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        match self {
            Self { token: Some(name), issuer: None, claims: None, certificate: None } => {
                Ok(Principal::Token { name })
            }
            Self { token: None, issuer: Some(issuer), claims, certificate: None } => {
                let claims = claims.unwrap_or_default();
                Ok(Principal::Workload(Arc::new(Workload {
                    issuer,
                    name: name(&claims, "sub"),
                    claims,
                    token: Digest::of(b""),
                    expires: Timestamp::MAX,
                })))
            }
            Self { token: None, issuer: None, claims: None, certificate: Some(claims) } => {
                let name = [name(&claims, "spiffe_id"), name(&claims, "subject")]
                    .into_iter()
                    .find(|name| !name.is_empty());
                Ok(Principal::Certificate(Arc::new(Certificate { name: name.unwrap_or_default(), claims })))
            }
            _ => Err(
                "principal: must be `{token: NAME}`, `{issuer: NAME, claims: {…}}` or `{certificate: {…}}`"
                    .to_owned(),
            ),
        }
    }
}

/// Claims as JSON, as in the middle part of a token.
///
/// # Errors
/// Where it is no JSON object, or has a name twice.
pub fn read_claims(json: &[u8]) -> Result<Claims, String> {
    input::from_json(json).map_err(|error| error.to_string())
}

/// A table of questions, each with the answer that is expected.
#[derive(Debug)]
pub struct Suite {
    /// The policy that it is for, where it names one; a relative path starts at the suite's directory.
    pub policy: Option<PathBuf>,
    cases: Vec<Expected>,
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub name: String,
    pub allowed: bool,
    /// The rule that decided.
    pub rule: Option<String>,
    /// What is not as expected; none where all is.
    pub mismatch: Option<String>,
}

#[derive(Debug)]
struct Expected {
    name: String,
    case: Case,
    allow: bool,
    rule: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuiteText {
    version: u32,
    #[serde(default)]
    policy: Option<PathBuf>,
    /// Principals that several cases name.
    #[serde(default)]
    principals: BTreeMap<String, PrincipalText>,
    cases: Vec<CaseText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseText {
    name: String,
    /// The name of one of `principals`, or one of its own.
    principal: Value,
    /// Claims of this case alone, in place of those of the same names.
    #[serde(default)]
    claims: Option<Claims>,
    #[serde(default)]
    operation: Option<OperationText>,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    format: Option<Format>,
    #[serde(default)]
    predicate_type: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// When it is asked; now, where it does not say.
    #[serde(default)]
    at: Option<Timestamp>,
    expect: Effect,
    /// The id of the rule that decides, where it matters.
    #[serde(default)]
    rule: Option<String>,
}

impl Suite {
    /// # Errors
    /// What is wrong with the file, with line and column.
    pub fn load(path: &Path, now: Timestamp) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut suite = Self::parse(&text, now).map_err(|error| format!("{}: {error}", path.display()))?;
        suite.policy = suite.policy.map(|policy| path.parent().unwrap_or(Path::new("")).join(policy));
        Ok(suite)
    }

    /// # Errors
    /// As [`Suite::load`].
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, String> {
        let suite: SuiteText = input::from_yaml(text).map_err(|error| error.to_string())?;
        let at = |path: &[Segment], reason: String| match input::yaml_place(text, path) {
            Some((line, column)) => format!("{reason} (line {line}, column {column})"),
            None => reason,
        };
        let key = |key: &str| Segment::Key(key.to_owned());
        if suite.version != 1 {
            return Err(at(
                &[key("version")],
                format!("`version` is {}; this Signet reads version 1", suite.version),
            ));
        }
        if suite.cases.is_empty() {
            return Err(at(&[key("cases")], "`cases` is empty, so that nothing would be tried".to_owned()));
        }
        let mut cases = Vec::new();
        for (index, text) in suite.cases.into_iter().enumerate() {
            let name = text.name.clone();
            let read = text.read(&suite.principals, now);
            let wrong = |reason: String| {
                let named = reason.split(':').next().unwrap_or_default().to_owned();
                at(
                    &[key("cases"), Segment::Index(index), key(&named)],
                    format!("case `{}`: {reason}", super::shown(&name)),
                )
            };
            cases.push(read.map_err(wrong)?);
        }
        Ok(Self { policy: suite.policy, cases })
    }

    /// How each case ends under `policy`.
    pub fn run(&self, policy: &impl Policy) -> Vec<Verdict> {
        self.cases.iter().map(|expected| expected.judge(policy)).collect()
    }
}

impl CaseText {
    fn read(self, principals: &BTreeMap<String, PrincipalText>, now: Timestamp) -> Result<Expected, String> {
        let mut principal = match self.principal {
            Value::String(name) => principals
                .get(&name)
                .cloned()
                .ok_or_else(|| format!("principal: `principals` does not have `{}`", super::shown(&name)))?,
            inline => PrincipalText::deserialize(inline).map_err(|error| format!("principal: {error}"))?,
        };
        if let Some(claims) = self.claims {
            let own = principal.certificate.as_mut().or(principal.claims.as_mut());
            own.ok_or("claims: the principal has none that these could stand in place of")?.extend(claims);
        }
        let question = QuestionText {
            operation: self.operation,
            image: self.image,
            key: self.key,
            format: self.format,
            predicate_type: self.predicate_type,
            annotations: self.annotations,
        };
        let case = Case::new(principal, question, self.at.unwrap_or(now))?;
        Ok(Expected { name: self.name, case, allow: self.expect == Effect::Allow, rule: self.rule })
    }
}

impl Expected {
    fn judge(&self, policy: &impl Policy) -> Verdict {
        let decision = self.case.decide(policy);
        let rule = decision.ruling.rule;
        let word = |allowed| if allowed { "allow" } else { "deny" };
        let by = |rule: Option<&str>| {
            rule.map_or("no rule".to_owned(), |rule| format!("rule `{}`", super::shown(rule)))
        };
        let mismatch = if decision.allowed != self.allow {
            let (wanted, got) = (word(self.allow), word(decision.allowed));
            Some(format!("expected {wanted}, got {got} by {}", by(rule.as_deref())))
        } else if self.rule.is_some() && self.rule != rule {
            Some(format!("expected {}, got {}", by(self.rule.as_deref()), by(rule.as_deref())))
        } else {
            None
        };
        Verdict { name: self.name.clone(), allowed: decision.allowed, rule, mismatch }
    }
}
