mod mistakes;

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::{Config, ConfigError, Purpose, load, load_str};

/// The least that makes sense.
const LEAST: &str = r#"
[vault]
address = "https://vault.example.com:8200"
[vault.auth]
method = "token"
token_file = "vault-token"
[[keys]]
name = "release"
[[registries]]
host = "registry.example.com"
[[identity.tokens]]
name = "ci"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
[policy]
file = "policy.yaml"
[log]
path = "data/log.sqlite"
"#;

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_str(text, Path::new("/etc/signet/signet.toml"), variables)
}

#[test]
fn the_least_is_enough_and_has_safe_defaults() {
    let config = read(LEAST, &[]).unwrap();
    assert!(config.http.listen.ip().is_loopback() && config.http.admin_listen.ip().is_loopback());
    assert!(!config.http.allow_plain_http && !config.registries[0].plain_http);
    assert_eq!(
        (config.vault.mount.as_str(), config.vault.request_timeout),
        ("transit", Duration::from_secs(10))
    );
    assert!(config.keys[0].is_for(Purpose::Signature));
}

#[test]
fn relative_paths_start_at_the_directory_of_the_file() {
    let text = LEAST
        .replace("[vault.auth]", "ca_file = \"/ca/vault.pem\"\n[vault.auth]")
        .replace("[[identity", "username = \"u\"\npassword_file = \"p\"\nca_file = \"ca.pem\"\n[[identity");
    let text =
        text + "[http.tls]\ncert_file = \"tls.pem\"\nkey_file = \"/tls.key\"\nclient_ca_file = \"ca.pem\"\n";
    let config = read(&text, &[("SIGNET__POLICY__FILE", "other.yaml")]).unwrap();
    let tls = config.http.tls.unwrap();
    let files: Vec<_> = tls.files().map(|(_, file)| file.to_str().unwrap()).collect();
    assert_eq!(files, ["/etc/signet/tls.pem", "/tls.key", "/etc/signet/ca.pem"]);
    assert_eq!(config.policy.file, Path::new("/etc/signet/other.yaml"));
    assert_eq!(config.log.path.as_deref(), Some(Path::new("/etc/signet/data/log.sqlite")));
    assert_eq!(config.vault.auth.token_file.as_deref(), Some(Path::new("/etc/signet/vault-token")));
    assert_eq!(config.vault.ca_file.as_deref(), Some(Path::new("/ca/vault.pem")));
    assert_eq!(config.registries[0].password_file.as_deref(), Some(Path::new("/etc/signet/p")));
    assert_eq!(config.registries[0].ca_file.as_deref(), Some(Path::new("/etc/signet/ca.pem")));
}

#[test]
fn with_tls_every_address_may_be_listened_on_and_health_is_behind_it_where_that_is_not_loopback() {
    let tls = [("SIGNET__HTTP__TLS__CERT_FILE", "tls.pem"), ("SIGNET__HTTP__TLS__KEY_FILE", "tls.key")];
    for (admin, encrypted) in [("127.0.0.1:9090", false), ("[::1]:9090", false), ("0.0.0.0:9090", true)] {
        let mut variables = tls.to_vec();
        variables.extend([("SIGNET__HTTP__LISTEN", "0.0.0.0:8443"), ("SIGNET__HTTP__ADMIN_LISTEN", admin)]);
        let http = read(LEAST, &variables).unwrap().http;
        assert_eq!(http.admin_tls().is_some(), encrypted, "{admin}");
    }
    let error = read(LEAST, &tls[..1]).unwrap_err().to_string();
    assert!(error.contains("key_file"), "{error}");
}

#[test]
fn a_registry_has_one_form_however_it_is_written() {
    for (written, host) in [
        ("Registry.Example.com:443", "registry.example.com"),
        ("registry.example.com:5000", "registry.example.com:5000"),
        ("index.docker.io", "docker.io"),
    ] {
        let config = read(&LEAST.replace("registry.example.com", written), &[]).unwrap();
        assert_eq!(config.registries[0].host, host, "{written}");
    }
}

#[test]
fn each_method_is_read_with_its_defaults_and_its_files() {
    let with = |auth: &str| {
        let text = LEAST.replace("method = \"token\"\ntoken_file = \"vault-token\"", auth);
        read(&text, &[]).unwrap().vault.auth
    };
    let approle = with("method = \"approle\"\nrole_id_file = \"r\"\nsecret_id_file = \"s\"\nwrapped = true");
    assert_eq!((approle.mount(), approle.wrapped), ("approle", Some(true)));
    let kubernetes = with("method = \"kubernetes\"\nrole = \"signet\"");
    let jwt_file = kubernetes.jwt_file().unwrap();
    assert_eq!(jwt_file, Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token"));
    let jwt = with("method = \"jwt\"\nmount = \"team/ci\"\nrole = \"signet\"\njwt_file = \"j\"");
    assert_eq!((jwt.mount(), jwt.jwt_file().as_deref()), ("team/ci", Some(Path::new("/etc/signet/j"))));
    let cert = with("method = \"cert\"\ncert_file = \"c\"\nkey_file = \"/k\"");
    assert_eq!((cert.mount(), cert.role.as_deref()), ("cert", None));
    for (auth, expected) in [(approle, ["/etc/signet/r", "/etc/signet/s"]), (cert, ["/etc/signet/c", "/k"])] {
        assert!(auth.files().map(|(_, file)| file).eq(expected.map(Path::new)), "{auth:?}");
    }
}

#[test]
fn a_relative_file_leads_to_absolute_paths() {
    let config = load_str(LEAST, Path::new("signet.toml"), []).unwrap();
    let path = config.log.path.unwrap();
    assert!(path.is_absolute() && path.ends_with("data/log.sqlite"));
}

#[test]
fn the_environment_sets_scalars_over_the_file() {
    let config = read(
        LEAST,
        &[
            ("SIGNET__HTTP__LISTEN", "[::1]:1234"),
            ("SIGNET__HTTP__ALLOW_PLAIN_HTTP", "true"),
            ("SIGNET__LIMITS__IN_FLIGHT", "7"),
            ("SIGNET__VAULT__BATCH__MAX_ITEMS", "8"),
            ("SIGNET__VAULT__KEY_POLL", "1m"),
            ("SIGNET__VAULT__NAMESPACE", "4711"),
            ("SIGNET__TELEMETRY__LOG_FORMAT", ""),
            ("SIGNET_TOKEN", "the client's"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.http.listen.to_string(), "[::1]:1234");
    assert_eq!((config.limits.in_flight, config.vault.batch.max_items), (7, 8));
    assert_eq!(config.vault.key_poll, Duration::from_secs(60));
    assert_eq!(config.vault.namespace.as_deref(), Some("4711"), "text that looks like a number stays text");
    assert!(config.http.allow_plain_http);
}

#[test]
fn a_secret_from_the_environment_may_look_like_anything() {
    for secret in ["4711", "true", "1e5", "a,b"] {
        let text = LEAST.replace("token_file = \"vault-token\"", "");
        let config = read(&text, &[("SIGNET__VAULT__AUTH__TOKEN", secret)]).unwrap();
        assert_eq!(config.vault.auth.token.unwrap().expose_secret(), secret);
    }
}

#[test]
fn a_wrong_variable_is_named_with_what_would_be_right() {
    for (name, value, sentence) in [
        (
            "SIGNET__HTTP__LISTEN",
            "here",
            "must be socket address, got \"here\": invalid socket address syntax",
        ),
        ("SIGNET__LIMITS__QUEUE", "0", "must be at least 1"),
        (
            "SIGNET__HTTP__LISTN",
            "x",
            "unknown variable: did you mean SIGNET__HTTP__LISTEN? known: SIGNET__HTTP__LISTEN, \
             SIGNET__HTTP__ADMIN_LISTEN, SIGNET__HTTP__PUBLIC_URL, SIGNET__HTTP__ALLOW_PLAIN_HTTP",
        ),
        (
            "SIGNET__VUALT__ADDRESS",
            "x",
            "unknown variable: did you mean SIGNET__VAULT? known: SIGNET__HTTP, ",
        ),
        ("SIGNET__HTTP", "x", "must be a map with the keys listen, "),
        ("SIGNET__KEYS__0__NAME", "x", "lists are written in the file alone: put it there, below a [[keys]]"),
        ("SIGNET__IDENTITY__TOKENS", "x", "lists are written in the file alone"),
        ("SIGNET__HTTP__", "x", "a variable is written as SIGNET__SECTION__KEY"),
        ("SIGNET__HTTP__LISTEN[0]", "x", "a variable is written as SIGNET__SECTION__KEY"),
        ("SIGNET__LIMITS__REQUEST_TIMEOUT", "10", "`10` is no duration"),
        ("SIGNET__VAULT__AUTH__TOKEN", "both", "token_file is set too"),
    ] {
        let error = read(LEAST, &[(name, value)]).map(|_| ()).expect_err(name).to_string();
        let start = format!("{name} (in the environment, on top of /etc/signet/signet.toml): {sentence}");
        assert!(error.starts_with(&start), "{error}\n  should begin with {start}");
    }
}

#[test]
fn a_configuration_without_keys_or_registries_is_refused() {
    let none = format!("keys = []\n{}", LEAST.replace("[[keys]]\nname = \"release\"", ""));
    assert!(read(&none, &[]).unwrap_err().to_string().contains("keys: name at least one key of Vault"));
    let none =
        format!("registries = []\n{}", LEAST.replace("[[registries]]\nhost = \"registry.example.com\"", ""));
    assert!(read(&none, &[]).unwrap_err().to_string().contains("registries: name at least one registry"));
}

#[test]
fn listening_for_a_proxy_has_to_be_allowed() {
    let text =
        LEAST.replace("[policy]", "[http]\nlisten = \"0.0.0.0:8080\"\nallow_plain_http = true\n[policy]");
    assert!(read(&text, &[]).is_ok());
    let mapped = LEAST.replace("[policy]", "[http]\nlisten = \"[::ffff:127.0.0.1]:8080\"\n[policy]");
    assert!(read(&mapped, &[]).is_ok());
}

#[test]
fn toml_that_is_none_is_told_with_line_and_column_and_without_the_line() {
    let text = format!("{LEAST}\n[[registries]]\npassword = \"hunter2\nhost = 5\n");
    let error = read(&text, &[]).unwrap_err().to_string();
    let line = LEAST.matches('\n').count() + 3;
    assert!(error.starts_with("/etc/signet/signet.toml: this is no TOML: "), "{error}");
    assert!(error.contains(&format!("(line {line}, column ")) && !error.contains("hunter2"), "{error}");
}

#[test]
fn times_are_read_as_toml_writes_them() {
    for time in ["2027-01-02T03:04:05Z", "\"2027-01-02T03:04:05Z\""] {
        let config = read(&LEAST.replace("sha256 =", &format!("expires = {time}\nsha256 =")), &[]).unwrap();
        assert_eq!(config.identity.tokens[0].expires.unwrap().to_string(), "2027-01-02T03:04:05Z");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("signet.toml");
    let error = load(&path).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()) && error.contains("can not be read"), "{error}");
    std::fs::write(&path, LEAST).unwrap();
    assert_eq!(load(&path).unwrap().log.path, Some(directory.path().join("data/log.sqlite")));
}

proptest! {
    #[test]
    fn no_text_and_no_variable_makes_it_panic(text in ".{0,200}", name in "SIGNET__[A-Z_.\\[\\]0-9é]{0,20}", value in ".{0,20}") {
        let _ = read(&text, &[(&name, &value)]).map_err(|error| error.to_string());
        let _ = read(LEAST, &[(&name, &value)]).map_err(|error| error.to_string());
    }
}
