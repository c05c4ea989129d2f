//! One rule: to whom it speaks, and of what.

use super::asked::Asked;
use super::claims::{Path, list};
use super::condition::Condition;
use super::identity::Identity;
use super::shown;
use super::text::{AnnotationText, Effect, Mode, OneOrMany, RuleText};
use crate::domain::Pattern;
use crate::domain::{Format, KeyName, Operation, Timestamp};
use crate::format::predicate::PredicateType;
use crate::input::Segment;
use crate::ports::RuleLimits;

/// A rule, checked and ready to match.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub id: String,
    pub description: Option<String>,
    pub effect: Effect,
    pub mode: Mode,
    /// One is enough. None is everybody.
    pub identities: Option<Vec<Identity>>,
    pub repositories: Vec<Pattern>,
    pub keys: Vec<KeyName>,
    pub operations: Vec<Operation>,
    /// Whether it names `resign`, which nothing asks for.
    pub resign: bool,
    /// Which types may be attested; all where there are none.
    pub predicate_types: Vec<PredicatePattern>,
    pub formats: Vec<Format>,
    pub annotations: Vec<Required>,
    pub limits: RuleLimits,
    pub valid_from: Option<Timestamp>,
    pub valid_until: Option<Timestamp>,
    pub condition: Option<Condition>,
}

/// An annotation that has to be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Required {
    pub name: String,
    values: Vec<String>,
    globs: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum PredicatePattern {
    /// The URI that a short name stands for.
    Exact(String),
    Glob(Pattern),
}

/// What of a rule does not hold, in the order in which rules are looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Unmet {
    Identity,
    Operations,
    Repositories,
    Keys,
    PredicateTypes,
    Formats,
    /// The place of the annotation among those that are required.
    Annotation(usize),
    ValidFrom,
    ValidUntil,
    /// It is false; or it can not be told, and why.
    Condition(Option<String>),
}

/// What is wrong, and the way to it from the rule.
pub type Fault = (Vec<Segment>, String);

impl Rule {
    /// # Errors
    /// What would keep the rule from doing what its author thinks.
    pub fn new(text: RuleText) -> Result<Self, Fault> {
        not_empty(&text)?;
        let identities = match text.identity {
            Some(identities) => Some(each(identities)?),
            None if text.effect == Effect::Deny => None,
            None => {
                return Err(fault(
                    "identity",
                    "is missing, so that everybody would be allowed; name whom the rule speaks of",
                ));
            }
        };
        let operations: Vec<_> = text.operations.iter().filter_map(|named| named.operation()).collect();
        let has_repositories = text.repositories.is_some();
        // A deny rule may speak of all: what it forgets to name stays denied.
        let must_name = operations.iter().filter(|_| text.effect == Effect::Allow);
        for operation in must_name {
            let (repository, key) = concerns(*operation);
            let needed =
                [("repositories", repository && !has_repositories), ("keys", key && text.keys.is_none())];
            if let Some((name, _)) = needed.iter().find(|(_, missing)| *missing) {
                return Err(fault(
                    name,
                    &format!(
                        "is missing, so that the rule could never match `{operation}`; name at least one"
                    ),
                ));
            }
        }
        let limits = text.limits.map_or_else(RuleLimits::default, |limits| RuleLimits {
            per_hour: limits.per_hour,
            per_token: limits.per_token,
        });
        if text.effect == Effect::Deny && limits != RuleLimits::default() {
            return Err(fault("limits", "a deny rule allows nothing that could be counted"));
        }
        if let (Some(from), Some(until)) = (text.valid_from, text.valid_until)
            && from >= until
        {
            return Err(fault("valid_until", "is not after `valid_from`, so that the rule is never valid"));
        }
        let condition = text.condition.as_deref().map(Condition::new).transpose();
        Ok(Self {
            description: text.description,
            effect: text.effect,
            mode: text.mode,
            identities,
            repositories: patterns("repositories", text.repositories, Pattern::of_repositories)?,
            keys: text.keys.unwrap_or_default(),
            resign: operations.len() < text.operations.len(),
            operations,
            predicate_types: patterns("predicate_types", text.predicate_types, PredicatePattern::new)?,
            formats: text.formats.unwrap_or_else(|| Format::ALL.to_vec()),
            annotations: text
                .annotations
                .unwrap_or_default()
                .into_iter()
                .map(Required::new)
                .collect::<Result<_, _>>()?,
            limits,
            valid_from: text.valid_from,
            valid_until: text.valid_until,
            condition: condition.map_err(|reason| fault("condition", &reason))?,
            id: text.id,
        })
    }

    pub const fn observes(&self) -> bool {
        matches!(self.mode, Mode::Observe)
    }

    pub const fn allows(&self) -> bool {
        matches!(self.effect, Effect::Allow)
    }

    /// Whether the rule speaks of what is asked.
    pub fn matches(&self, asked: &Asked<'_>) -> bool {
        self.unmet(asked).is_none()
    }

    /// Whether the rule speaks of what is asked, be it of some repositories alone.
    pub fn matches_somewhere(&self, asked: &Asked<'_>) -> bool {
        self.unmet_by_caller(asked).or_else(|| self.unmet_by_rest(asked)).is_none()
    }

    /// The first condition that does not hold. Of the question, key and format may be open where no rule names one.
    pub fn unmet(&self, asked: &Asked<'_>) -> Option<Unmet> {
        let by_repository = || (!self.has_repository(asked)).then_some(Unmet::Repositories);
        self.unmet_by_caller(asked).or_else(by_repository).or_else(|| self.unmet_by_rest(asked))
    }

    fn unmet_by_caller(&self, asked: &Asked<'_>) -> Option<Unmet> {
        if self.identities.is_some() && self.matching_identity(asked).is_none() {
            return Some(Unmet::Identity);
        }
        (!self.operations.contains(&asked.question.operation)).then_some(Unmet::Operations)
    }

    fn has_repository(&self, asked: &Asked<'_>) -> bool {
        match (asked.repository(), asked.question.operation) {
            (Some(name), _) => {
                self.repositories.is_empty() || self.repositories.iter().any(|pattern| pattern.matches(name))
            }
            // Of the whole log: what shows a part does not show all, and what hides a part does not leave all.
            (None, Operation::LogRead) => !self.allows() || self.repositories.is_empty(),
            (None, operation) => !concerns(operation).0,
        }
    }

    fn unmet_by_rest(&self, asked: &Asked<'_>) -> Option<Unmet> {
        let question = &asked.question;
        if question.key.is_some_and(|key| !self.keys.is_empty() && !self.keys.contains(key)) {
            return Some(Unmet::Keys);
        }
        if question.operation == Operation::Attest && !self.attests(question.predicate_type) {
            return Some(Unmet::PredicateTypes);
        }
        if knows_formats(question.operation)
            && question.format.is_some_and(|format| !self.formats.contains(&format))
        {
            return Some(Unmet::Formats);
        }
        let given = |name: &str| question.annotations.and_then(|annotations| annotations.as_map().get(name));
        let missing = |required: &Required| !given(&required.name).is_some_and(|value| required.fits(value));
        if let Some(index) = self.annotations.iter().position(missing) {
            return Some(Unmet::Annotation(index));
        }
        if self.valid_from.is_some_and(|from| question.now < from) {
            return Some(Unmet::ValidFrom);
        }
        if self.valid_until.is_some_and(|until| question.now >= until) {
            return Some(Unmet::ValidUntil);
        }
        let condition = self.condition.as_ref()?;
        let told = match question.operation {
            // What somebody may read is decided once, and not for each entry.
            Operation::LogRead if condition.looks_at_subject => Err(OF_NO_SUBJECT.to_owned()),
            _ => condition.holds(asked),
        };
        match told {
            Ok(true) => None,
            Ok(false) => Some(Unmet::Condition(None)),
            // What can not be told must not open a door: neither by an allow rule that matches, nor by a deny rule that does not.
            Err(_) if self.effect == Effect::Deny => None,
            Err(reason) => Some(Unmet::Condition(Some(reason))),
        }
    }

    /// The same in words, with what was found and what would be right.
    pub fn explain(&self, unmet: &Unmet, asked: &Asked<'_>) -> String {
        let question = &asked.question;
        let found = |text: &str| shown(&serde_json::Value::from(text).to_string());
        let wants = |key: &str, what: &str, text: Option<&str>, wanted: String| match text {
            Some(text) => format!("{key}: {what} is {}, the rule wants {wanted}", found(text)),
            None => format!("{key}: the request names none, the rule wants {wanted}"),
        };
        match unmet {
            Unmet::Identity => {
                let mut failed =
                    self.identities.iter().flatten().filter_map(|one| one.failed(question.principal));
                match (failed.next(), failed.next()) {
                    (Some(first), None) => first,
                    (Some(first), Some(_)) => format!("none of its identities; of the first, {first}"),
                    (None, _) => "identity".to_owned(),
                }
            }
            Unmet::Operations => {
                let names: Vec<_> = self.operations.iter().map(ToString::to_string).collect();
                let wanted = match names.is_empty() {
                    true => "what no request asks for".to_owned(),
                    false => list(names.iter().map(String::as_str)),
                };
                wants("operations", "the request's", Some(&question.operation.to_string()), wanted)
            }
            Unmet::Repositories => {
                let wanted = list(self.repositories.iter().map(Pattern::as_str));
                match (asked.repository(), question.operation) {
                    (None, Operation::LogRead) => {
                        format!(
                            "repositories: this is about the whole log, the rule wants what fits {wanted}"
                        )
                    }
                    (name, _) => wants("repositories", "the image's", name, format!("what fits {wanted}")),
                }
            }
            Unmet::Keys => {
                let wanted = list(self.keys.iter().map(KeyName::as_str));
                wants("keys", "the request's", question.key.map(KeyName::as_str), wanted)
            }
            Unmet::PredicateTypes => {
                let wanted = list(self.predicate_types.iter().map(PredicatePattern::as_str));
                wants(
                    "predicate_types",
                    "the request's",
                    question.predicate_type,
                    format!("what fits {wanted}"),
                )
            }
            Unmet::Formats => {
                let wanted = list(self.formats.iter().map(|format| format.as_str()));
                wants("formats", "the request's", question.format.map(Format::as_str), wanted)
            }
            Unmet::Annotation(index) => {
                let required = &self.annotations[*index];
                let given = question.annotations.and_then(|all| all.as_map().get(&required.name));
                let key = format!("annotations.{}", shown(&required.name));
                wants(&key, "the request's", given.map(String::as_str), required.wanted())
            }
            Unmet::ValidFrom => {
                let from = self.valid_from.unwrap_or_default();
                format!("valid_from: it is {}, the rule is valid from {from}", question.now)
            }
            Unmet::ValidUntil => {
                let until = self.valid_until.unwrap_or_default();
                format!("valid_until: it is {}, the rule was valid until {until}", question.now)
            }
            Unmet::Condition(None) => "condition: it is false".to_owned(),
            Unmet::Condition(Some(reason)) => format!("condition: it can not be told: {reason}"),
        }
    }

    /// The claims that the rule looked at when it matched.
    pub fn claims_looked_at<'a>(&'a self, asked: &Asked<'_>) -> impl Iterator<Item = &'a Path> {
        let identity = self.matching_identity(asked).into_iter().flat_map(Identity::paths);
        identity.chain(self.condition.iter().flat_map(|condition| &condition.claims))
    }

    fn matching_identity(&self, asked: &Asked<'_>) -> Option<&Identity> {
        self.identities.iter().flatten().find(|identity| identity.matches(asked.question.principal))
    }

    /// Where the type is not known, an allow rule may choose one of its own; a deny rule for some must not deny the others.
    fn attests(&self, predicate_type: Option<&str>) -> bool {
        self.predicate_types.is_empty()
            || predicate_type
                .map_or(self.allows(), |uri| self.predicate_types.iter().any(|pattern| pattern.matches(uri)))
    }
}

impl Required {
    fn new((name, text): (String, AnnotationText)) -> Result<Self, Fault> {
        let wrong = |reason: String| {
            Err((vec![Segment::Key("annotations".to_owned()), Segment::Key(name.clone())], reason))
        };
        let (values, globs) = match text {
            AnnotationText::Values(values) => (values.0, Vec::new()),
            AnnotationText::Glob(globs) => {
                match globs.glob.0.iter().map(|text| Pattern::new(text)).collect::<Result<Vec<_>, _>>() {
                    Ok(globs) => (Vec::new(), globs),
                    Err(reason) => return wrong(reason),
                }
            }
        };
        if values.is_empty() && globs.is_empty() {
            return wrong("is an empty list, so that no value would do; name at least one".to_owned());
        }
        Ok(Self { name, values, globs })
    }

    fn fits(&self, value: &String) -> bool {
        self.values.contains(value) || self.globs.iter().any(|glob| glob.matches(value))
    }

    fn wanted(&self) -> String {
        match self.globs.is_empty() {
            true => list(self.values.iter().map(String::as_str)),
            false => format!("what fits {}", list(self.globs.iter().map(Pattern::as_str))),
        }
    }
}

impl PredicatePattern {
    fn new(text: &str) -> Result<Self, String> {
        match (text.contains('*'), text.parse::<PredicateType>()) {
            (true, _) => Pattern::new(text).map(Self::Glob),
            (false, Ok(known)) => Ok(Self::Exact(known.as_str().to_owned())),
            (false, Err(error)) => Err(error.to_string()),
        }
    }

    fn matches(&self, uri: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == uri,
            Self::Glob(pattern) => pattern.matches(uri),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Exact(uri) => uri,
            Self::Glob(pattern) => pattern.as_str(),
        }
    }
}

/// Why a condition on the repository can not be told of reading the log.
const OF_NO_SUBJECT: &str = "it looks at the repository or the digest, and what may be read of the log is decided before either is known; name `repositories`";

/// Whether every question about `operation` names a repository, and whether it names a key.
pub const fn concerns(operation: Operation) -> (bool, bool) {
    match operation {
        Operation::Sign | Operation::Attest | Operation::Verify => (true, true),
        Operation::Blob => (false, true),
        Operation::LogRead | Operation::PolicyExplain => (false, false),
    }
}

/// Whether signatures of this kind have formats.
pub const fn knows_formats(operation: Operation) -> bool {
    match operation {
        Operation::Sign | Operation::Attest | Operation::Verify => true,
        Operation::Blob | Operation::LogRead | Operation::PolicyExplain => false,
    }
}

fn fault(key: &str, reason: &str) -> Fault {
    (vec![Segment::Key(key.to_owned())], reason.to_owned())
}

/// Lists and maps that are written and empty could mean all or nothing; so they mean neither.
fn not_empty(text: &RuleText) -> Result<(), Fault> {
    let empty = [
        ("id", text.id.is_empty()),
        ("identity", text.identity.as_ref().is_some_and(|many| many.0.is_empty())),
        ("repositories", text.repositories.as_ref().is_some_and(Vec::is_empty)),
        ("keys", text.keys.as_ref().is_some_and(Vec::is_empty)),
        ("operations", text.operations.is_empty()),
        ("predicate_types", text.predicate_types.as_ref().is_some_and(Vec::is_empty)),
        ("formats", text.formats.as_ref().is_some_and(Vec::is_empty)),
        ("annotations", text.annotations.as_ref().is_some_and(|all| all.is_empty())),
        ("limits", text.limits.as_ref().is_some_and(|all| all.per_hour.is_none() && all.per_token.is_none())),
        ("condition", text.condition.as_ref().is_some_and(|condition| condition.trim().is_empty())),
    ];
    match empty.iter().find(|(_, empty)| *empty) {
        Some((key, _)) => Err(fault(key, "is empty; leave it out, or name at least one")),
        None => Ok(()),
    }
}

fn each(identities: OneOrMany<super::text::IdentityText>) -> Result<Vec<Identity>, Fault> {
    let alone = identities.0.len() == 1;
    let one = |(index, text)| {
        Identity::new(text).map_err(|(mut path, reason)| {
            // One may stand alone or in a list; what does not exist is skipped when its place is looked for.
            if !alone {
                path.insert(0, Segment::Index(index));
            }
            path.insert(0, Segment::Key("identity".to_owned()));
            (path, reason)
        })
    };
    identities.0.into_iter().enumerate().map(one).collect()
}

fn patterns<T>(
    key: &str,
    texts: Option<Vec<String>>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Fault> {
    let one = |(index, text): (usize, String)| {
        read(&text).map_err(|reason| (vec![Segment::Key(key.to_owned()), Segment::Index(index)], reason))
    };
    texts.into_iter().flatten().enumerate().map(one).collect()
}
