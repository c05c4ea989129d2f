//! Which rules came nearest to allowing what was refused: what whoever asks "why can my pipeline not sign?" looks for.

use super::RulePolicy;
use super::asked::{Asked, Kept};
use super::identity::Identity;
use super::rule::Rule;
use crate::domain::Missing;
use crate::ports::Question;

/// Rules that are named.
const NAMED: usize = 3;

/// Of whom, for what, of which repository and with which key: a rule that misses more of these speaks of something else.
const MISSES: usize = 2;

impl RulePolicy {
    /// The enforced rules that would have allowed `question` but for little, the nearest first, with the first condition of each that
    /// does not hold. None that allows it.
    pub(super) fn nearest_of(&self, question: &Question<'_>) -> Vec<Missing> {
        let kept = Kept::default();
        let asked = Asked::new(*question, &kept);
        let near = self.rules.iter().filter(|rule| rule.allows() && !rule.observes());
        let mut near: Vec<_> = near
            .filter_map(|rule| Some((misses(rule, &asked)?, rule)))
            .filter(|(count, _)| *count <= MISSES)
            .collect();
        // Stable: of rules that are as near, the first of the file.
        near.sort_by_key(|(count, _)| *count);
        let missing = |(_, rule): (usize, &Rule)| {
            let unmet = rule.unmet(&asked)?;
            Some(Missing { rule: rule.id.clone(), condition: rule.explain(&unmet, &asked) })
        };
        near.into_iter().filter_map(missing).take(NAMED).collect()
    }
}

/// How many of the great questions `rule` answers otherwise; none where it speaks of other sorts of callers.
fn misses(rule: &Rule, asked: &Asked<'_>) -> Option<usize> {
    let principal = asked.question.principal;
    let identities = rule.identities.iter().flatten();
    if rule.identities.is_some() && !identities.clone().any(|identity| identity.is_of_sort(principal)) {
        return None;
    }
    let is_theirs = rule.identities.is_none()
        || identities.clone().any(|identity: &Identity| identity.matches(principal));
    let operation = rule.operations.contains(&asked.question.operation);
    let repository = asked.repository().is_none_or(|name| {
        rule.repositories.is_empty() || rule.repositories.iter().any(|pattern| pattern.matches(name))
    });
    let key = asked.question.key.is_none_or(|key| rule.keys.is_empty() || rule.keys.contains(key));
    Some([is_theirs, operation, repository, key].into_iter().filter(|met| !met).count())
}
