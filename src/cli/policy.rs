//! `signet policy`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Failure;
use super::api::{Output, annotation, print_line};
use super::sign::FormatName;
use crate::domain::{Clock as _, Format, SystemClock, Timestamp};
use crate::policy::{
    Case, OperationText, PrincipalText, QuestionText, RulePolicy, Suite, read_claims, schema,
};
use crate::ports::{Explanation, RuleVerdict};

/// Try a policy out, without a service
#[derive(Debug, Args)]
pub struct PolicyCommand {
    #[command(subcommand)]
    command: PolicySubcommand,
}

#[derive(Debug, Subcommand)]
enum PolicySubcommand {
    Test(Box<Test>),
    Check(Check),
    Schema(SchemaCommand),
}

/// Would this be allowed, by which rule, and why not by the others?
///
/// Exits 0 where it is allowed, or where all cases of a suite end as expected; else 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet policy test --policy policy.yaml --token ci --image registry.example.com/team/app --key release
  signet policy test --policy policy.yaml --issuer gitlab --token-claims claims.json \\
      --image registry.example.com/team/app --key attestations --operation attest --predicate-type spdx
  signet policy test --suite policy-tests.yaml

The claims of a token that you have at hand:
  cut -d. -f2 <<< \"$TOKEN\" | tr _- /+ | base64 -d 2>/dev/null > claims.json")]
struct Test {
    /// The policy, YAML; of a suite, in place of the one that it names
    #[arg(long, value_name = "FILE", required_unless_present = "suite")]
    policy: Option<PathBuf>,
    /// A table of cases with what is expected, YAML
    #[arg(long, value_name = "FILE", conflicts_with_all = ["token", "token_claims", "issuer", "certificate_claims", "image", "key", "operation", "format", "predicate_type", "annotations", "at"])]
    suite: Option<PathBuf>,
    /// Who asks: the holder of the token with this name in the configuration
    #[arg(long, value_name = "NAME", group = "who")]
    token: Option<String>,
    /// Who asks: the claims of an issuer's token, a JSON object; `-` is standard input
    #[arg(long, value_name = "FILE", group = "who")]
    token_claims: Option<PathBuf>,
    /// The issuer's name in the configuration; default: the only one that the policy names
    #[arg(long, value_name = "NAME", requires = "token_claims")]
    issuer: Option<String>,
    /// Who asks: what a client certificate says, a JSON object as {"spiffe_id": "spiffe://…"}; `-` is standard input
    #[arg(long, value_name = "FILE", group = "who")]
    certificate_claims: Option<PathBuf>,
    /// As `registry/repository`, with or without `@sha256:…`
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The key's name in the configuration; default: any
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// sign, attest, blob, verify, log.read or policy.explain
    #[arg(long, default_value = "sign")]
    operation: OperationText,
    /// Default: any
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// A short name or a URI; default: any
    #[arg(long, value_name = "TYPE")]
    predicate_type: Option<String>,
    /// What is to be signed beside the digest
    #[arg(long = "annotation", short = 'a', value_name = "KEY=VALUE", value_parser = annotation)]
    annotations: Vec<(String, String)>,
    /// When it is asked, RFC 3339; default: now
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Say what is wrong with a policy, and what is dangerous in it
///
/// What rules name is held against a configuration by `signet config check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet policy check policy.yaml
  signet policy check --deny-warnings policy.yaml")]
struct Check {
    /// The policy, YAML
    #[arg(value_name = "FILE")]
    policy: PathBuf,
    /// Exit 1 also where there are only warnings
    #[arg(long)]
    deny_warnings: bool,
}

/// Print the JSON Schema of a policy, for editors
#[derive(Debug, Args)]
#[command(after_help = "Example:
  signet policy schema > policy.schema.json

In the policy, for editors with a YAML language server:
  # yaml-language-server: $schema=policy.schema.json")]
struct SchemaCommand {}

impl PolicyCommand {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            PolicySubcommand::Test(test) => test.run(),
            PolicySubcommand::Check(check) => check.run(),
            PolicySubcommand::Schema(_) => {
                print_line(schema().trim_end());
                Ok(())
            }
        }
    }
}

impl Check {
    fn run(self) -> Result<(), Failure> {
        let policy = RulePolicy::load(&self.policy).map_err(Failure::refused)?;
        let warnings = policy.warnings(None, SystemClock.now());
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
        let found = format!("{} rules, {} warnings", policy.len(), warnings.len());
        if self.deny_warnings && !warnings.is_empty() {
            return Err(Failure::refused(format!("{}: {found}", self.policy.display())));
        }
        print_line(&format!("{} is right: {found}", self.policy.display()));
        Ok(())
    }
}

impl Test {
    fn run(self) -> Result<(), Failure> {
        let now = self.at.unwrap_or_else(|| SystemClock.now());
        if let Some(file) = &self.suite {
            return self.run_suite(&Suite::load(file, now).map_err(Failure::usage)?);
        }
        let policy =
            RulePolicy::load(self.policy.as_deref().unwrap_or(Path::new(""))).map_err(Failure::usage)?;
        let principal = self.principal(&policy)?;
        let question = QuestionText {
            operation: Some(self.operation),
            image: self.image,
            key: self.key,
            format: self.format.map(|format| match format {
                FormatName::Cosign => Format::Cosign,
                FormatName::Bundle => Format::Bundle,
            }),
            predicate_type: self.predicate_type,
            annotations: self.annotations.into_iter().collect(),
        };
        let case = Case::new(principal, question, now).map_err(Failure::usage)?;
        let explanation = case.explain(&policy);
        match self.output {
            Output::Text => print_line(&words(&policy, &explanation)),
            Output::Json => print_line(&answer(&explanation).to_string()),
        }
        match explanation.decision.allowed {
            true => Ok(()),
            false => Err(Failure::refused("the policy denies this")),
        }
    }

    fn principal(&self, policy: &RulePolicy) -> Result<PrincipalText, Failure> {
        let claims = |file: &Path| {
            let text = read(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
            read_claims(&text).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
        };
        let nobody = PrincipalText::default();
        match (&self.token, &self.token_claims, &self.certificate_claims) {
            (Some(token), _, _) => Ok(PrincipalText { token: Some(token.clone()), ..nobody }),
            (_, Some(file), _) => {
                let issuers = policy.issuers();
                let issuer = match (&self.issuer, issuers.len()) {
                    (Some(issuer), _) => issuer.clone(),
                    (None, 1) => issuers.first().copied().unwrap_or_default().to_owned(),
                    (None, _) => {
                        let known: Vec<_> = issuers.into_iter().collect();
                        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                        return Err(Failure::usage(format!(
                            "name the --issuer of the claims; the policy names {known}"
                        )));
                    }
                };
                Ok(PrincipalText { issuer: Some(issuer), claims: Some(claims(file)?), ..nobody })
            }
            (_, _, Some(file)) => Ok(PrincipalText { certificate: Some(claims(file)?), ..nobody }),
            _ => Err(Failure::usage("say who asks: --token, --token-claims or --certificate-claims")),
        }
    }

    fn run_suite(&self, suite: &Suite) -> Result<(), Failure> {
        let file = self.policy.as_ref().or(suite.policy.as_ref());
        let file = file.ok_or_else(|| Failure::usage("the suite names no policy; name one with --policy"))?;
        let policy = RulePolicy::load(file).map_err(Failure::refused)?;
        let verdicts = suite.run(&policy);
        let wrong = verdicts.iter().filter(|verdict| verdict.mismatch.is_some()).count();
        let summary = format!("{} cases, {wrong} not as expected", verdicts.len());
        match self.output {
            Output::Json => {
                let case = |verdict: &crate::policy::Verdict| {
                    let decision = decision(verdict.allowed);
                    json!({"name": verdict.name, "decision": decision, "rule": verdict.rule, "mismatch": verdict.mismatch})
                };
                let cases: Vec<_> = verdicts.iter().map(case).collect();
                print_line(&json!({"cases": cases, "mismatches": wrong}).to_string());
            }
            Output::Text => {
                for verdict in &verdicts {
                    print_line(&match &verdict.mismatch {
                        None => format!("ok    {}", verdict.name),
                        Some(mismatch) => format!("WRONG {}: {mismatch}", verdict.name),
                    });
                }
                print_line(&summary);
            }
        }
        if wrong == 0 { Ok(()) } else { Err(Failure::refused(summary)) }
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(file)
}

const fn decision(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

const fn effect(rule: &RuleVerdict) -> &'static str {
    match (rule.allows, rule.observes) {
        (true, false) => "allow",
        (false, false) => "deny",
        (true, true) => "allow, only observing",
        (false, true) => "deny, only observing",
    }
}

fn words(policy: &RulePolicy, explanation: &Explanation) -> String {
    let decided = &explanation.decision;
    let by = match &decided.ruling.rule {
        Some(rule) => match policy.description(rule) {
            Some(description) => format!("rule {rule} ({description})"),
            None => format!("rule {rule}"),
        },
        None => "no rule allows it".to_owned(),
    };
    let mut lines = vec![format!("{}: {by}", decision(decided.allowed))];
    if let Some(number) = decided.limits.per_hour {
        lines.push(format!("limit: {number} signatures within any hour, for each principal"));
    }
    if let Some(number) = decided.limits.per_token {
        lines.push(format!("limit: {number} signatures with one token"));
    }
    for (name, value) in decided.ruling.claims.iter() {
        lines.push(format!("claim: {name} = {value}"));
    }
    for rule in &decided.observed {
        lines.push(format!("observed: {rule} would have changed this"));
    }
    for rule in &explanation.rules {
        let failed = rule.failed.as_deref().unwrap_or("matches");
        lines.push(format!("  {} ({}): {failed}", rule.id, effect(rule)));
    }
    lines.join("\n")
}

fn answer(explanation: &Explanation) -> Value {
    let decided = &explanation.decision;
    let rule = |rule: &RuleVerdict| {
        let effect = decision(rule.allows);
        json!({"id": rule.id, "effect": effect, "observes": rule.observes, "matches": rule.failed.is_none(), "failed": rule.failed})
    };
    json!({
        "decision": decision(decided.allowed),
        "rule": decided.ruling.rule,
        "policy": decided.ruling.policy,
        "claims": decided.ruling.claims,
        "limits": {"per_hour": decided.limits.per_hour, "per_token": decided.limits.per_token},
        "observed": decided.observed,
        "rules": explanation.rules.iter().map(rule).collect::<Vec<_>>(),
    })
}
