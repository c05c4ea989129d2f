//! A job of each platform signs: its token has the claims that the platform documents, and section and rule are those that
//! `docs/ci` has users paste, with the issuer of this test in the place of the platform's.

use serde_json::{Value, json};

use crate::support::issuer::{AUDIENCE, Issuer, SigningKey, now};
use crate::support::servers::unique;
use crate::support::world::Settings;
use crate::support::{Answer, World};

/// A platform, and what differs from one job to another.
struct Platform {
    /// Its recipe below `docs/ci`.
    recipe: &'static str,
    /// Where its issuer is, on its host.
    path: &'static str,
    header: Value,
    /// But for `iss`, `aud` and times.
    claims: Value,
    /// What the log calls the job.
    principal: &'static str,
    /// Claims of jobs that may not sign.
    others: Vec<(&'static str, Value)>,
}

#[tokio::test]
async fn a_gitlab_job_signs() {
    let claims = json!({
        "namespace_id": "72", "namespace_path": "payments", "project_id": "4711", "project_path": "payments/app",
        "job_project_id": "4711", "job_project_path": "payments/app", "job_namespace_id": "72", "job_namespace_path": "payments",
        "user_id": "1302", "user_login": "release-bot", "user_email": "release-bot@example.com", "user_access_level": "developer",
        "user_identities": [{"provider": "saml", "extern_uid": "u-1302"}],
        "pipeline_id": "912034", "pipeline_source": "push", "job_id": "7811203", "ref": "v1.4.2", "ref_type": "tag",
        "ref_path": "refs/tags/v1.4.2", "ref_protected": "true", "environment": "production", "environment_protected": "true",
        "deployment_tier": "production", "environment_action": "start", "runner_id": 31, "runner_environment": "self-hosted",
        "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc", "project_visibility": "private",
        "ci_config_ref_uri": "gitlab.example.com/payments/app//.gitlab-ci.yml@refs/tags/v1.4.2",
        "ci_config_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "sub": "project_path:payments/app:ref_type:tag:ref:v1.4.2",
    });
    let platform = Platform {
        recipe: "gitlab",
        path: "",
        header: json!({"kid": "k", "typ": "JWT", "alg": "RS256"}),
        claims,
        principal: "oidc:gitlab:4711",
        others: vec![
            ("project_id", json!("4712")),
            // A merge request from a fork, whose pipeline runs in the parent.
            ("job_project_id", json!("99")),
            ("ref_protected", json!("false")),
            ("ref_path", json!("refs/heads/main")),
            ("ref_path", json!("refs/tags/v1/../../heads/x")),
            ("pipeline_source", json!("merge_request_event")),
            ("runner_environment", json!("gitlab-hosted")),
        ],
    };
    platform.signs().await;
}

#[tokio::test]
async fn a_github_job_signs() {
    let claims = json!({
        "sub": "repo:octo-org/app:environment:release", "environment": "release",
        "ref": "refs/tags/v1.4.2", "ref_type": "tag", "ref_protected": "false", "base_ref": "", "head_ref": "",
        "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc", "repository": "octo-org/app", "repository_id": "74",
        "repository_owner": "octo-org", "repository_owner_id": "65", "repository_visibility": "private",
        "actor": "octocat", "actor_id": "12", "event_name": "push", "run_id": "30433642", "run_number": "10", "run_attempt": "2",
        "workflow": "release", "workflow_ref": "octo-org/app/.github/workflows/release.yml@refs/tags/v1.4.2",
        "workflow_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "job_workflow_ref": "octo-org/app/.github/workflows/release.yml@refs/tags/v1.4.2",
        "job_workflow_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "runner_environment": "github-hosted", "enterprise": "octo", "enterprise_id": "4",
    });
    let platform = Platform {
        recipe: "github-actions",
        path: "",
        header: json!({"typ": "JWT", "alg": "RS256", "x5t": "eBZ_cn3sXYAd0ch4THBKHIgOwOE", "kid": "k"}),
        claims,
        principal: "oidc:github:74",
        others: vec![
            ("repository_id", json!("75")),
            ("repository_owner_id", json!("66")),
            ("event_name", json!("pull_request_target")),
            ("environment", json!("preview")),
            ("ref", json!("refs/heads/main")),
            ("job_workflow_ref", json!("octo-org/app/.github/workflows/other.yml@refs/tags/v1.4.2")),
            ("runner_environment", json!("self-hosted")),
        ],
    };
    platform.signs().await;
}

#[tokio::test]
async fn a_buildkite_job_signs() {
    let claims = json!({
        "sub": "organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3182061f1e2cca4702c368cbc039b7dc9d4485:step:",
        "organization_slug": "acme", "pipeline_slug": "app", "build_number": 5, "build_branch": "main", "build_tag": null,
        "build_commit": "9f3182061f1e2cca4702c368cbc039b7dc9d4485", "step_key": null,
        "job_id": "0184990a-477b-4fa8-9968-496074483cee", "agent_id": "0184990a-4782-42b5-afc1-16715b10b8ff",
        "build_source": "webhook", "runner_environment": "buildkite-hosted",
        "organization_id": "0184990a-0000-4000-8000-000000000001", "pipeline_id": "0184990a-0000-4000-8000-000000000002",
    });
    let platform = Platform {
        recipe: "buildkite",
        path: "",
        header: json!({"kid": "k", "alg": "RS256"}),
        claims,
        principal: "oidc:buildkite:0184990a-0000-4000-8000-000000000002",
        others: vec![
            ("organization_id", json!("0184990a-0000-4000-8000-000000000009")),
            ("organization_id", Value::Null),
            ("pipeline_id", json!("0184990a-0000-4000-8000-000000000009")),
            ("build_branch", json!("topic")),
            ("build_source", json!("ui")),
        ],
    };
    platform.signs().await;
}

#[tokio::test]
async fn a_circleci_job_signs() {
    let org = "5f2c6d1e-0000-4000-8000-000000000001";
    let project = "5f2c6d1e-0000-4000-8000-000000000002";
    let claims = json!({
        "sub": format!("org/{org}/project/{project}/user/5f2c6d1e-0000-4000-8000-000000000003"),
        "oidc.circleci.com/org-id": org, "oidc.circleci.com/project-id": project,
        "oidc.circleci.com/context-ids": ["5f2c6d1e-0000-4000-8000-000000000004"],
        "oidc.circleci.com/job-id": "5f2c6d1e-0000-4000-8000-000000000005",
        "oidc.circleci.com/pipeline-id": "5f2c6d1e-0000-4000-8000-000000000006",
        "oidc.circleci.com/pipeline-definition-id": "5f2c6d1e-0000-4000-8000-000000000007",
        "oidc.circleci.com/ssh-rerun": false, "oidc.circleci.com/vcs-origin": "github.com/acme/app",
        "oidc.circleci.com/vcs-ref": "refs/heads/main",
    });
    let platform = Platform {
        recipe: "circleci",
        path: "/org/5f2c6d1e-0000-4000-8000-000000000001",
        header: json!({"alg": "RS256", "typ": "JWT", "kid": "k"}),
        claims,
        principal: "oidc:circleci:5f2c6d1e-0000-4000-8000-000000000002",
        others: vec![
            ("oidc.circleci.com/project-id", json!("5f2c6d1e-0000-4000-8000-000000000009")),
            ("oidc.circleci.com/org-id", json!("5f2c6d1e-0000-4000-8000-000000000009")),
            ("oidc.circleci.com/ssh-rerun", json!(true)),
            ("oidc.circleci.com/vcs-ref", json!("refs/heads/topic")),
        ],
    };
    platform.signs().await;
}

#[tokio::test]
async fn a_jenkins_build_signs() {
    let job = "https://jenkins.example.com/job/payments/job/app/job/main/";
    let platform = Platform {
        recipe: "jenkins",
        path: "/oidc",
        header: json!({"kid": "k", "alg": "RS256"}),
        claims: json!({"sub": job, "build_number": 17, "branch": "main"}),
        principal: "oidc:jenkins:https://jenkins.example.com/job/payments/job/app/job/main/",
        others: vec![
            ("sub", json!("https://jenkins.example.com/job/payments/job/app/job/topic/")),
            ("sub", json!("https://jenkins.example.com/job/payments/job/app/job/main")),
            ("branch", json!("topic")),
        ],
    };
    platform.signs().await;
}

#[tokio::test]
async fn a_pod_signs() {
    let serviceaccount = |uid: &str| {
        json!({
            "namespace": "ci",
            "node": {"name": "node-7", "uid": "0b3f9f6e-0000-4000-8000-000000000007"},
            "pod": {"name": "sign-x7k2p", "uid": "0b3f9f6e-0000-4000-8000-000000000008"},
            "serviceaccount": {"name": "signer", "uid": uid},
            "warnafter": now() + 3607,
        })
    };
    let uid = "0b3f9f6e-0000-4000-8000-000000000001";
    let platform = Platform {
        recipe: "kubernetes",
        path: "",
        header: json!({"alg": "RS256", "kid": "k"}),
        claims: json!({"aud": [AUDIENCE], "sub": "system:serviceaccount:ci:signer", "kubernetes.io": serviceaccount(uid)}),
        principal: "oidc:cluster:system:serviceaccount:ci:signer",
        others: vec![
            ("sub", json!("system:serviceaccount:default:signer")),
            // The account was deleted, and somebody made another of its name.
            ("kubernetes.io", serviceaccount("0b3f9f6e-0000-4000-8000-000000000002")),
            ("kubernetes.io", json!({"namespace": "ci"})),
            ("kubernetes.io", json!("ci")),
        ],
    };
    platform.signs().await;
}

#[tokio::test]
async fn a_workload_with_a_jwt_svid_signs() {
    let platform = Platform {
        recipe: "spiffe",
        path: "",
        header: json!({"alg": "RS256", "kid": "k", "typ": "JOSE"}),
        claims: json!({"aud": [AUDIENCE], "sub": "spiffe://example.org/ns/ci/sa/signer", "jti": null}),
        principal: "oidc:spire:spiffe://example.org/ns/ci/sa/signer",
        others: vec![
            ("sub", json!("spiffe://example.org/ns/ci/sa/other")),
            ("sub", json!("spiffe://other.example/ns/ci/sa/signer")),
            ("sub", json!("spiffe://example.org/ns/ci/sa/signer/")),
        ],
    };
    platform.signs().await;
}

impl Platform {
    /// The job signs an image of its repository and no other, other jobs do not, and the log says who it was and what was
    /// matched.
    async fn signs(self) {
        let issuer = Issuer::start_at(self.path).await;
        let key = SigningKey::rsa("k");
        let mut jwk = key.jwk();
        if self.recipe == "spiffe" {
            jwk["use"] = json!("jwt-svid");
        }
        issuer.publish([jwk]);
        let (section, rule) = self.pasted(&issuer);
        let lines = vec![("identity", format!("audience = '{AUDIENCE}'"))];
        let mut world = World::with(Settings { lines, sections: section, ..Settings::default() }).await;
        world.write_policy(&in_world(&rule, &world));
        world.restart();

        let token = |claims: &Value| key.sign_with(&self.header, &claims.to_string());
        let right = self.with(&issuer, &[]);
        let image = world.push_image().await;
        let answer = sign(&world, &token(&right), &image).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let outcome = world.entries("kind=outcome").await.pop().unwrap();
        assert_eq!(outcome["principal"], self.principal, "{outcome}");
        // The same token serves for more than one image.
        assert_eq!(sign(&world, &token(&right), &world.push_image().await).await.status, 201);

        let elsewhere = image.replacen("/team/", "/team-2/", 1);
        assert_ne!(elsewhere, image);
        assert_eq!(sign(&world, &token(&right), &elsewhere).await.code(), "forbidden");
        for (claim, value) in &self.others {
            let other = self.with(&issuer, &[(claim, value)]);
            let answer = sign(&world, &token(&other), &image).await;
            let nameless = value.is_null() && answer.status == 401;
            assert!(answer.code() == "forbidden" || nameless, "{claim} = {value}: {answer:?}");
        }
        let log = world.signet.log_lines().join("\n");
        assert!(!log.contains("eyJ"), "the log has the beginning of a token");
    }

    /// The recipe's section and rule. The section is changed where it names the platform's own host and files.
    fn pasted(&self, issuer: &Issuer) -> (String, String) {
        let path = format!("{}/docs/ci/{}.md", env!("CARGO_MANIFEST_DIR"), self.recipe);
        let text = std::fs::read_to_string(path).unwrap();
        let mut blocks = text.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap());
        let (section, rule) = (blocks.next().unwrap(), blocks.next().unwrap());
        assert_eq!((section.0, rule.0), ("toml", "yaml"));
        let lines = section
            .1
            .lines()
            .filter(|line| !["ca_file", "jwks_file"].iter().any(|key| line.starts_with(key)));
        let lines = lines.map(|line| match line.starts_with("issuer = ") {
            true => format!("issuer = '{}'\nca_file = '{}'", issuer.url, issuer.ca_file.display()),
            false => line.to_owned(),
        });
        (lines.map(|line| line + "\n").collect(), rule.1.to_owned())
    }

    /// The claims of a job; `null` takes one away, but for those that are null as documented.
    fn with(&self, issuer: &Issuer, changes: &[(&str, &Value)]) -> Value {
        let now = now();
        let mut claims = json!({
            "iss": issuer.url, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 300, "jti": unique("jti"),
        });
        let claims_of_the_job = self.claims.as_object().unwrap().iter();
        let changes = changes.iter().map(|(name, value)| (*name, *value));
        for (name, value) in claims_of_the_job.map(|(name, value)| (name.as_str(), value)).chain(changes) {
            claims[name] = value.clone();
        }
        // SPIRE writes none.
        if claims["jti"].is_null() {
            claims.as_object_mut().unwrap().remove("jti");
        }
        claims
    }
}

/// The rule, for this world's repository and key.
fn in_world(rule: &str, world: &World) -> String {
    let line = |line: &str| match line.trim_start() {
        text if text.starts_with("repositories:") => format!("  repositories: ['{}']", world.repository),
        text if text.starts_with("keys:") => format!("  keys: ['{}']", world.key),
        _ => line.to_owned(),
    };
    rule.lines().map(|text| format!("  {}\n", line(text))).collect()
}

async fn sign(world: &World, token: &str, image: &str) -> Answer {
    world.post("/v1/signatures", token, json!({"image": image}).to_string()).await
}
