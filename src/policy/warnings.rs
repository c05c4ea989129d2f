//! What is not wrong with a policy, but surely not meant, or dangerous.

use super::RulePolicy;
use super::configured::Configured;
use super::identity::Identity;
use super::platform::{dangers, fits_all};
use super::rule::{Rule, concerns, knows_formats};
use super::shown;
use crate::domain::{Format, KeyName, Operation, Timestamp};

impl RulePolicy {
    /// A sentence for each rule that can never match, is shadowed or dangerously wide, and why. What rules name is held against
    /// `configured`, where it is known.
    pub fn warnings(&self, configured: Option<&Configured>, now: Timestamp) -> Vec<String> {
        if self.is_empty() {
            return vec!["the policy has no rules, so that nobody may do anything".to_owned()];
        }
        let mut all = Vec::new();
        for (place, rule) in self.rules.iter().enumerate() {
            let mut of_the_rule = in_vain(rule, now);
            of_the_rule.extend(self.shadowed(place));
            of_the_rule.extend(unknown(rule, configured));
            of_the_rule.extend(too_wide(rule, configured));
            all.extend(of_the_rule.into_iter().map(|text| format!("rule `{}` {text}", shown(&rule.id))));
        }
        all
    }

    /// Which rule leaves the one at `place` nothing to decide.
    fn shadowed(&self, place: usize) -> Option<String> {
        let rule = &self.rules[place];
        if rule.observes() || rule.operations.is_empty() {
            return None;
        }
        // Who covers the rule speaks of whomever the rule speaks of, so of this one, too.
        let somebody =
            rule.identities.as_ref().and_then(|identities| identities.first()).map(Identity::example);
        let others = somebody
            .map_or_else(|| self.index.everybody().to_vec(), |somebody| self.index.candidates(&somebody));
        let others =
            others.into_iter().filter(|other| *other != place).map(|other| (other, &self.rules[other]));
        let mut enforced = others.filter(|(_, other)| !other.observes());
        let (_, other) = enforced.find(|(other_place, other)| {
            let before = *other_place < place;
            let decides_first =
                if other.allows() { rule.allows() && before } else { rule.allows() || before };
            decides_first && other.covers(rule)
        })?;
        let id = shown(&other.id);
        Some(match (other.allows(), rule.allows()) {
            (false, true) => {
                format!("can never allow anything: the deny rule `{id}` denies all that it speaks of")
            }
            _ => format!("never decides: rule `{id}` before it speaks of the same, and of the same callers"),
        })
    }
}

/// What keeps the rule, or one of its operations, from ever mattering.
fn in_vain(rule: &Rule, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(until) = rule.valid_until.filter(|until| *until <= now) {
        warnings.push(format!("can never match any more: it was valid until {until}"));
    }
    if rule.resign {
        warnings.push("names `resign`, which no request asks for in this version".to_owned());
    }
    let has = |operation| rule.operations.contains(&operation);
    if !rule.annotations.is_empty() {
        // They are part of what is signed in an image's signature, and of nothing else.
        for operation in [Operation::Attest, Operation::Blob, Operation::LogRead, Operation::PolicyExplain] {
            if has(operation) {
                warnings.push(format!("can never match `{operation}`: it requires annotations, and only images are signed with any; give `{operation}` a rule of its own"));
            }
        }
    }
    if !rule.predicate_types.is_empty() && !has(Operation::Attest) {
        warnings.push(
            "has `predicate_types`, which are asked for `attest` alone, and does not name `attest`"
                .to_owned(),
        );
    }
    if has(Operation::LogRead) && rule.condition.as_ref().is_some_and(|condition| condition.looks_at_subject)
    {
        let so = match rule.allows() {
            true => "can never match `log.read`",
            false => "denies `log.read` of all that it names, whatever its condition says",
        };
        warnings.push(format!("{so}: its condition looks at the repository or the digest, and what may be read of the log is decided before either is known; name `repositories`, in a rule of its own"));
    }
    let narrowed = rule.formats.len() < Format::ALL.len();
    if narrowed
        && !rule.operations.is_empty()
        && !rule.operations.iter().any(|operation| knows_formats(*operation))
    {
        warnings.push("has `formats`, which none of its operations knows".to_owned());
    }
    let limited = rule.limits.per_hour.is_some() || rule.limits.per_token.is_some();
    let signs = [Operation::Sign, Operation::Attest, Operation::Blob].into_iter().any(has);
    if limited && !signs {
        warnings
            .push("has `limits`, which count signatures, and none of its operations makes one".to_owned());
    }
    warnings
}

/// What the rule names and the configuration does not have.
fn unknown(rule: &Rule, configured: Option<&Configured>) -> Vec<String> {
    let Some(configured) = configured else { return Vec::new() };
    let mut warnings = Vec::new();
    for key in rule.keys.iter().filter(|key| !configured.has_key(key.as_str())) {
        warnings.push(format!("names the key `{key}`, which `[[keys]]` does not have"));
    }
    for identity in rule.identities.iter().flatten() {
        match identity {
            Identity::Token(names) => {
                let unknown = names.iter().filter(|name| !configured.has_token(name));
                warnings.extend(unknown.map(|name| {
                    format!("names the token `{}`, which `[[identity.tokens]]` does not have", shown(name))
                }));
            }
            Identity::Issuer { name, .. } if configured.lacks_issuer(name) => warnings.push(format!(
                "names the issuer `{}`, which `[[identity.issuers]]` does not have",
                shown(name)
            )),
            Identity::Issuer { .. } | Identity::Certificate(_) => {}
        }
    }
    let known: Vec<_> = rule.keys.iter().filter(|key| configured.has_key(key.as_str())).collect();
    let is_for = |operation| known.iter().any(|key| configured.key_is_for(key.as_str(), operation));
    let with_keys = rule.operations.iter().filter(|operation| concerns(**operation).1);
    for operation in with_keys.filter(|operation| !known.is_empty() && !is_for(**operation)) {
        warnings.push(format!(
            "can never match `{operation}`: none of its keys is for that, by their `purposes`"
        ));
    }
    let bundles = rule.operations.contains(&Operation::Attest) && rule.formats.contains(&Format::Bundle);
    let both = |key: &&KeyName| {
        [Operation::Sign, Operation::Attest]
            .iter()
            .all(|operation| configured.key_is_for(key.as_str(), *operation))
    };
    if rule.allows() && bundles {
        // `cosign verify` takes any bundle by the key for a signature of the image, whatever its statement says.
        warnings.extend(rule.keys.iter().filter(both).map(|key| {
            format!("lets bundles be attested with the key `{key}`, which `cosign verify` takes for signatures of the image; give attestations a key of their own, by `purposes`")
        }));
    }
    warnings
}

/// What lets in more than anybody can want.
fn too_wide(rule: &Rule, configured: Option<&Configured>) -> Vec<String> {
    if !rule.allows() {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    for pattern in &rule.repositories {
        let host = pattern.as_str().split('/').next().unwrap_or_default();
        if host.contains('*') {
            warnings.push(format!(
                "allows `{}`, repositories of any host, also of one that is configured later; name the host",
                shown(pattern.as_str())
            ));
        }
    }
    let named = rule.condition.as_ref().map_or(&[][..], |condition| &condition.claims);
    for identity in rule.identities.iter().flatten() {
        if let Some(conditions) = identity.conditions() {
            let idle = conditions.globs.iter().filter(|globs| fits_all(globs));
            warnings.extend(idle.map(|globs| {
                let name = super::claims::dotted(&globs.path);
                format!(
                    "has a glob for `{}` that fits every value, or every one without a slash",
                    shown(&name)
                )
            }));
        }
        if let Identity::Issuer { name, conditions } = identity {
            let platform = configured.and_then(|configured| configured.platform(name));
            warnings.extend(dangers(&shown(name), platform, conditions, named));
        }
    }
    warnings
}
