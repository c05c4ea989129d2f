//! Whose tokens a rule speaks of, and what it has to bind there.

use std::collections::BTreeSet;

use super::claims::{Globs, Path};
use super::identity::Conditions;

/// Who issues tokens to jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    GitLab,
    GitHub,
    Buildkite,
    CircleCi,
    Jenkins,
    Kubernetes,
    Spiffe,
}

/// Platforms with their names in the configuration.
const NAMES: [(&str, Platform); 7] = [
    ("gitlab", Platform::GitLab),
    ("github", Platform::GitHub),
    ("buildkite", Platform::Buildkite),
    ("circleci", Platform::CircleCi),
    ("jenkins", Platform::Jenkins),
    ("kubernetes", Platform::Kubernetes),
    ("spiffe", Platform::Spiffe),
];

/// Claims that one platform alone has.
const TELLING: [(&str, Platform); 12] = [
    ("project_id", Platform::GitLab),
    ("namespace_id", Platform::GitLab),
    ("ref_protected", Platform::GitLab),
    ("ref_path", Platform::GitLab),
    ("pipeline_source", Platform::GitLab),
    ("repository_id", Platform::GitHub),
    ("repository", Platform::GitHub),
    ("job_workflow_ref", Platform::GitHub),
    ("event_name", Platform::GitHub),
    ("organization_id", Platform::Buildkite),
    ("organization_slug", Platform::Buildkite),
    ("kubernetes.io", Platform::Kubernetes),
];

impl Platform {
    /// By its name in the configuration.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, platform)| *platform)
    }

    /// By an issuer's name, or by the claims that a rule binds.
    fn guess(issuer: &str, bound: &BTreeSet<&str>) -> Option<Self> {
        let issuer = issuer.to_lowercase();
        let by_name = NAMES.iter().find(|(name, _)| issuer.contains(name)).map(|(_, platform)| *platform);
        let circle = bound.iter().any(|name| name.starts_with("oidc.circleci.com/"));
        let by_claim =
            || TELLING.iter().find(|(name, _)| bound.contains(name)).map(|(_, platform)| *platform);
        by_name.or(circle.then_some(Self::CircleCi)).or_else(by_claim)
    }
}

/// What is dangerous about an allow rule that speaks of these tokens of `issuer`. `named` are the claims of its condition.
pub fn dangers(
    issuer: &str,
    known: Option<Platform>,
    conditions: &Conditions,
    named: &[Path],
) -> Vec<String> {
    let tops = |path: &'_ Path| path.first().cloned().unwrap_or_default();
    let exact = conditions.exact.iter().map(|exact| tops(&exact.path));
    let globs = conditions.globs.iter().filter(|globs| !fits_all(globs)).map(|globs| tops(&globs.path));
    let bound: BTreeSet<_> = exact.chain(globs).chain(named.iter().map(tops)).collect();
    let bound: BTreeSet<_> = bound.iter().map(String::as_str).collect();
    if bound.is_empty() {
        return vec![format!(
            "lets everybody in who has any token of the issuer `{issuer}`: bind claims that name a project"
        )];
    }
    let platform = known.or_else(|| Platform::guess(issuer, &bound));
    let mut dangers = Vec::new();
    if bound.iter().eq(["sub"].iter()) && !is_stable(platform, conditions) {
        dangers.push(
            "binds on `sub` alone, which some platforms let people customise, and which can be claimed by others after a rename; bind ids"
                .to_owned(),
        );
    }
    let values = |claim: &str| {
        let exact = conditions.exact.iter().find(|exact| exact.path.as_slice() == [claim.to_owned()]);
        exact.map(|exact| exact.values.as_slice())
    };
    let named_in_condition = |claim: &str| named.iter().any(|path| tops(path) == claim);
    let is = |claim: &str, wanted: &str| {
        named_in_condition(claim) || values(claim).is_some_and(|values| values == [wanted.to_owned()])
    };
    let without = |claims: &[&str]| {
        claims
            .iter()
            .filter(|claim| !bound.contains(**claim))
            .map(|claim| format!("`{claim}`"))
            .collect::<Vec<_>>()
            .join(" and ")
    };
    match platform {
        Some(Platform::GitLab) => {
            let mut missing = Vec::new();
            if !is("ref_protected", "true") {
                missing.push("`ref_protected: \"true\"`, so that who may push to any branch may sign");
            }
            if !bound.contains("project_id") {
                missing.push("`project_id`, so that other projects may match, also one that takes over the path");
            }
            if !missing.is_empty() {
                let more = without(&["job_project_id", "pipeline_source"]);
                let more = if more.is_empty() { more } else { format!("; against merge requests from forks, bind {more}, too") };
                dangers.push(format!("is for GitLab and does not bind {}{more}", missing.join(", nor ")));
            }
            if bound.contains("ref") && !bound.contains("ref_path") {
                dangers.push("binds `ref`, which is the same for a branch and a tag of one name; bind `ref_path`".to_owned());
            }
        }
        Some(Platform::GitHub) => {
            if !bound.contains("repository_id") {
                dangers.push(
                    "is for GitHub and does not bind `repository_id`, so that who takes over a repository's name may sign".to_owned(),
                );
            }
            let allows = |globs: &Globs| globs.patterns.iter().any(|pattern| pattern.matches(UNTRUSTED));
            let globs = conditions.globs.iter().filter(|globs| globs.path.as_slice() == ["event_name".to_owned()]);
            let listed = values("event_name").is_some_and(|values| values.iter().any(|value| value == UNTRUSTED));
            if listed || globs.into_iter().any(allows) {
                dangers.push(format!(
                    "lets `{UNTRUSTED}` sign, which runs with the repository's rights on what a stranger sent"
                ));
            }
        }
        Some(Platform::Buildkite) if !bound.contains("organization_id") => dangers.push(
            "is for Buildkite, whose one issuer serves every organisation, and does not bind `organization_id`".to_owned(),
        ),
        Some(Platform::CircleCi) => {
            let [org, project, rerun] = ["org-id", "project-id", "ssh-rerun"].map(|name| format!("oidc.circleci.com/{name}"));
            if !bound.contains(project.as_str()) {
                let also = if bound.contains(org.as_str()) { "any project of the organisation" } else { "any project" };
                dangers.push(format!("is for CircleCI and does not bind `{project}`, so that {also} may sign"));
            }
            if !is(&rerun, "false") {
                dangers.push(format!(
                    "is for CircleCI and does not bind `{rerun}: false`, so that who runs a job again over SSH may sign"
                ));
            }
        }
        Some(Platform::Buildkite | Platform::Jenkins | Platform::Kubernetes | Platform::Spiffe) | None => {}
    }
    dangers
}

/// The event of GitHub that is never trustworthy.
const UNTRUSTED: &str = "pull_request_target";

/// Whether a glob is there that leaves nothing out.
pub fn fits_all(globs: &Globs) -> bool {
    globs.patterns.iter().any(|pattern| matches!(pattern.as_str(), "**" | "*"))
}

/// Where `sub` is no name that somebody chose: of service accounts, and SPIFFE IDs.
fn is_stable(platform: Option<Platform>, conditions: &Conditions) -> bool {
    let chosen_by_the_cluster =
        |text: &str| text.starts_with("system:serviceaccount:") || text.starts_with("spiffe://");
    matches!(platform, Some(Platform::Kubernetes | Platform::Spiffe | Platform::Jenkins))
        || conditions.exact.iter().flat_map(|exact| &exact.values).all(|value| chosen_by_the_cluster(value))
            && conditions
                .globs
                .iter()
                .flat_map(|globs| &globs.patterns)
                .all(|p| chosen_by_the_cluster(p.as_str()))
}
