//! Conditions on claims: exact values and patterns, also of nested claims.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::shown;
use crate::domain::Claims;
use crate::domain::Pattern;
use crate::input::Segment;

/// A claim by its way from the outside; one name for a claim at the top. Names may hold dots.
pub type Path = Vec<String>;

/// A claim must have one of these values.
#[derive(Debug, Clone, PartialEq)]
pub struct Exact {
    pub path: Path,
    /// The text of each.
    pub values: Vec<String>,
}

/// A claim must fit one of these patterns.
#[derive(Debug, Clone, PartialEq)]
pub struct Globs {
    pub path: Path,
    pub patterns: Vec<Pattern>,
}

/// What is wrong, and the way to it from where the claims are.
pub type Fault = (Vec<Segment>, String);

impl Exact {
    pub fn holds(&self, claims: &Claims) -> bool {
        find(claims, &self.path)
            .is_some_and(|found| scalars(found).any(|text| self.values.iter().any(|value| *value == *text)))
    }

    /// What the caller has and what the rule wants, where that differs.
    pub fn failed(&self, claims: &Claims, whose: &str) -> Option<String> {
        (!self.holds(claims)).then(|| {
            let wanted = list(self.values.iter().map(String::as_str));
            format!("{}, the rule wants {wanted}", found(claims, &self.path, whose))
        })
    }

    /// Reads `claims` as they are written in a rule: scalars, lists of them, or maps of nested claims.
    ///
    /// # Errors
    /// The first value that could never be met.
    pub fn read(claims: &BTreeMap<String, Value>) -> Result<Vec<Self>, Fault> {
        let mut all = Vec::new();
        for (path, value) in flatten(claims)? {
            let values = texts(&path, value)?;
            all.push(Self { path, values });
        }
        Ok(all)
    }
}

impl Globs {
    pub fn holds(&self, claims: &Claims) -> bool {
        find(claims, &self.path)
            .is_some_and(|found| scalars(found).any(|text| self.patterns.iter().any(|p| p.matches(&text))))
    }

    pub fn failed(&self, claims: &Claims, whose: &str) -> Option<String> {
        (!self.holds(claims)).then(|| {
            let wanted = list(self.patterns.iter().map(Pattern::as_str));
            format!("{}, the rule wants what fits {wanted}", found(claims, &self.path, whose))
        })
    }

    /// # Errors
    /// As [`Exact::read`], and where a pattern is none.
    pub fn read(claims: &BTreeMap<String, Value>) -> Result<Vec<Self>, Fault> {
        let mut all = Vec::new();
        for (path, value) in flatten(claims)? {
            let patterns =
                texts(&path, value)?.iter().map(|text| Pattern::new(text)).collect::<Result<_, _>>();
            let patterns = patterns.map_err(|reason| (segments(&path), reason))?;
            all.push(Self { path, patterns });
        }
        Ok(all)
    }
}

/// The value at the end of `path`.
pub fn find<'a>(claims: &'a Claims, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
}

/// The text of a scalar; of a list, those of its elements. What is nested deeper or null is not there.
pub fn scalars(value: &Value) -> impl Iterator<Item = Cow<'_, str>> {
    let elements = match value {
        Value::Array(elements) => elements.as_slice(),
        other => std::slice::from_ref(other),
    };
    elements.iter().filter_map(scalar)
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The way to a claim, for people and for the log.
pub fn dotted(path: &[String]) -> String {
    path.join(".")
}

/// Each value of a rule with its way.
fn flatten(claims: &BTreeMap<String, Value>) -> Result<Vec<(Path, &Value)>, Fault> {
    let mut found = Vec::new();
    for (name, value) in claims {
        descend(vec![name.clone()], value, &mut found)?;
    }
    Ok(found)
}

fn descend<'a>(path: Path, value: &'a Value, found: &mut Vec<(Path, &'a Value)>) -> Result<(), Fault> {
    let Value::Object(nested) = value else {
        found.push((path, value));
        return Ok(());
    };
    if nested.is_empty() {
        return Err((segments(&path), "is empty; name a nested claim, or leave it out".to_owned()));
    }
    for (name, value) in nested {
        let mut path = path.clone();
        path.push(name.clone());
        descend(path, value, found)?;
    }
    Ok(())
}

fn texts(path: &[String], value: &Value) -> Result<Vec<String>, Fault> {
    let elements = match value {
        Value::Array(elements) => elements.as_slice(),
        other => std::slice::from_ref(other),
    };
    let texts: Option<Vec<_>> = elements.iter().map(|value| scalar(value).map(Cow::into_owned)).collect();
    match texts {
        Some(texts) if !texts.is_empty() => Ok(texts),
        Some(_) => {
            Err((segments(path), "is an empty list, so that no value would do; name at least one".to_owned()))
        }
        None => Err((
            segments(path),
            "must be text, a number, true or false, or a list of these; null and lists in lists match nothing"
                .to_owned(),
        )),
    }
}

fn segments(path: &[String]) -> Vec<Segment> {
    path.iter().cloned().map(Segment::Key).collect()
}

fn found(claims: &Claims, path: &[String], whose: &str) -> String {
    match find(claims, path) {
        Some(value) => format!("the {whose} says {}", shown(&value.to_string())),
        None => format!("the {whose} does not say it"),
    }
}

/// `"a"`; `one of "a", "b"`.
pub fn list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<_> = texts.map(|text| shown(&Value::from(text).to_string())).collect();
    match texts.as_slice() {
        [one] => one.clone(),
        many if many.len() > 20 => format!("one of {} and {} more", many[..20].join(", "), many.len() - 20),
        many => format!("one of {}", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(rule: Value, token: &Value) -> bool {
        let conditions = Exact::read(&serde_json::from_value(rule).unwrap()).unwrap();
        conditions.iter().all(|condition| condition.holds(token.as_object().unwrap()))
    }

    #[test]
    fn scalars_are_compared_by_their_text_and_nothing_else_is_turned_into_anything() {
        let token = json!({"id": 4711, "text": "4711", "yes": true, "no": "false", "ratio": 0.5, "null": null, "big": u64::MAX});
        for rule in [
            json!({"id": "4711"}),
            json!({"id": 4711, "text": 4711}),
            json!({"yes": "true", "no": false}),
            json!({"ratio": "0.5"}),
            json!({"big": "18446744073709551615"}),
            json!({"id": [1, "4711"]}),
        ] {
            assert!(holds(rule.clone(), &token), "{rule}");
        }
        for rule in [
            json!({"id": "04711"}),
            json!({"id": 4711.0}),
            json!({"id": "4711 "}),
            json!({"yes": 1}),
            json!({"null": "null"}),
            json!({"missing": "4711"}),
            json!({"Id": "4711"}),
            json!({"id": {"nested": "4711"}}),
        ] {
            assert!(!holds(rule.clone(), &token), "{rule}");
        }
    }

    #[test]
    fn nested_claims_are_named_by_nested_maps_and_of_a_list_one_element_is_enough() {
        let token = json!({"kubernetes.io": {"namespace": "ci", "pod": {"name": "x"}}, "groups": ["a", "b", 3, ["c"], {"d": 1}]});
        for rule in [
            json!({"kubernetes.io": {"namespace": "ci"}}),
            json!({"kubernetes.io": {"pod": {"name": ["y", "x"]}}}),
            json!({"groups": "b"}),
            json!({"groups": ["z", 3]}),
        ] {
            assert!(holds(rule.clone(), &token), "{rule}");
        }
        for rule in [
            json!({"kubernetes.io.namespace": "ci"}),
            json!({"kubernetes": {"io": {"namespace": "ci"}}}),
            json!({"kubernetes.io": "ci"}),
            json!({"groups": "c"}),
            json!({"groups": {"d": 1}}),
        ] {
            assert!(!holds(rule.clone(), &token), "{rule}");
        }
    }

    #[test]
    fn what_no_claim_could_meet_is_refused() {
        for rule in [
            json!({"a": []}),
            json!({"a": {}}),
            json!({"a": null}),
            json!({"a": [[1]]}),
            json!({"a": [{"b": 1}]}),
        ] {
            let rule = serde_json::from_value(rule).unwrap();
            assert!(Exact::read(&rule).is_err() && Globs::read(&rule).is_err(), "{rule:?}");
        }
    }
}
