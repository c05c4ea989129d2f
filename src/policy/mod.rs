//! Who may sign what: rules of a file, default deny.

mod file;
mod rule;

use std::collections::HashSet;
use std::path::Path;

use crate::domain::{Digest, MatchedClaims, Operation, Ruling};
use crate::ports::{Decision, Explanation, Policy, PolicyState, Question, RuleLimits, RuleVerdict};

pub use file::PolicyError;
use rule::{Effect, Rule};

/// The rules of one policy file.
#[derive(Debug, Clone)]
pub struct RulePolicy {
    rules: Vec<Rule>,
    digest: Digest,
}

impl RulePolicy {
    /// Reads and checks a policy file.
    ///
    /// # Errors
    /// Names the file, the rule and what would be right.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        file::load(path)
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// A sentence for each name that a rule uses and the configuration does not have: such a rule never matches.
    pub fn unknown_names<'a>(
        &self,
        keys: impl Iterator<Item = &'a str>,
        tokens: impl Iterator<Item = &'a str>,
    ) -> Vec<String> {
        let (keys, tokens): (HashSet<_>, HashSet<_>) = (keys.collect(), tokens.collect());
        let sentences = self.rules.iter().flat_map(|rule| {
            let unknown_keys = rule.keys.iter().filter(|key| !keys.contains(key.as_str()));
            let unknown_token = (!tokens.contains(rule.token.as_str())).then_some(&rule.token);
            unknown_keys
                .map(|key| {
                    format!("rule `{}` names the key `{key}`, which `[[keys]]` does not have", rule.id)
                })
                .chain(unknown_token.map(|token| {
                    format!(
                        "rule `{}` names the token `{token}`, which `[[identity.tokens]]` does not have",
                        rule.id
                    )
                }))
                .collect::<Vec<_>>()
        });
        sentences.collect()
    }

    /// A sentence for each rule that lets somebody attest, in bundles, with a key that is for `both` images and attestations:
    /// `cosign verify` takes any bundle by the key for a signature of the image, whatever its statement says.
    pub fn attestations_like_signatures(&self, both: impl Fn(&str) -> bool) -> Vec<String> {
        let attests =
            |rule: &&Rule| rule.effect == Effect::Allow && rule.allows_bundles_of(Operation::Attest);
        let sentences = self.rules.iter().filter(attests).flat_map(|rule| {
            rule.keys.iter().filter(|key| both(key.as_str())).map(|key| {
                format!(
                    "rule `{}` lets bundles be attested with the key `{key}`, which `cosign verify` takes for signatures of the image; give attestations a key of their own, by `purposes`",
                    rule.id
                )
            })
        });
        sentences.collect()
    }

    /// Whether everything is denied.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Policy for RulePolicy {
    fn decide(&self, question: &Question<'_>) -> Decision {
        let matching =
            |effect| self.rules.iter().find(move |rule| rule.effect == effect && rule.matches(question));
        let deny = matching(Effect::Deny);
        let rule = deny.or_else(|| matching(Effect::Allow));
        let ruling = Ruling {
            rule: rule.map(|rule| rule.id.clone()),
            policy: self.digest,
            claims: MatchedClaims::new(),
        };
        let allowed = deny.is_none() && rule.is_some();
        Decision { allowed, ruling, limits: RuleLimits::default(), observed: Vec::new() }
    }

    fn explain(&self, question: &Question<'_>) -> Explanation {
        let verdict = |rule: &Rule| RuleVerdict {
            id: rule.id.clone(),
            allows: rule.effect == Effect::Allow,
            observes: false,
            failed: (!rule.matches(question)).then(|| "it speaks of something else".to_owned()),
        };
        Explanation { decision: self.decide(question), rules: self.rules.iter().map(verdict).collect() }
    }

    fn state(&self) -> PolicyState {
        PolicyState { digest: self.digest, rules: self.rules.len(), refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Format, Principal, Timestamp};

    fn policy(text: &str) -> RulePolicy {
        file::parse(text).unwrap()
    }

    fn ask(policy: &RulePolicy, name: &str, repository: &str, key: &str, format: Option<Format>) -> Decision {
        let principal = Principal::Token { name: name.to_owned() };
        policy.decide(&Question {
            repository: Some(&repository.parse().unwrap()),
            key: Some(&key.parse().unwrap()),
            format,
            ..Question::new(&principal, Operation::Sign, Timestamp::UNIX_EPOCH)
        })
    }

    const RULES: &str = r#"
version: 1
rules:
  - id: payments
    effect: allow
    identity: {token: ci}
    repositories: ["registry.example.com/payments/**"]
    keys: [release]
    formats: [cosign]
  - id: one-level
    effect: allow
    identity: {token: other}
    repositories: ["registry.example.com/*/app"]
    keys: [release]
  - id: not-legacy
    effect: deny
    identity: {token: ci}
    repositories: ["registry.example.com/payments/legacy/**"]
    keys: [release]
  - id: auditors
    effect: allow
    identity: {token: auditor}
    operations: [log.read]
"#;

    #[test]
    fn what_no_rule_allows_is_denied() {
        let policy = policy(RULES);
        let app = "registry.example.com/payments/app";
        let allowed = ask(&policy, "ci", app, "release", None);
        assert_eq!((allowed.allowed, allowed.ruling.rule.as_deref()), (true, Some("payments")));
        for (name, repository, key) in [
            ("nobody", app, "release"),
            ("ci", "registry.example.com/other/app", "release"),
            ("ci", "registry.example.com/payments", "release"),
            ("ci", "registry.example.com/paymentsx/app", "release"),
            ("ci", "registry.example.com:8443/payments/app", "release"),
            ("ci", app, "other"),
        ] {
            let decision = ask(&policy, name, repository, key, None);
            assert_eq!((decision.allowed, decision.ruling.rule), (false, None), "{name} {repository} {key}");
        }
    }

    #[test]
    fn a_star_stops_at_a_slash_and_two_cross_it() {
        let policy = policy(RULES);
        assert!(ask(&policy, "ci", "registry.example.com/payments/a/b/c", "release", None).allowed);
        assert!(ask(&policy, "other", "registry.example.com/team/app", "release", None).allowed);
        assert!(!ask(&policy, "other", "registry.example.com/team/sub/app", "release", None).allowed);
    }

    #[test]
    fn a_deny_rule_beats_an_allow_rule_and_is_named() {
        let denied = ask(&policy(RULES), "ci", "registry.example.com/payments/legacy/app", "release", None);
        assert_eq!((denied.allowed, denied.ruling.rule.as_deref()), (false, Some("not-legacy")));
    }

    #[test]
    fn a_format_that_the_rule_does_not_name_is_denied() {
        let (policy, app) = (policy(RULES), "registry.example.com/payments/app");
        assert!(ask(&policy, "ci", app, "release", Some(Format::Cosign)).allowed);
        assert!(!ask(&policy, "ci", app, "release", Some(Format::Bundle)).allowed);
    }

    #[test]
    fn an_operation_is_allowed_by_name_alone() {
        let policy = policy(RULES);
        let auditor = Principal::Token { name: "auditor".to_owned() };
        let mut question = Question::new(&auditor, Operation::LogRead, Timestamp::UNIX_EPOCH);
        assert!(policy.decide(&question).allowed);
        question.operation = Operation::Sign;
        assert!(!policy.decide(&question).allowed);
    }

    #[test]
    fn a_rule_for_files_needs_a_key_and_no_repository() {
        let rules = "version: 1\nrules: [{id: a, effect: allow, identity: {token: ci}, keys: [release], operations: [blob]}]";
        let (policy, ci) = (policy(rules), Principal::Token { name: "ci".to_owned() });
        let (release, other) = ("release".parse().unwrap(), "other".parse().unwrap());
        let question = Question::new(&ci, Operation::Blob, Timestamp::UNIX_EPOCH);
        let question = Question { key: Some(&release), ..question };
        assert!(policy.decide(&question).allowed);
        assert!(!policy.decide(&Question { key: Some(&other), ..question }).allowed);
        let repository = "registry.example.com/payments/app".parse().unwrap();
        for operation in [Operation::Sign, Operation::Attest, Operation::Verify] {
            let question = Question { operation, repository: Some(&repository), ..question };
            assert!(!policy.decide(&question).allowed, "{operation}");
        }
    }

    #[test]
    fn attesting_bundles_with_a_key_for_images_is_warned_of() {
        let rule = |more: &str| {
            let rule = format!(
                "{{id: a, effect: allow, identity: {{token: ci}}, repositories: [x.y/z], keys: [release, sbom], {more}}}"
            );
            policy(&format!("version: 1\nrules: [{rule}]"))
                .attestations_like_signatures(|key| key == "release")
        };
        let warnings = rule("operations: [attest]");
        assert!(warnings.len() == 1 && warnings[0].contains("`release`"), "{warnings:?}");
        assert!(rule("operations: [sign]").is_empty());
        assert!(rule("operations: [attest], formats: [cosign]").is_empty());
    }

    #[test]
    fn a_wrong_file_says_which_rule_and_what_would_be_right() {
        for (text, expected) in [
            ("version: 2\nrules: []", "version"),
            (
                "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, keys: [k]}]",
                "rule `a`: `repositories`",
            ),
            (
                "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, repositories: [x.y/z]}]",
                "rule `a`: `keys`",
            ),
            (
                "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, keys: [k], operations: [verify]}]",
                "rule `a`: `repositories`",
            ),
            (
                "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, repositories: ['x.y/[z'], keys: [k]}]",
                "rule `a`: `repositories`",
            ),
            (
                "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, operations: [log.read]}, {id: a, effect: deny, identity: {token: x}, operations: [log.read]}]",
                "rule `a`",
            ),
            (
                "version: 1\nrules: [{id: a, effect: deny, identity: {token: x}, keys: [k], operations: [blob, attest]}]",
                "could never match `attest`",
            ),
            (
                "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, repositories: [x.y/z], operations: [blob]}]",
                "rule `a`: `keys`",
            ),
            ("version: 1\nrules: [{id: a, efect: allow, identity: {token: x}}]", "did you mean"),
            ("version: 1\nrules: [{id: a, effect: allow, identity: {}}]", "token"),
        ] {
            let error = file::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
