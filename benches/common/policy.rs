//! The policy of benchmarks.

use std::fmt::Write as _;

/// A policy as a company has one: ours is the last of some rules for other projects.
pub fn policy(hosts: &[String]) -> String {
    let claims = |project: usize| {
        format!(
            "{{issuer: gitlab, claims: {{project_id: \"{project}\", job_project_id: \"{project}\", ref_protected: \"true\", \
             pipeline_source: [push, web]}}, globs: {{ref_path: \"refs/tags/v*\"}}}}"
        )
    };
    let repositories: Vec<_> = hosts.iter().map(|host| format!("\"{host}/**\"")).collect();
    let repositories = repositories.join(", ");
    let mut text = "version: 1\nrules:\n".to_owned();
    for project in 0..20 {
        let _ = writeln!(
            text,
            "  - {{id: project-{project}, effect: allow, identity: {identity}, repositories: [{repositories}], keys: [release]}}",
            identity = claims(project),
        );
    }
    let _ = writeln!(
        text,
        "  - {{id: images, effect: allow, identity: {identity}, repositories: [{repositories}], keys: [release], operations: [sign]}}\n  \
           - {{id: files, effect: allow, identity: {identity}, keys: [release], operations: [blob]}}",
        identity = claims(4711),
    );
    text
}
