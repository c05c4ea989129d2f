//! From a question to a decision.

use super::RulePolicy;
use super::asked::{Asked, Kept};
use super::claims::{dotted, find};
use super::rule::{Rule, concerns, knows_formats};
use super::shown;
use crate::domain::{Format, KeyName, MatchedClaims, Ruling};
use crate::ports::{Decision, Explanation, Question, RuleVerdict};

/// Bytes of one claim in the log, as JSON, and of all claims of a decision.
const MAX_CLAIM: usize = 256;
const MAX_CLAIMS: usize = 4096;

impl RulePolicy {
    /// What the rules at `candidates` say; they are in the order of the file.
    pub(super) fn decide_among(&self, candidates: &[usize], question: &Question<'_>) -> Decision {
        let kept = Kept::default();
        let ways = self.ways(candidates, question);
        let mut decisions =
            ways.into_iter().map(|question| self.decide_one(candidates, &Asked::new(question, &kept)));
        let first = decisions.next().expect("invariant: a question can be meant in one way at least");
        decisions.fold(first, more_telling)
    }

    /// What every rule has to do with `question`.
    pub(super) fn explain_all(&self, question: &Question<'_>) -> Explanation {
        let candidates = self.index.candidates(question.principal);
        let (ways, kept) = (self.ways(&candidates, question), Kept::default());
        let verdict = |rule: &Rule| {
            let failed = |question: &Question<'_>| {
                let asked = Asked::new(*question, &kept);
                rule.unmet(&asked).map(|unmet| rule.explain(&unmet, &asked))
            };
            // It matches where it matches one of the ways in which the question may be meant.
            let all: Option<Vec<_>> = ways.iter().map(failed).collect();
            RuleVerdict {
                id: rule.id.clone(),
                allows: rule.allows(),
                observes: rule.observes(),
                failed: all.and_then(|failed| failed.into_iter().next()),
            }
        };
        Explanation {
            decision: self.decide_among(&candidates, question),
            rules: self.rules.iter().map(verdict).collect(),
        }
    }

    /// A question that leaves format or key open is allowed where it would be allowed for some: here it is for each.
    fn ways<'a>(&'a self, candidates: &[usize], question: &Question<'a>) -> Vec<Question<'a>> {
        let formats = match question.format {
            None if knows_formats(question.operation) => Format::ALL.map(Some).to_vec(),
            given => vec![given],
        };
        let keys = match question.key {
            None if concerns(question.operation).1 => {
                let mut names: Vec<&KeyName> =
                    candidates.iter().flat_map(|place| &self.rules[*place].keys).collect();
                names.sort();
                names.dedup();
                if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() }
            }
            given => vec![given],
        };
        let ways = keys.iter().flat_map(|key| formats.iter().map(move |format| (*key, *format)));
        ways.map(|(key, format)| Question { key, format, ..*question }).collect()
    }

    /// A deny rule beats an allow rule; among those of the same effect, the first in the file decides.
    fn decide_one(&self, candidates: &[usize], asked: &Asked<'_>) -> Decision {
        let rules = || candidates.iter().map(|place| &self.rules[*place]);
        let enforced = |allows| {
            rules().find(move |rule| !rule.observes() && rule.allows() == allows && rule.matches(asked))
        };
        let deny = enforced(false);
        let rule = deny.or_else(|| enforced(true));
        let allowed = deny.is_none() && rule.is_some();
        // What is denied by a rule stays denied whatever another would allow.
        let observed = match (allowed, deny) {
            (true, _) => Some(false),
            (false, None) => Some(true),
            (false, Some(_)) => None,
        };
        let would = |allows| {
            rules().filter(move |rule| rule.observes() && rule.allows() == allows && rule.matches(asked))
        };
        let observed = observed.into_iter().flat_map(would).map(|rule| rule.id.clone()).collect();
        let claims = rule.map_or_else(MatchedClaims::new, |rule| matched_claims(rule, asked));
        let ruling =
            Ruling { rule: rule.map(|rule| rule.id.clone()), policy: self.digest, claims: claims.into() };
        let limits = if allowed { rule.map(|rule| rule.limits) } else { None };
        Decision { allowed, ruling, limits: limits.unwrap_or_default(), observed }
    }
}

/// Of two decisions about the same question, meant in two ways, the one for the whole: what allows before what denies, and what
/// no rule observes before what one does. Of two denials the one that names a rule, with all that would have allowed either.
fn more_telling(first: Decision, other: Decision) -> Decision {
    match (first.allowed, other.allowed) {
        (true, false) => first,
        (false, true) => other,
        (true, true) if first.observed.is_empty() || !other.observed.is_empty() => first,
        (true, true) => other,
        (false, false) => {
            let prefer_other = first.ruling.rule.is_none() && other.ruling.rule.is_some();
            let (mut told, untold) = if prefer_other { (other, first) } else { (first, other) };
            for id in untold.observed {
                if !told.observed.contains(&id) {
                    told.observed.push(id);
                }
            }
            told
        }
    }
}

/// The claims that `rule` looked at, as the log keeps them: cut, as a caller's issuer decides how long they are.
pub(super) fn matched_claims(rule: &Rule, asked: &Asked<'_>) -> MatchedClaims {
    let mut matched = MatchedClaims::new();
    let Some(claims) = asked.question.principal.claims() else { return matched };
    let mut room = MAX_CLAIMS;
    for path in rule.claims_looked_at(asked) {
        let Some(value) = find(claims, path) else { continue };
        let name = dotted(path);
        if matched.contains_key(&name) {
            continue;
        }
        let mut bytes = json_bytes(value);
        let value = if bytes <= MAX_CLAIM {
            value.clone()
        } else {
            let mut json = value.to_string();
            json.truncate(json.floor_char_boundary(MAX_CLAIM / 2));
            let cut = serde_json::Value::from(format!("{}…", shown(&json)));
            bytes = json_bytes(&cut);
            cut
        };
        let Some(left) = room.checked_sub(name.len() + bytes) else { break };
        room = left;
        matched.insert(name, value);
    }
    matched
}

/// How long `value` is as JSON, without writing it down.
fn json_bytes(value: &serde_json::Value) -> usize {
    struct Count(usize);

    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("invariant: a value always becomes JSON");
    count.0
}
