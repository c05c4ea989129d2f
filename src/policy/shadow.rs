//! Whether one rule leaves another nothing to decide.

use super::identity::{Conditions, Identity};
use super::rule::{Rule, concerns};
use crate::domain::{Operation, Pattern};

impl Rule {
    /// Whether this rule matches all that `other` matches. Said only where it is sure.
    pub fn covers(&self, other: &Self) -> bool {
        within(&other.operations, &self.operations)
            && within(&other.formats, &self.formats)
            && (self.keys.is_empty()
                || within(&other.keys, &self.keys) && !(other.keys.is_empty() && other.concerns_some().1))
            && self.condition.as_ref().is_none_or(|condition| other.condition.as_ref() == Some(condition))
            && self.valid_from.is_none_or(|from| other.valid_from.is_some_and(|other| other >= from))
            && self.valid_until.is_none_or(|until| other.valid_until.is_some_and(|other| other <= until))
            && within(&self.annotations, &other.annotations)
            && (self.predicate_types.is_empty()
                || !other.predicate_types.is_empty() && within(&other.predicate_types, &self.predicate_types))
            && self.covers_identities_of(other)
            && (self.repositories.is_empty()
                || !(other.repositories.is_empty() && (other.concerns_some().0 || other.reads_the_log()))
                    && other
                        .repositories
                        .iter()
                        .all(|inner| self.repositories.iter().any(|outer| contains(outer, inner))))
    }

    /// Whether some of its operations concern repositories, and keys: then none that are named are all.
    fn concerns_some(&self) -> (bool, bool) {
        let some =
            |of: fn((bool, bool)) -> bool| self.operations.iter().any(|operation| of(concerns(*operation)));
        (some(|concerned| concerned.0), some(|concerned| concerned.1))
    }

    /// Whether it speaks of reading the log: then, without repositories, of the whole log.
    fn reads_the_log(&self) -> bool {
        self.operations.contains(&Operation::LogRead)
    }

    fn covers_identities_of(&self, other: &Self) -> bool {
        match (&self.identities, &other.identities) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(outer), Some(inner)) => {
                inner.iter().all(|inner| outer.iter().any(|outer| identity_covers(outer, inner)))
            }
        }
    }
}

fn within<T: PartialEq>(inner: &[T], outer: &[T]) -> bool {
    inner.iter().all(|item| outer.contains(item))
}

fn identity_covers(outer: &Identity, inner: &Identity) -> bool {
    match (outer, inner) {
        (Identity::Token(outer), Identity::Token(inner)) => within(inner, outer),
        (Identity::Certificate(outer), Identity::Certificate(inner)) => conditions_cover(outer, inner),
        (
            Identity::Issuer { name: a, conditions: outer },
            Identity::Issuer { name: b, conditions: inner },
        ) => a == b && conditions_cover(outer, inner),
        _ => false,
    }
}

fn conditions_cover(outer: &Conditions, inner: &Conditions) -> bool {
    let exact = outer.exact.iter().all(|outer| {
        inner.exact.iter().any(|inner| inner.path == outer.path && within(&inner.values, &outer.values))
    });
    exact
        && outer.globs.iter().all(|outer| {
            let fits = |value: &String| outer.patterns.iter().any(|pattern| pattern.matches(value));
            inner.exact.iter().any(|inner| inner.path == outer.path && inner.values.iter().all(fits))
                || inner
                    .globs
                    .iter()
                    .any(|inner| inner.path == outer.path && within(&inner.patterns, &outer.patterns))
        })
}

/// Whether `outer` matches all that `inner` matches. Said only where it is sure.
pub fn contains(outer: &Pattern, inner: &Pattern) -> bool {
    let below = outer.as_str().strip_suffix("**").is_some_and(|folder| {
        !folder.contains('*') && inner.as_str().strip_prefix(folder).is_some_and(|rest| !rest.is_empty())
    });
    outer == inner || below || inner.is_exact() && outer.matches(inner.as_str())
}
