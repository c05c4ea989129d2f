//! From a reader to what may be read.

use super::RulePolicy;
use super::asked::{Asked, Kept};
use super::decide::matched_claims;
use super::rule::Rule;
use super::shadow::contains;
use crate::domain::{MatchedClaims, Pattern, Reach, Ruling};
use crate::ports::{Decision, Question, RuleLimits};

impl RulePolicy {
    /// What the rules at `candidates` let the principal read; they are in the order of the file. Allow rules add up, and the log names
    /// the first that shows the whole log, or else the first.
    pub(super) fn reach_among(&self, candidates: &[usize], question: &Question<'_>) -> (Decision, Reach) {
        let kept = Kept::default();
        let asked = Asked::new(Question { repository: None, digest: None, ..*question }, &kept);
        let matching = candidates.iter().map(|place| &self.rules[*place]);
        let matching: Vec<_> = matching.filter(|rule| rule.matches_somewhere(&asked)).collect();
        let of = |allows, observes| {
            let rules = matching.iter().copied();
            rules.filter(move |rule| rule.allows() == allows && rule.observes() == observes)
        };
        let of_all = |rule: &&Rule| rule.repositories.is_empty();
        let (shows_all, hides_all) = (of(true, false).find(of_all), of(false, false).find(of_all));
        let (shown, hidden) = (patterns(of(true, false)), patterns(of(false, false)));
        let is_hidden = |shown: &Pattern| hidden.iter().any(|hidden| contains(hidden, shown));
        let hides = if shows_all.is_none() && !shown.is_empty() && shown.iter().all(is_hidden) {
            hides_all.or_else(|| of(false, false).next())
        } else {
            hides_all
        };
        let reach = match (hides, shows_all) {
            (Some(_), _) => Reach::nothing(),
            (None, Some(_)) => Reach::all_but(hidden),
            (None, None) => Reach::of(shown, hidden),
        };
        let rule = hides.or(shows_all).or_else(|| of(true, false).next());
        let allowed = hides.is_none() && rule.is_some();
        let would_change = |rule: &&&Rule| match rule.allows() {
            true => hides.is_none() && shows_all.is_none(),
            false => allowed,
        };
        let observed = matching.iter().filter(|rule| rule.observes()).filter(would_change);
        let decision = Decision {
            allowed,
            ruling: Ruling {
                rule: rule.map(|rule| rule.id.clone()),
                policy: self.digest,
                claims: rule.map_or_else(MatchedClaims::new, |rule| matched_claims(rule, &asked)).into(),
            },
            limits: RuleLimits::default(),
            observed: observed.map(|rule| rule.id.clone()).collect(),
        };
        (decision, reach)
    }
}

fn patterns<'a>(rules: impl Iterator<Item = &'a Rule>) -> Vec<Pattern> {
    rules.flat_map(|rule| &rule.repositories).cloned().collect()
}
