//! The recipes in `docs/ci`: what a user pastes from them is taken as it stands.

use signet::config;
use signet::domain::{Clock as _, SystemClock};
use signet::policy::{Configured, RulePolicy};

use crate::repository::{files_below, read};

/// Everything that a configuration needs besides issuers.
const LEAST: &str = "
[vault]
address = 'https://vault.example.com:8200'
[vault.auth]
method = 'token'
token_file = 'vault-token'
[[keys]]
name = 'release'
[[registries]]
host = 'registry.example.com'
[policy]
file = 'policy.yaml'
[log]
path = 'signet.db'
[identity]
audience = 'https://signet.example.com'
";

#[test]
fn each_recipe_has_a_section_that_loads_a_rule_that_loads_and_a_job_that_asks_for_our_audience() {
    let recipes: Vec<_> = files_below("docs/ci").into_iter().filter(|path| path.ends_with(".md")).collect();
    assert_eq!(recipes.len(), 7, "{recipes:?}");
    for recipe in recipes {
        let text = read(&recipe);
        let blocks = blocks(&text);
        let [(_, section), (_, rule), (_, job)] = &blocks[..] else {
            panic!("{recipe} has {} blocks, where it needs a section, a rule and a job", blocks.len());
        };
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("signet.toml");
        let config = config::load_str(&format!("{LEAST}{section}"), &file, []);
        let config = config.unwrap_or_else(|error| panic!("{recipe}: {error}"));
        let [issuer] = &config.identity.issuers[..] else { panic!("{recipe} names one issuer") };
        assert!(issuer.platform.is_some(), "{recipe} names no platform");
        let names = format!("issuer: {}\n", issuer.name);
        assert!(rule.contains(&names), "{recipe}: its rule is not for its issuer");

        let policy = directory.path().join("policy.yaml");
        let indented: String = rule.lines().map(|line| format!("  {line}\n")).collect();
        std::fs::write(&policy, format!("version: 1\nrules:\n{indented}")).unwrap();
        let policy = RulePolicy::load(&policy).unwrap_or_else(|error| panic!("{recipe}: {error}"));
        assert_eq!(policy.len(), 1, "{recipe}");
        let warnings = policy.warnings(Some(&Configured::of(&config)), SystemClock.now());
        assert!(warnings.is_empty(), "{recipe}: {warnings:?}");

        // Jenkins has the audience in its credentials.
        let asks = if recipe.ends_with("jenkins.md") { text.as_str() } else { job };
        assert!(asks.contains("https://signet.example.com"), "{recipe}: its job asks for no audience");
        assert!(job.lines().count() <= 17, "{recipe}: its job is too long to be pasted");
    }
}

/// The fenced blocks, each with its language.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let blocks = text.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.split_once('\n')).collect()
}
