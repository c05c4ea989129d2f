//! Whether the configuration makes sense as a whole.

use std::collections::HashSet;
use std::hash::Hash;
use std::path::Path;

use url::Url;

use super::http::is_loopback;
use super::{
    AnchorConfig, AnchorKind, AuthMethod, BatchConfig, Config, HttpConfig, KeyConfig, LimitsConfig,
    LogBackend, LogConfig, PushConfig, PushKind, RegistryConfig, TlsConfig, VaultConfig, is_trustworthy,
};
use crate::domain::RegistryHost;

/// A key's path, and what would be right.
pub(super) type Wrong = (String, String);

/// Bytes of a request that Vault and OpenBao take.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// # Errors
/// The first thing that makes no sense.
pub(super) fn check(config: &Config) -> Result<(), Wrong> {
    http(&config.http)?;
    vault(&config.vault)?;
    keys(&config.keys)?;
    not_the_logs_own(config)?;
    registries(&config.registries)?;
    config.identity.check()?;
    config.audit.check(&config.http, &config.identity)?;
    limits(&config.limits)?;
    path("policy.file", Some(&config.policy.file))?;
    log(&config.log)
}

fn http(http: &HttpConfig) -> Result<(), Wrong> {
    let HttpConfig {
        listen,
        admin_listen,
        public_url,
        allow_plain_http,
        header_read_timeout: _,
        idle_timeout: _,
        max_connections,
        tls,
    } = http;
    for (key, address) in [("http.listen", listen), ("http.admin_listen", admin_listen)] {
        ensure(tls.is_some() || *allow_plain_http || is_loopback(*address), key, || {
            format!(
                "{address} is no loopback address, and without [http.tls] this listener speaks plain HTTP: name a \
                 certificate there, or put a proxy that does TLS in front of it and set http.allow_plain_http = true, \
                 or listen on 127.0.0.1"
            )
        })?;
    }
    for (key, file) in tls.iter().flat_map(TlsConfig::files) {
        path(format!("http.tls.{key}"), Some(file))?;
    }
    at_least_one("http.max_connections", *max_connections)?;
    ensure(listen != admin_listen || listen.port() == 0, "http.admin_listen", || {
        "this is http.listen as well: health and metrics need a port of their own".to_owned()
    })?;
    public_url.as_ref().map_or(Ok(()), |url| web_address("http.public_url", url))
}

fn vault(vault: &VaultConfig) -> Result<(), Wrong> {
    web_address("vault.address", &vault.address)?;
    mount("vault.mount", &vault.mount)?;
    if let Some(namespace) = &vault.namespace {
        mount("vault.namespace", namespace)?;
    }
    path("vault.ca_file", vault.ca_file.as_deref())?;
    for (index, node) in vault.node_addresses.iter().enumerate() {
        let key = format!("vault.node_addresses[{index}]");
        web_address(&key, node)?;
        ensure(node.scheme() == vault.address.scheme(), key, || {
            format!(
                "vault.address begins with {}://, and so must this: the token goes to both",
                vault.address.scheme()
            )
        })?;
    }
    vault_auth(vault)?;
    let BatchConfig { max_items, max_bytes, max_in_flight } = vault.batch;
    at_least_one("vault.batch.max_items", max_items)?;
    at_least_one("vault.batch.max_bytes", max_bytes)?;
    ensure(max_bytes <= MAX_BODY, "vault.batch.max_bytes", || {
        format!("Vault takes no body of more than {MAX_BODY} bytes")
    })?;
    at_least_one("vault.batch.max_in_flight", max_in_flight)
}

fn vault_auth(vault: &VaultConfig) -> Result<(), Wrong> {
    use AuthMethod::{AppRole, Cert, Jwt, Kubernetes, Token};
    let auth = &vault.auth;
    let (method, name) = (auth.method, auth.method.name());
    // Each key, whether it is there, and whose it is.
    let keys: [(&str, bool, &[AuthMethod]); 12] = [
        ("token", auth.token.is_some(), &[Token]),
        ("token_file", auth.token_file.is_some(), &[Token]),
        ("mount", auth.mount.is_some(), &[AppRole, Kubernetes, Jwt, Cert]),
        ("role", auth.role.is_some(), &[Kubernetes, Jwt, Cert]),
        ("role_id", auth.role_id.is_some(), &[AppRole]),
        ("role_id_file", auth.role_id_file.is_some(), &[AppRole]),
        ("secret_id", auth.secret_id.is_some(), &[AppRole]),
        ("secret_id_file", auth.secret_id_file.is_some(), &[AppRole]),
        ("wrapped", auth.wrapped.is_some(), &[AppRole]),
        ("jwt_file", auth.jwt_file.is_some(), &[Kubernetes, Jwt]),
        ("cert_file", auth.cert_file.is_some(), &[Cert]),
        ("key_file", auth.key_file.is_some(), &[Cert]),
    ];
    let given = |key: &str| keys.iter().any(|(name, given, _)| *name == key && *given);
    for (key, given, owners) in &keys {
        ensure(!given || owners.contains(&method), format!("vault.auth.{key}"), || {
            let owners: Vec<_> = owners.iter().map(|owner| owner.name()).collect();
            format!("the method {name} does not use it: it belongs to {}", owners.join(" and "))
        })?;
    }
    for (key, file) in [("token", "token_file"), ("role_id", "role_id_file"), ("secret_id", "secret_id_file")]
    {
        ensure(!(given(key) && given(file)), format!("vault.auth.{key}"), || {
            format!("{file} is set too: keep one of the two")
        })?;
    }
    // What each method needs; of a list, one.
    let needs: &[&[&str]] = match method {
        Token => &[&["token_file", "token"]],
        AppRole => &[&["role_id_file", "role_id"], &["secret_id_file", "secret_id"]],
        Kubernetes => &[&["role"]],
        Jwt => &[&["role"], &["jwt_file"]],
        Cert => &[&["cert_file"], &["key_file"]],
    };
    for choice in needs {
        ensure(choice.iter().any(|key| given(key)), "vault.auth", || {
            format!("the method {name} needs {}", choice.join(" or "))
        })?;
    }
    ensure(auth.wrapped != Some(true) || given("secret_id_file"), "vault.auth.wrapped", || {
        "a wrapping token can be used once: put it into secret_id_file, where the next one can replace it"
            .to_owned()
    })?;
    ensure(method != Cert || vault.address.scheme() == "https", "vault.auth.method", || {
        "the method cert shows a certificate, which needs a vault.address with https://".to_owned()
    })?;
    mount("vault.auth.mount", auth.mount())?;
    ensure(auth.role.as_ref().is_none_or(|role| !role.trim().is_empty()), "vault.auth.role", || {
        "this is no role: write its name in Vault".to_owned()
    })?;
    for (key, file) in auth.files() {
        path(format!("vault.auth.{key}"), Some(file))?;
    }
    Ok(())
}

fn keys(keys: &[KeyConfig]) -> Result<(), Wrong> {
    ensure(!keys.is_empty(), "keys", || "name at least one key of Vault: [[keys]] with its name".to_owned())?;
    once(
        keys,
        |key| &key.name,
        |index, key| (format!("keys[{index}].name"), format!("the key {} is here twice", key.name)),
    )?;
    for (index, key) in keys.iter().enumerate() {
        ensure(!key.purposes.is_empty(), format!("keys[{index}].purposes"), || {
            "a key without purposes signs nothing: name one, or leave the key out".to_owned()
        })?;
        if let Some(path) = &key.mount {
            mount(format!("keys[{index}].mount"), path)?;
        }
    }
    Ok(())
}

/// Whoever can have the log's own key sign something can forge the log's checkpoints.
fn not_the_logs_own(config: &Config) -> Result<(), Wrong> {
    let (log, vault) = (&config.log, &config.vault.mount);
    let of_log = (log.checkpoint_mount.as_ref().unwrap_or(vault), &log.checkpoint_key);
    for (index, key) in config.keys.iter().enumerate() {
        let in_vault = (key.mount.as_ref().unwrap_or(vault), key.vault_key.as_ref().unwrap_or(&key.name));
        ensure(in_vault != of_log, format!("keys[{index}]"), || {
            format!(
                "{} is the key that signs the log's checkpoints (log.checkpoint_key), and nothing else may be signed \
                 with it: leave this key out, or give the log another one",
                in_vault.1
            )
        })?;
        ensure(key.name != log.checkpoint_key, format!("keys[{index}].name"), || {
            format!(
                "{} is what the log's own key is called (log.checkpoint_key): name this one otherwise",
                key.name
            )
        })?;
    }
    Ok(())
}

fn registries(registries: &[RegistryConfig]) -> Result<(), Wrong> {
    ensure(!registries.is_empty(), "registries", || {
        "name at least one registry: [[registries]] with its host".to_owned()
    })?;
    registries.iter().enumerate().try_for_each(|(index, registry)| one_registry(index, registry))?;
    let hosts: Vec<RegistryHost> =
        registries.iter().filter_map(|registry| registry.host.parse().ok()).collect();
    once(
        &hosts,
        |host| host,
        |index, host| (format!("registries[{index}].host"), format!("the registry {host} is here twice")),
    )?;
    // Without TLS the two are one, and which sections speak TLS may change: then a rule about one would be a rule
    // about the other.
    let twin = |host: &RegistryHost| {
        host.port() == Some(80)
            && hosts.iter().any(|other| other.port().is_none() && other.name() == host.name())
    };
    match hosts.iter().position(twin) {
        Some(index) => Err((
            format!("registries[{index}].host"),
            format!("{} may be the same registry: keep one of the two", hosts[index].name()),
        )),
        None => Ok(()),
    }
}

fn one_registry(index: usize, registry: &RegistryConfig) -> Result<(), Wrong> {
    let key = |name: &str| format!("registries[{index}].{name}");
    let host = host(key("host"), &registry.host)?;
    ensure(!registry.plain_http || host.as_str() == registry.host.to_ascii_lowercase(), key("host"), || {
        format!(
            "port 443 and Docker Hub's names are for TLS, and plain_http is set: with it, write {host} or another port"
        )
    })?;
    for (place, name) in registry.token_hosts.iter().enumerate() {
        self::host(key(&format!("token_hosts[{place}]")), name)?;
    }
    ensure(!(registry.plain_http && registry.ca_file.is_some()), key("ca_file"), || {
        "plain_http is set too, which knows no certificates: keep one of the two".to_owned()
    })?;
    let password = registry.password.is_some() || registry.password_file.is_some();
    ensure(registry.password.is_none() || registry.password_file.is_none(), key("password"), || {
        "password_file is set too: keep one of the two".to_owned()
    })?;
    match &registry.username {
        Some(_) if registry.docker_config_file.is_some() => {
            return wrong(key("username"), "docker_config_file is set too: keep one of the two");
        }
        Some(_) if !password => {
            return wrong(key("username"), "it needs password_file or password beside it");
        }
        None if password => return wrong(key("username"), "missing: a password needs it"),
        _ => {}
    }
    for (name, file) in [
        ("ca_file", &registry.ca_file),
        ("password_file", &registry.password_file),
        ("docker_config_file", &registry.docker_config_file),
    ] {
        path(key(name), file.as_deref())?;
    }
    at_least_one(key("max_signatures_per_image"), registry.max_signatures_per_image)
}

fn limits(limits: &LimitsConfig) -> Result<(), Wrong> {
    let LimitsConfig {
        in_flight,
        in_flight_per_principal,
        queue,
        body_bytes,
        bytes_in_flight,
        batch_items,
        index_members,
        signatures_per_hour: _,
        signatures_per_token: _,
        request_timeout: _,
    } = limits;
    for (key, number) in [
        ("in_flight", in_flight),
        ("in_flight_per_principal", in_flight_per_principal),
        ("queue", queue),
        ("body_bytes", body_bytes),
        ("bytes_in_flight", bytes_in_flight),
        ("batch_items", batch_items),
        ("index_members", index_members),
    ] {
        at_least_one(format!("limits.{key}"), *number)?;
    }
    Ok(())
}

fn log(log: &LogConfig) -> Result<(), Wrong> {
    match log.backend {
        LogBackend::Sqlite => {
            ensure(log.path.is_some(), "log.path", || {
                "the backend sqlite needs it: name a file, whose directory exists".to_owned()
            })?;
            let keys = [
                ("log.url", log.url.is_some()),
                ("log.url_file", log.url_file.is_some()),
                ("log.ca_file", log.ca_file.is_some()),
            ];
            for (key, is_set) in keys {
                ensure(!is_set, key, || {
                    "this is for backend = \"postgres\", and the backend is sqlite: keep one of the two"
                        .to_owned()
                })?;
            }
        }
        LogBackend::Postgres => {
            ensure(log.path.is_none(), "log.path", || {
                "this is for backend = \"sqlite\", and the backend is postgres: keep one of the two"
                    .to_owned()
            })?;
            match (&log.url, &log.url_file) {
                (Some(_), None) | (None, Some(_)) => {}
                (None, None) => return wrong("log", "the backend postgres needs url_file or url"),
                (Some(_), Some(_)) => return wrong("log.url", "url_file is set too: keep one of the two"),
            }
        }
    }
    for (key, file) in [("path", &log.path), ("url_file", &log.url_file), ("ca_file", &log.ca_file)] {
        path(format!("log.{key}"), file.as_deref())?;
    }
    at_least_one("log.connections", log.connections)?;
    path("log.archive.directory", log.archive.as_ref().map(|archive| archive.directory.as_path()))?;
    once(
        &log.push,
        |push| &push.name,
        |index, push| {
            (
                format!("log.push[{index}].name"),
                format!("`{}` is the name of another receiver, too", push.name),
            )
        },
    )?;
    log.push.iter().enumerate().try_for_each(|(index, push)| self::push(index, push))?;
    if let Some(path) = &log.checkpoint_mount {
        mount("log.checkpoint_mount", path)?;
    }
    anchor(log)?;
    let is_origin = |origin: &String| {
        (1..=255).contains(&origin.len()) && origin.bytes().all(|b| b.is_ascii_graphic() && b != b'+')
    };
    ensure(log.origin.as_ref().is_none_or(is_origin), "log.origin", || {
        "write the log's name as a URL without https://, with at most 255 letters, digits and signs, without blanks \
         and +: signet.example.com/log"
            .to_owned()
    })
}

fn anchor(log: &LogConfig) -> Result<(), Wrong> {
    let Some(anchor) = &log.anchor else { return Ok(()) };
    let AnchorConfig { kind, path: place, mount: engine } = anchor;
    match kind {
        AnchorKind::Vault => {
            mount("log.anchor.mount", anchor.mount())?;
            mount("log.anchor.path", &place.to_string_lossy())
        }
        AnchorKind::File => {
            ensure(engine.is_none(), "log.anchor.mount", || {
                "this is for kind = \"vault\", and the kind is file: keep one of the two".to_owned()
            })?;
            ensure(log.backend == LogBackend::Sqlite, "log.anchor.kind", || {
                "a file is one node's own, and the backend postgres serves several: use kind = \"vault\""
                    .to_owned()
            })?;
            path("log.anchor.path", Some(place))
        }
    }
}

fn web_address(key: &str, url: &Url) -> Result<(), Wrong> {
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    // Not the value: what makes it wrong may be a password.
    ensure(plain, key, || {
        "write http:// or https://, a host and a port where it needs one, without user name, password, query and \
         fragment: https://host.example.com:8200"
            .to_owned()
    })
}

fn push(index: usize, push: &PushConfig) -> Result<(), Wrong> {
    let key = |name: &str| format!("log.push[{index}].{name}");
    let is_name = (1..=64).contains(&push.name.len())
        && push.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    ensure(is_name, key("name"), || "write 1 to 64 characters out of A-Za-z0-9._-".to_owned())?;
    let (own, others): (&str, [(&str, bool); 3]) = match push.kind {
        PushKind::Syslog => (
            "address",
            [
                ("url", push.url.is_some()),
                ("token", push.token.is_some()),
                ("token_file", push.token_file.is_some()),
            ],
        ),
        PushKind::Https => {
            ("url", [("address", push.address.is_some()), ("tls", !push.tls), ("address", false)])
        }
    };
    for (name, is_set) in others {
        ensure(!is_set, key(name), || format!("this is not for this kind of receiver, which has {own}"))?;
    }
    match push.kind {
        PushKind::Syslog => {
            let address = push.address.as_deref().unwrap_or_default();
            let right = address.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            ensure(right, key("address"), || "write a host and a port: siem.example.com:6514".to_owned())?;
        }
        PushKind::Https => match &push.url {
            None => return wrong(key("url"), "the kind https needs it: https://siem.example.com/ingest"),
            Some(url) => {
                let right = is_trustworthy(url) && url.username().is_empty() && url.password().is_none();
                // Not the value: what makes it wrong may be a password.
                ensure(right, key("url"), || {
                    "write https:// and a host, without user name and password: https://siem.example.com/ingest"
                        .to_owned()
                })?;
            }
        },
    }
    ensure(push.token.is_none() || push.token_file.is_none(), key("token"), || {
        "token_file is set too: keep one of the two".to_owned()
    })?;
    for (name, file) in [("token_file", &push.token_file), ("ca_file", &push.ca_file)] {
        path(key(name), file.as_deref())?;
    }
    at_least_one(key("batch"), push.batch)
}

/// A path of Vault, which becomes a part of URLs.
fn mount(key: impl Into<String>, path: &str) -> Result<(), Wrong> {
    let is_name = |part: &str| {
        part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
            && part.bytes().any(|b| b != b'.')
    };
    ensure(path.split('/').all(is_name), key, || {
        "write a path of Vault as names of A-Za-z0-9_.- with / between them and none around: team/transit"
            .to_owned()
    })
}

fn host(key: String, host: &str) -> Result<RegistryHost, Wrong> {
    host.parse().map_err(|_| {
        let words = "write it as in image references, without https:// and path: registry.example.com or \
                     registry.example.com:5000";
        (key, words.to_owned())
    })
}

pub(super) fn path(key: impl Into<String>, path: Option<&Path>) -> Result<(), Wrong> {
    let empty = path.is_some_and(|path| path.as_os_str().is_empty());
    ensure(!empty, key, || "this is no path: name a file, or leave the key out".to_owned())
}

fn at_least_one(key: impl Into<String>, number: usize) -> Result<(), Wrong> {
    ensure(number >= 1, key, || "must be at least 1".to_owned())
}

/// No two `items` have the same `name`.
pub(super) fn once<'a, T, N: Eq + Hash>(
    items: &'a [T],
    name: impl Fn(&'a T) -> N,
    say: impl Fn(usize, &T) -> Wrong,
) -> Result<(), Wrong> {
    let mut seen = HashSet::new();
    match items.iter().enumerate().find(|(_, item)| !seen.insert(name(item))) {
        Some((index, item)) => Err(say(index, item)),
        None => Ok(()),
    }
}

pub(super) fn ensure(right: bool, key: impl Into<String>, say: impl FnOnce() -> String) -> Result<(), Wrong> {
    if right { Ok(()) } else { Err((key.into(), say())) }
}

pub(super) fn wrong(key: impl Into<String>, say: &str) -> Result<(), Wrong> {
    Err((key.into(), say.to_owned()))
}
