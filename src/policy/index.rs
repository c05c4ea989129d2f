//! Which rules may speak of a caller, without looking at each.

use std::collections::{HashMap, HashSet};

use super::claims::{Path, find, scalars};
use super::identity::{Conditions, Identity};
use super::rule::Rule;
use crate::domain::{Claims, Principal};

/// Leads from a caller to the rules that may speak of it: by the kind of identity, by the name of token or issuer, and there
/// by the one exact claim of each rule that tells most rules apart.
#[derive(Debug, Clone, Default)]
pub struct Index {
    tokens: HashMap<String, Vec<usize>>,
    issuers: HashMap<String, Bucket>,
    certificates: Bucket,
    everybody: Vec<usize>,
}

/// Rules that differ in what claims have to say.
#[derive(Debug, Clone, Default)]
struct Bucket {
    by_claim: Vec<(Path, HashMap<String, Vec<usize>>)>,
    /// Rules without an exact claim.
    rest: Vec<usize>,
}

impl Index {
    pub fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        let mut issuers: HashMap<&str, Vec<(usize, &Conditions)>> = HashMap::new();
        let mut certificates = Vec::new();
        for (place, rule) in rules.iter().enumerate() {
            let Some(identities) = &rule.identities else {
                index.everybody.push(place);
                continue;
            };
            for identity in identities {
                match identity {
                    Identity::Token(names) => {
                        names
                            .iter()
                            .for_each(|name| index.tokens.entry(name.clone()).or_default().push(place));
                    }
                    Identity::Certificate(conditions) => certificates.push((place, conditions)),
                    Identity::Issuer { name, conditions } => {
                        issuers.entry(name).or_default().push((place, conditions));
                    }
                }
            }
        }
        index.certificates = Bucket::new(&certificates);
        index.issuers =
            issuers.into_iter().map(|(name, rules)| (name.to_owned(), Bucket::new(&rules))).collect();
        index
    }

    /// The places of the rules without an identity.
    pub fn everybody(&self) -> &[usize] {
        &self.everybody
    }

    /// The places of all rules that may speak of `principal`, in the order of the file, each once.
    pub fn candidates(&self, principal: &Principal) -> Vec<usize> {
        let mut found = self.everybody.clone();
        match principal {
            Principal::Token { name } => found.extend(self.tokens.get(name).into_iter().flatten()),
            Principal::Workload(workload) => {
                if let Some(bucket) = self.issuers.get(&workload.issuer) {
                    bucket.collect(&workload.claims, &mut found);
                }
            }
            Principal::Certificate(certificate) => self.certificates.collect(&certificate.claims, &mut found),
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Bucket {
    fn new(rules: &[(usize, &Conditions)]) -> Self {
        let mut values: HashMap<&Path, HashSet<&str>> = HashMap::new();
        for exact in rules.iter().flat_map(|(_, conditions)| &conditions.exact) {
            values.entry(&exact.path).or_default().extend(exact.values.iter().map(String::as_str));
        }
        let mut by_claim: HashMap<&Path, HashMap<String, Vec<usize>>> = HashMap::new();
        let mut rest = Vec::new();
        for (place, conditions) in rules {
            let telling = |exact: &&super::claims::Exact| {
                values.get(&exact.path).map_or(0, HashSet::len) / exact.values.len()
            };
            match conditions.exact.iter().max_by_key(telling) {
                Some(exact) => {
                    let rules = by_claim.entry(&exact.path).or_default();
                    exact
                        .values
                        .iter()
                        .for_each(|value| rules.entry(value.clone()).or_default().push(*place));
                }
                None => rest.push(*place),
            }
        }
        Self { by_claim: by_claim.into_iter().map(|(path, rules)| (path.clone(), rules)).collect(), rest }
    }

    fn collect(&self, claims: &Claims, found: &mut Vec<usize>) {
        found.extend(&self.rest);
        for (path, rules) in &self.by_claim {
            for text in find(claims, path).into_iter().flat_map(scalars) {
                found.extend(rules.get(text.as_ref()).into_iter().flatten());
            }
        }
    }
}
