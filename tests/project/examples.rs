//! The examples in `config/` and `deploy/` are right, and the one for the configuration is complete.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use signet::config::{self, Config};
use signet::domain::Timestamp;
use signet::policy::{Configured, RulePolicy, Suite, schema};

use crate::repository::{read, root};
use crate::settings;

const EXAMPLE: &str = "config/signet.toml";
const EXAMPLES: [&str; 2] = [EXAMPLE, "deploy/compose/signet.toml"];

#[test]
fn each_example_loads_with_a_policy_that_names_what_the_configuration_has() {
    for example in EXAMPLES {
        let config = config::load(&root().join(example)).unwrap();
        let policy = RulePolicy::load(&config.policy.file).unwrap();
        let warnings = policy.warnings(Some(&Configured::of(&config)), Timestamp::UNIX_EPOCH);
        assert_eq!(warnings, Vec::<String>::new(), "{example}");
        assert!(!policy.is_empty(), "{example}");
    }
}

#[test]
fn signet_config_check_finds_nothing_wrong_with_the_examples() {
    for example in EXAMPLES {
        let (_directory, path) = with_its_files(example);
        let check = || Command::new(env!("CARGO_BIN_EXE_signet"));
        let output = check().args(["config", "check", "--config"]).arg(&path).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && words.is_empty(), "{example}: {words}");

        std::fs::write(path.with_file_name("policy.yaml"), "version: 1\nrules: [{}]\n").unwrap();
        let output = check().args(["config", "check", "--config"]).arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{example} with a broken policy");
    }
}

#[test]
fn the_example_names_every_setting_and_no_other() {
    let named: BTreeSet<_> = lines(&read(EXAMPLE)).into_iter().map(|line| line.setting).collect();
    let (missing, unknown) = (&settings::settings() - &named, &named - &settings::settings());
    assert!(missing.is_empty(), "{EXAMPLE} does not name {missing:?}");
    assert!(unknown.is_empty(), "{EXAMPLE} names {unknown:?}, which do not exist");
}

#[test]
fn what_may_be_left_out_stands_in_the_example_with_its_default() {
    let example = read(EXAMPLE);
    let complete = shown(&load(&example).unwrap());
    // What can not be left out is an example, not a default.
    let differs = |line: &Line| {
        let without = example.lines().enumerate().filter(|(number, _)| *number != line.number);
        let without = without.map(|(_, text)| text).collect::<Vec<_>>().join("\n");
        load(&without).is_ok_and(|config| shown(&config) != complete)
    };
    let lines = lines(&example).into_iter().filter(|line| line.active);
    let wrong: Vec<_> = lines.filter(differs).map(|line| line.setting).collect();
    assert!(wrong.is_empty(), "{EXAMPLE} has these with another value than their default: {wrong:?}");
}

#[test]
fn what_stands_behind_a_number_sign_changes_something_when_it_is_set() {
    let example = read(EXAMPLE);
    let complete = shown(&load(&example).unwrap());
    let same = |line: &Line| {
        let set = example.lines().enumerate().map(|(number, text)| match number == line.number {
            true => text.trim_start_matches(['#', ' ']),
            false => text,
        });
        // Some exclude each other: then the loader says so.
        load(&set.collect::<Vec<_>>().join("\n")).is_ok_and(|config| shown(&config) == complete)
    };
    let lines = lines(&example).into_iter().filter(|line| !line.active);
    let wrong: Vec<_> = lines.filter(same).map(|line| line.setting).collect();
    assert!(wrong.is_empty(), "{EXAMPLE} has these behind a number sign with their default: {wrong:?}");
}

#[test]
fn the_example_policy_does_what_its_suite_says() {
    let (policy, suite) = (root().join("config/policy.yaml"), root().join("config/policy-tests.yaml"));
    let policy = RulePolicy::load(&policy).unwrap();
    let suite = Suite::load(&suite, Timestamp::UNIX_EPOCH).unwrap();
    let verdicts = suite.run(&policy);
    assert!(verdicts.len() > 10);
    for verdict in verdicts {
        assert_eq!(verdict.mismatch, None, "{}", verdict.name);
    }
}

#[test]
fn the_published_schema_is_the_one_that_the_code_has() {
    let published = read("config/policy.schema.json");
    assert!(published == schema(), "write it anew: signet policy schema > config/policy.schema.json");
}

#[test]
fn the_vault_policy_lets_signet_sign_with_the_examples_keys_and_read_them() {
    let policy = read("config/vault-policy.hcl");
    let paths = vault_paths(&policy).unwrap();
    for example in EXAMPLES {
        let config = config::load(&root().join(example)).unwrap();
        let log_mount = config.log.checkpoint_mount.as_ref().unwrap_or(&config.vault.mount);
        for (call, capability) in [("sign", "update"), ("keys", "read")] {
            let path = format!("{log_mount}/{call}/{}", config.log.checkpoint_key);
            assert!(paths.contains(&(path.clone(), capability.to_owned())), "{path}");
        }
        for key in &config.keys {
            let mount = key.mount.as_ref().unwrap_or(&config.vault.mount);
            let name = key.vault_key.as_ref().unwrap_or(&key.name);
            for (path, capability) in [
                (format!("{mount}/sign/{name}/sha2-256"), "update"),
                (format!("{mount}/keys/{name}"), "read"),
                ("auth/token/lookup-self".to_owned(), "read"),
            ] {
                let found = paths.iter().find(|(found, _)| *found == path);
                assert_eq!(found.map(|(_, capability)| capability.as_str()), Some(capability), "{path}");
            }
        }
    }
    // Nothing that could make, change, export or delete a key, and no wildcards.
    for (path, capability) in &paths {
        let signs = path.contains("/sign/") && capability == "update";
        let renews = path == "auth/token/renew-self" && capability == "update";
        assert!(signs || renews || capability == "read", "{path} may be more than needed: {capability}");
        assert!(!path.contains(['*', '+']), "{path} stands for more than one");
    }
}

/// The paths of a Vault policy, each with its one capability.
fn vault_paths(policy: &str) -> Result<Vec<(String, String)>, String> {
    let lines = policy.lines().filter(|line| !line.trim_start().starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n");
    let count = |bracket: char| text.matches(bracket).count();
    if count('{') != count('}') || count('[') != count(']') || count('"') % 2 != 0 {
        return Err("a bracket or a quotation mark is open".to_owned());
    }
    let blocks = text.split("path \"").skip(1).map(|block| {
        let (path, rest) = block.split_once('"').unwrap_or_default();
        let list =
            rest.split_once("capabilities").and_then(|(_, rest)| rest.split_once(']')).unwrap_or_default().0;
        let capabilities: Vec<_> = list.split('"').skip(1).step_by(2).collect();
        match capabilities[..] {
            [capability] => Ok((path.to_owned(), capability.to_owned())),
            _ => Err(format!("{path} has the capabilities {capabilities:?}; give each path one")),
        }
    });
    blocks.collect()
}

/// A line `key = value`, also one behind `# `.
#[derive(Debug)]
struct Line {
    number: usize,
    setting: String,
    active: bool,
}

fn lines(example: &str) -> Vec<Line> {
    let mut section = String::new();
    let mut lines = Vec::new();
    for (number, line) in example.lines().enumerate() {
        if let Some(name) = line.strip_prefix("[[").and_then(|line| line.strip_suffix("]]")) {
            section = format!("{name}[]");
        } else if let Some(name) =
            line.trim_start_matches("# ").strip_prefix('[').and_then(|line| line.strip_suffix(']'))
        {
            // Also one that is off as a whole.
            name.clone_into(&mut section);
        } else if let Some((key, _)) = line.trim_start_matches(['#', ' ']).split_once(" = ")
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            let setting = format!("{section}.{key}");
            lines.push(Line { number, setting, active: !line.starts_with('#') });
        }
    }
    lines
}

/// Loads a text as if it were the example's file.
fn load(text: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("signet.toml");
    std::fs::write(&path, text).unwrap();
    let mut config = config::load(&path).map_err(|error| error.to_string())?;
    // The one path that begins at the folder.
    config.policy.file = PathBuf::from(config.policy.file.file_name().unwrap_or_default());
    Ok(config)
}

/// Everything that a configuration says, except what its secrets are.
fn shown(config: &Config) -> String {
    format!("{config:#?}")
}

/// A copy of an example with its policy in a folder of its own, where all files are that it names.
fn with_its_files(example: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let inside = |path: &str| directory.path().join(path.trim_start_matches('/'));
    let text = read(example);
    for quoted in text.split('"').skip(1).step_by(2).filter(|quoted| quoted.starts_with('/')) {
        let path = inside(quoted);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if !quoted.ends_with(".db") {
            std::fs::write(path, "not-empty\n").unwrap();
        }
    }
    let path = directory.path().join("signet.toml");
    std::fs::write(&path, text.replace("\"/", &format!("\"{}/", directory.path().display()))).unwrap();
    let policy = Path::new(example).with_file_name("policy.yaml");
    std::fs::copy(root().join(policy), directory.path().join("policy.yaml")).unwrap();
    (directory, path)
}

#[test]
fn a_vault_policy_that_allows_too_much_or_can_not_be_read_is_found() {
    vault_paths("path \"a\" { capabilities = [\"read\" }").unwrap_err();
    vault_paths("path \"a\" { capabilities = [\"read\", \"delete\"] }").unwrap_err();
    vault_paths("path \"a\" { }").unwrap_err();
    let paths = vault_paths("# path \"x\" {\npath \"a\" { capabilities = [\"read\"] }").unwrap();
    assert_eq!(paths, [("a".to_owned(), "read".to_owned())]);
}

#[test]
fn settings_are_found_in_their_sections_also_behind_a_number_sign() {
    let text = "# Words: a = b\n[http]\nlisten = 1\n# public_url = 2\n\n[[keys]]\nname = 3\n";
    let found: Vec<_> =
        lines(text).into_iter().map(|line| (line.number, line.setting, line.active)).collect();
    let setting = |number, name: &str, active| (number, name.to_owned(), active);
    let expected = [
        setting(2, "http.listen", true),
        setting(3, "http.public_url", false),
        setting(6, "keys[].name", true),
    ];
    assert_eq!(found, expected);
}
