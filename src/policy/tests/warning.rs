//! What is warned of.

use super::rules;
use crate::config::Config;
use crate::config::Platform;
use crate::domain::Timestamp;
use crate::policy::{Configured, RulePolicy};

fn warnings(policy: &RulePolicy, configured: Option<&Configured>) -> Vec<String> {
    policy.warnings(configured, "2026-06-01T12:00:00Z".parse::<Timestamp>().unwrap())
}

/// The warnings of rules by themselves.
fn of(texts: &[&str]) -> Vec<String> {
    warnings(&rules(texts), None)
}

fn of_identity(identity: &str) -> Vec<String> {
    of(&[&format!("id: a, identity: {identity}")])
}

#[test]
fn a_rule_that_can_never_match_is_warned_of() {
    for (rule, expected) in [
        ("valid_until: 2026-06-01T12:00:00Z", "it was valid until 2026-06-01T12:00:00Z"),
        ("operations: [resign]", "`resign`, which no request asks for"),
        ("operations: [sign, attest], annotations: {a: b}", "can never match `attest`"),
        ("operations: [blob], annotations: {a: b}", "can never match `blob`"),
        ("predicate_types: [spdx]", "`predicate_types`, which are asked for `attest` alone"),
        ("operations: [blob], formats: [cosign]", "`formats`, which none of its operations knows"),
        ("operations: [log.read], limits: {per_hour: 1}", "none of its operations makes one"),
        ("operations: [log.read], condition: request.host == 'x.y'", "can never match `log.read`"),
        (
            "effect: deny, operations: [sign, log.read], condition: has(request.repository)",
            "denies `log.read` of all that it names, whatever its condition says",
        ),
    ] {
        let warnings = of(&[&format!("id: a, identity: {{token: ci}}, {rule}")]);
        assert!(warnings.len() == 1 && warnings[0].starts_with("rule `a` "), "{rule}: {warnings:?}");
        assert!(warnings[0].contains(expected), "{rule}: {warnings:?}");
    }
    let valid = of(&["id: a, identity: {token: ci}, valid_until: 2026-06-01T12:00:01Z"]);
    assert_eq!(valid, Vec::<String>::new());
    assert!(of(&[])[0].contains("no rules"));
}

#[test]
fn a_rule_with_nothing_left_to_decide_is_warned_of() {
    let shadowed = |texts: &[&str]| {
        of(texts).into_iter().any(|warning| warning.contains("rule `b`") && warning.contains("rule `a`"))
    };
    let allow = "id: b, identity: {token: ci}, repositories: [x.y/team/*], formats: [cosign]";
    for other in [
        "id: a, identity: {token: ci}",
        "id: a, effect: deny, identity: {token: [ci, cd]}, repositories: ['x.y/team/**', x.y/more]",
        "id: a, effect: deny",
        "id: a, identity: {token: ci}, repositories: [x.y/team/*], formats: [cosign]",
    ] {
        assert!(shadowed(&[other, allow]), "{other}");
    }
    assert!(shadowed(&[allow, "id: a, effect: deny"]), "a deny rule wins wherever it stands");
    for other in [
        "id: a, mode: observe, identity: {token: ci}",
        "id: a, identity: {token: ci}, keys: [l]",
        "id: a, identity: {token: ci}, repositories: [x.y/team/app]",
        "id: a, identity: {token: ci}, formats: [bundle]",
        "id: a, identity: {token: ci}, operations: [verify]",
        "id: a, identity: {token: ci}, condition: request.key == 'k'",
        "id: a, identity: {token: ci}, annotations: {a: b}",
        "id: a, identity: {token: ci}, valid_until: 2026-07-01T00:00:00Z",
        "id: a, identity: {issuer: ci, claims: {a: b}}",
    ] {
        assert!(!shadowed(&[other, allow]), "{other}");
    }
    let whole = "version: 1\nrules: [{id: a, effect: allow, identity: {token: ci}, repositories: [x.y/**], operations: [log.read]}, {id: b, effect: allow, identity: {token: ci}, operations: [log.read]}]";
    let whole = RulePolicy::parse(whole.as_bytes()).unwrap();
    assert_eq!(warnings(&whole, None), Vec::<String>::new(), "without repositories it shows the whole log");
    assert!(!shadowed(&[allow, "id: a, identity: {token: ci}"]), "the wider rule stands behind the narrower");
    let of_claims =
        |id: &str, claims: &str| format!("id: {id}, identity: {{issuer: i, claims: {{{claims}}}}}");
    let narrow = of_claims("b", "project_id: '1', ref_protected: 'true', x: y");
    assert!(shadowed(&[&of_claims("a", "project_id: ['1', '2'], ref_protected: 'true'"), &narrow]));
    assert!(shadowed(&[&of_claims("a", "n: {m: 1}"), &of_claims("b", "n: {m: 1, o: 2}, project_id: '1'")]));
    assert!(!shadowed(&[&of_claims("a", "project_id: '3', ref_protected: 'true'"), &narrow]));
}

#[test]
fn a_dangerously_wide_rule_is_warned_of_with_the_reason() {
    for (identity, expected) in [
        ("{issuer: i}", "lets everybody in who has any token of the issuer `i`"),
        ("{issuer: i, globs: {project_id: '*'}}", "lets everybody in"),
        ("{issuer: i, claims: {sub: x}}", "binds on `sub` alone"),
        ("{issuer: i, claims: {project_id: '1', ref: main}}", "`ref_protected: \"true\"`"),
        ("{issuer: i, claims: {project_id: '1'}}", "bind `job_project_id` and `pipeline_source`, too"),
        ("{issuer: i, claims: {ref_protected: 'true'}}", "`project_id`, so that other projects"),
        ("{issuer: i, claims: {project_id: '1', ref_protected: ['true', 'false']}}", "`ref_protected"),
        ("{issuer: our-gitlab, claims: {namespace_path: x}}", "nor `project_id`"),
        ("{issuer: i, claims: {project_id: '1', ref_protected: true, ref: v1}}", "bind `ref_path`"),
        ("{issuer: i, claims: {repository: a/b}}", "`repository_id`, so that who takes over"),
        (
            "{issuer: i, claims: {repository_id: '1', event_name: [push, pull_request_target]}}",
            "`pull_request_target`",
        ),
        ("{issuer: i, claims: {repository_id: '1'}, globs: {event_name: 'pull_*'}}", "`pull_request_target`"),
        ("{issuer: buildkite, claims: {pipeline_id: '1'}}", "`organization_id`"),
        (
            "{issuer: i, claims: {oidc.circleci.com/org-id: '1', oidc.circleci.com/ssh-rerun: false}}",
            "any project of the organisation",
        ),
        ("{issuer: i, claims: {oidc.circleci.com/project-id: '1'}}", "again over SSH"),
    ] {
        let warnings = of_identity(identity);
        assert!(warnings.iter().any(|warning| warning.contains(expected)), "{identity}: {warnings:?}");
    }
    for pattern in ["**", "**/app", "*.example.com/**"] {
        let warnings = of(&[&format!("id: a, identity: {{token: ci}}, repositories: ['{pattern}']")]);
        assert!(warnings.len() == 1 && warnings[0].contains("any host"), "{pattern}: {warnings:?}");
    }
}

#[test]
fn a_rule_that_binds_enough_is_not_warned_of() {
    for identity in [
        "{token: ci}",
        "{certificate: {spiffe_id: spiffe://x.y/ci}}",
        "{issuer: gitlab, claims: {project_id: '1', ref_protected: 'true'}}",
        "{issuer: i, claims: {repository_id: '1', event_name: push}}",
        "{issuer: i, claims: {organization_id: '1'}}",
        "{issuer: i, claims: {oidc.circleci.com/project-id: '1', oidc.circleci.com/ssh-rerun: 'false'}}",
        "{issuer: i, claims: {sub: 'system:serviceaccount:ci:builder'}}",
        "{issuer: i, claims: {kubernetes.io: {namespace: ci}}}",
        "{issuer: i, claims: {sub: x, team: y}}",
        "{issuer: gitlab}, condition: \"claims.project_id == '1' && claims.ref_protected == 'true'\"",
        "{issuer: i}, effect: deny, repositories: ['**']",
    ] {
        assert_eq!(of_identity(identity), Vec::<String>::new(), "{identity}");
    }
}

#[test]
fn an_issuers_platform_is_what_the_configuration_says_it_is() {
    let policy = rules(&["id: a, identity: {issuer: corp, claims: {team: x}}"]);
    let issuers = |name: &str, platform: &str| {
        let issuers = [(name.to_owned(), serde_json::from_value::<Platform>(platform.into()).ok())].into();
        let mut configured = configured();
        configured.issuers = Some(issuers);
        warnings(&policy, Some(&configured)).concat()
    };
    assert!(
        issuers("corp", "gitlab").contains("for GitLab") && issuers("corp", "github").contains("for GitHub")
    );
    assert_eq!(issuers("corp", "jenkins"), "");
    assert!(issuers("other", "gitlab").contains("`corp`, which `[[identity.issuers]]` does not have"));
}

#[test]
fn names_that_the_configuration_does_not_have_are_warned_of() {
    let configured = configured();
    let of = |rule: &str| warnings(&rules(&[rule]), Some(&configured));
    assert_eq!(of("id: a, identity: {token: ci}"), Vec::<String>::new());
    let key = of("id: a, identity: {token: ci}, keys: [k, other]");
    assert_eq!(key, ["rule `a` names the key `other`, which `[[keys]]` does not have"]);
    let token = of("id: a, identity: {token: [ci, cd]}");
    assert_eq!(token, ["rule `a` names the token `cd`, which `[[identity.tokens]]` does not have"]);
    let purpose = of("id: a, identity: {token: ci}, keys: [sbom], operations: [sign, attest]");
    assert!(purpose.len() == 1 && purpose[0].contains("can never match `sign`"), "{purpose:?}");
}

#[test]
fn attesting_bundles_with_a_key_for_images_is_warned_of() {
    let configured = configured();
    let of = |more: &str| {
        let rule = format!("id: a, identity: {{token: ci}}, keys: [k, sbom], {more}");
        warnings(&rules(&[&rule]), Some(&configured))
    };
    let warnings = of("operations: [attest]");
    assert!(warnings.len() == 1 && warnings[0].contains("`k`, which `cosign verify` takes"), "{warnings:?}");
    assert!(of("operations: [sign]").is_empty());
    assert!(of("operations: [attest], formats: [cosign]").is_empty());
}

/// The key `k` for everything, `sbom` for attestations alone, and the token `ci`.
fn configured() -> Configured {
    let text = "
[vault]
address = 'http://127.0.0.1:8200'
[vault.auth]
method = 'token'
token = 'x'
[[keys]]
name = 'k'
[[keys]]
name = 'sbom'
purposes = ['attestation']
[[registries]]
host = 'x.y'
[[identity.tokens]]
name = 'ci'
sha256 = '0000000000000000000000000000000000000000000000000000000000000000'
[policy]
file = 'policy.yaml'
[log]
path = 'signet.db'
";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("signet.toml");
    std::fs::write(&path, text).unwrap();
    let config: Config = crate::config::load(&path).unwrap();
    Configured::of(&config)
}
