//! `docker-compose.yml` speaks of what is there: files, ports, volumes, commands, variables, and one service of the others.
//!
//! It can not be run where the tests run, so it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::dockerfile::{Image, command_complaint, is_pinned, is_unprivileged, variable_complaint};
use crate::repository::{exists, read, root};

const SCRIPT: &str = "deploy/compose/vault-setup.sh";
const CONFIGURATION: &str = "deploy/compose/signet.toml";

#[test]
fn the_compose_file_speaks_of_what_is_there() {
    let complaints = Sources::read().complaints();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_readme_tells_the_token_that_the_compose_files_take() {
    let configuration: toml::Table = toml::from_str(&read(CONFIGURATION)).unwrap();
    let digest = configuration["identity"]["tokens"][0]["sha256"].as_str().unwrap();
    let readme = read("README.md");
    let mut tokens = readme.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    assert!(
        tokens.any(|word| hex::encode(Sha256::digest(word)) == digest),
        "README.md names no token of {CONFIGURATION}"
    );
}

/// Everything that the services are made of.
struct Sources {
    compose: String,
    dockerfile: String,
    configuration: String,
    script: String,
}

/// What a container sees of a volume or a bind mount.
struct Mount {
    source: String,
    target: String,
    read_only: bool,
}

impl Sources {
    fn read() -> Self {
        Self {
            compose: read("docker-compose.yml"),
            dockerfile: read("Dockerfile"),
            configuration: read(CONFIGURATION),
            script: read(SCRIPT),
        }
    }

    fn complaints(&self) -> Vec<String> {
        let compose: Value = match serde_saphyr::from_str(&self.compose) {
            Ok(compose) => compose,
            Err(error) => return vec![format!("docker-compose.yml is no YAML: {error}")],
        };
        let Some(services) = compose["services"].as_object() else {
            return vec!["there are no services".to_owned()];
        };
        let declared: BTreeSet<_> =
            compose["volumes"].as_object().into_iter().flat_map(|map| map.keys()).collect();
        let mut used = BTreeSet::new();
        let mut complaints = Vec::new();
        for (name, service) in services {
            let mut complain = |text: String| complaints.push(format!("{name}: {text}"));
            unknown_keys(service, &SERVICE_KEYS).into_iter().for_each(&mut complain);
            dependencies(service, services).into_iter().for_each(&mut complain);
            published(service).into_iter().for_each(&mut complain);
            for mount in mounts(service) {
                if mount.source.starts_with('.') {
                    if !exists(&mount.source) {
                        complain(format!("{} is not there", mount.source));
                    }
                } else if !declared.contains(&mount.source) {
                    complain(format!("the volume {} is not declared", mount.source));
                }
                used.insert(mount.source);
            }
            match service["image"].as_str() {
                Some(image) if !is_pinned(image) => complain(format!("{image} names no version")),
                Some(_) => {}
                None => self.our_service(service, services).into_iter().for_each(complain),
            }
        }
        let unused = declared.into_iter().filter(|volume| !used.contains(*volume));
        complaints.extend(unused.map(|volume| format!("nobody mounts the volume {volume}")));
        complaints.extend(self.setup(services));
        complaints
    }

    /// The service that is built here.
    fn our_service(&self, service: &Value, services: &serde_json::Map<String, Value>) -> Vec<String> {
        let mut complaints = Vec::new();
        match service["build"].as_str() {
            Some(context) if root().join(context).join("Dockerfile").exists() => {}
            _ => return vec!["it has neither an image nor a folder to be built from".to_owned()],
        }
        let image = Image::read(&self.dockerfile);
        let mut environment = image.environment.clone();
        environment.extend(texts(&service["environment"]));
        complaints.extend(environment.keys().filter_map(|name| variable_complaint(name)));

        let words = |key: &str, otherwise: &[String]| match &service[key] {
            Value::Null => otherwise.to_vec(),
            list => strings(list),
        };
        let started = [words("entrypoint", &image.entrypoint), words("command", &image.command)].concat();
        complaints.extend(command_complaint(&started, &environment));
        let check = strings(&service["healthcheck"]["test"]);
        match check.split_first() {
            Some((kind, check)) if kind == "CMD" => complaints.extend(command_complaint(check, &environment)),
            _ => complaints.push("its health check is no `CMD` list; there is no shell".to_owned()),
        }

        let user = service["user"].as_str().unwrap_or(&image.user);
        if !is_unprivileged(user) {
            complaints.push(format!("it runs as `{user}`, which is root"));
        }
        let hardened = [
            ("read_only", service["read_only"] == true),
            ("cap_drop: [ALL]", strings(&service["cap_drop"]) == ["ALL"]),
            ("cap_add: nothing", service["cap_add"].is_null()),
            ("privileged: nothing", service["privileged"].is_null()),
            (
                "security_opt: [no-new-privileges:true]",
                strings(&service["security_opt"]).contains(&"no-new-privileges:true".to_owned()),
            ),
        ];
        complaints.extend(hardened.iter().filter(|(_, is)| !is).map(|(what, _)| format!("it needs {what}")));
        complaints.extend(self.configured(service, &environment, services));
        complaints
    }

    /// The configuration that the service finds, and what that speaks of.
    fn configured(
        &self,
        service: &Value,
        environment: &BTreeMap<String, String>,
        services: &serde_json::Map<String, Value>,
    ) -> Vec<String> {
        let mounts = mounts(service);
        let path = environment.get("SIGNET_CONFIG").map(String::as_str).unwrap_or_default();
        if !mounts.iter().any(|mount| mount.target == path && mount.source == format!("./{CONFIGURATION}")) {
            return vec![format!("{CONFIGURATION} is not mounted at {path}, where SIGNET_CONFIG points")];
        }
        let configuration: toml::Table = match toml::from_str(&self.configuration) {
            Ok(configuration) => configuration,
            Err(error) => return vec![format!("{CONFIGURATION}: {error}")],
        };
        let text = |value: &toml::Value| value.as_str().unwrap_or_default().to_owned();
        let mut complaints = Vec::new();

        let http = &configuration["http"];
        let listening: Vec<_> = ["listen", "admin_listen"].iter().map(|key| text(&http[*key])).collect();
        for published in strings(&service["ports"]) {
            let port = published.rsplit(':').next().unwrap_or_default();
            if !listening.iter().any(|listen| *listen == format!("0.0.0.0:{port}")) {
                complaints.push(format!("nothing listens on the published port {port} at 0.0.0.0"));
            }
        }

        let policy = text(&configuration["policy"]["file"]);
        let policy = Path::new(path).with_file_name(policy).display().to_string();
        if !mounts.iter().any(|mount| mount.target == policy) {
            complaints.push(format!("the policy {policy} is not mounted"));
        }
        let log = text(&configuration["log"]["path"]);
        match mount_of(&mounts, &log) {
            Some(mount) if !mount.read_only => {}
            _ => complaints.push(format!("the log {log} is on no volume that can be written")),
        }
        let token = text(&configuration["vault"]["auth"]["token_file"]);
        let written = mount_of(&mounts, &token).is_some_and(|mount| {
            let file = token.rsplit('/').next().unwrap_or_default();
            services.values().flat_map(self::mounts).any(|other| {
                let written = format!(" {}/{file}\n", other.target);
                other.source == mount.source && !other.read_only && self.script.contains(&written)
            })
        });
        if !written {
            complaints.push(format!("{SCRIPT} does not write {token}, where Signet looks for the token"));
        }

        let mut urls = vec![text(&configuration["vault"]["address"])];
        for registry in configuration["registries"].as_array().into_iter().flatten() {
            urls.push(format!("http://{}", text(&registry["host"])));
        }
        complaints.extend(urls.iter().filter_map(|url| unreachable(url, services)));
        complaints
    }

    /// The job that sets Vault up.
    fn setup(&self, services: &serde_json::Map<String, Value>) -> Vec<String> {
        let Some(job) = services.values().find(|service| strings(&service["entrypoint"]).len() > 1) else {
            return vec!["no service runs the set-up script".to_owned()];
        };
        let (mounts, mut complaints) = (mounts(job), Vec::new());
        let script = strings(&job["entrypoint"]).pop().unwrap_or_default();
        if !mounts.iter().any(|mount| mount.target == script && mount.source == format!("./{SCRIPT}")) {
            complaints.push(format!("{SCRIPT} is not mounted at {script}"));
        }
        let environment = texts(&job["environment"]);
        let url = environment.get("VAULT_ADDR").cloned().unwrap_or_default();
        complaints.extend(unreachable(&url, services));
        let root_token = texts(&services["vault"]["environment"]).get("VAULT_DEV_ROOT_TOKEN_ID").cloned();
        if environment.get("VAULT_TOKEN").cloned() != root_token {
            complaints.push("the set-up does not have Vault's root token".to_owned());
        }
        let paths = self.script.split_whitespace().map(|word| word.trim_start_matches('>'));
        for path in paths.filter(|word| word.starts_with('/') && !word.starts_with("/dev/")) {
            if mount_of(&mounts, path).is_none() {
                complaints.push(format!("{SCRIPT} speaks of {path}, which is not mounted"));
            }
        }
        let user = Image::read(&self.dockerfile).user;
        if !self.script.contains(&format!("chown {user} ")) {
            complaints.push(format!("{SCRIPT} does not give the token to Signet's user {user}"));
        }
        let policy = read("config/vault-policy.hcl");
        let configuration: toml::Table = toml::from_str(&self.configuration).unwrap_or_default();
        for key in configuration["keys"].as_array().into_iter().flatten() {
            let name = key["name"].as_str().unwrap_or_default();
            if !self.script.contains(&format!("transit/keys/{name} ")) {
                complaints.push(format!("{SCRIPT} does not make the key {name}"));
            }
            if !policy.contains(&format!("\"transit/keys/{name}\"")) {
                complaints.push(format!("the Vault policy does not speak of the key {name}"));
            }
        }
        complaints
    }
}

/// What services here may say. A slip of the pen is an unknown key for Compose too, but nobody runs it here.
const SERVICE_KEYS: [&str; 17] = [
    "build",
    "image",
    "command",
    "entrypoint",
    "environment",
    "depends_on",
    "ports",
    "volumes",
    "healthcheck",
    "read_only",
    "tmpfs",
    "cap_add",
    "cap_drop",
    "security_opt",
    "restart",
    "stop_grace_period",
    "user",
];

fn unknown_keys(service: &Value, known: &[&str]) -> Vec<String> {
    let keys = service.as_object().into_iter().flat_map(|map| map.keys());
    keys.filter(|key| !known.contains(&key.as_str())).map(|key| format!("there is no key `{key}`")).collect()
}

fn dependencies(service: &Value, services: &serde_json::Map<String, Value>) -> Vec<String> {
    let named = service["depends_on"].as_object().into_iter().flatten();
    let complaint = |(other, how): (&String, &Value)| {
        let Some(target) = services.get(other) else { return Some(format!("there is no service {other}")) };
        match how["condition"].as_str() {
            Some("service_healthy") if target["healthcheck"]["test"].is_null() => {
                Some(format!("{other} has no health check to wait for"))
            }
            Some("service_completed_successfully") if !target["restart"].is_null() => {
                Some(format!("{other} is started again and again, and never completes"))
            }
            Some("service_healthy" | "service_completed_successfully" | "service_started") => None,
            _ => Some(format!("it waits for {other} on no condition that there is")),
        }
    };
    named.filter_map(complaint).collect()
}

/// Everything here is for trying out, so that nothing may be published beyond this machine.
fn published(service: &Value) -> Vec<String> {
    let ports = strings(&service["ports"]);
    let open = ports.iter().filter(|port| !port.starts_with("127.0.0.1:"));
    open.map(|port| format!("the port {port} is published beyond the loopback address")).collect()
}

/// Whether `url` leads to no service, or to a port on which nothing says that it listens.
fn unreachable(url: &str, services: &serde_json::Map<String, Value>) -> Option<String> {
    let parsed = url::Url::parse(url).ok()?;
    let (host, port) = (parsed.host_str().unwrap_or_default(), parsed.port().unwrap_or_default());
    let Some(service) = services.get(host) else { return Some(format!("{url} leads to no service")) };
    let listens = service.to_string().contains(&format!(":{port}"));
    (!listens).then(|| format!("{url}: nothing says that {host} listens on {port}"))
}

/// The volume or bind mount that holds `path`.
fn mount_of<'a>(mounts: &'a [Mount], path: &str) -> Option<&'a Mount> {
    mounts.iter().find(|mount| Path::new(path).starts_with(&mount.target))
}

fn mounts(service: &Value) -> Vec<Mount> {
    let mount = |text: String| {
        let parts: Vec<_> = text.split(':').collect();
        Mount {
            source: parts[0].to_owned(),
            target: parts.get(1).copied().unwrap_or_default().to_owned(),
            read_only: parts.get(2) == Some(&"ro"),
        }
    };
    strings(&service["volumes"]).into_iter().map(mount).collect()
}

/// A list of texts; nothing where it is something else.
fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A map of texts.
fn texts(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

#[test]
fn what_a_compose_file_gets_wrong_is_found() {
    for (right, wrong, complaint) in [
        ("services:", "services: [", "is no YAML"),
        ("registry:2.8.3", "registry:latest", "registry:latest names no version"),
        ("registry:2.8.3", "registry", "registry names no version"),
        ("build: .", "build: ./deploy", "neither an image nor a folder"),
        ("read_only: true", "read_only: false", "it needs read_only"),
        ("read_only: true", "readonly: true", "there is no key `readonly`"),
        ("read_only: true", "read_only: true\n    privileged: true", "privileged"),
        ("read_only: true", "read_only: true\n    cap_add: [NET_ADMIN]", "it needs cap_add: nothing"),
        ("read_only: true", "read_only: true\n    user: root", "it runs as `root`"),
        ("tmpfs: [/tmp]\n    cap_drop: [ALL]", "tmpfs: [/tmp]", "it needs cap_drop: [ALL]"),
        ("true]\n    healthcheck", "false]\n    healthcheck", "it needs security_opt"),
        ("./deploy/compose/policy.yaml:", "./deploy/compose/rules.yaml:", "rules.yaml is not there"),
        ("signet/policy.yaml", "signet/rules.yaml", "the policy /etc/signet/policy.yaml is not mounted"),
        ("/etc/signet/signet.toml", "/etc/signet.toml", "is not mounted at /etc/signet/signet.toml"),
        ("signet-data:/var/lib/signet", "signet-data:/var/lib/signet:ro", "on no volume that can be written"),
        ("signet-data:/var/lib/signet", "signet-data:/data", "on no volume that can be written"),
        ("vault-token:/run/vault:ro", "vault-token:/run/token:ro", "does not write /run/vault/token"),
        ("vault-token:/vault-token", "vault-token:/elsewhere", "does not write /run/vault/token"),
        ("vault-token:/vault-token", "vault-token:/elsewhere", "speaks of /vault-token/token.new"),
        ("- registry-data:", "- registry-files:", "the volume registry-files is not declared"),
        ("- registry-data:", "- registry-files:", "nobody mounts the volume registry-data"),
        ("127.0.0.1:8080:8080", "127.0.0.1:8080:8081", "nothing listens on the published port 8081"),
        ("127.0.0.1:8080:8080", "8080:8080", "beyond the loopback address"),
        ("127.0.0.1:5000:5000", "0.0.0.0:5000:5000", "beyond the loopback address"),
        ("signet, healthcheck]", "signet, health]", "`signet health"),
        ("signet, healthcheck]", "signet, healthcheck, --alive]", "`signet healthcheck --alive"),
        ("[CMD, /usr/local/bin/signet", "[CMD, /bin/signet", "`/bin/signet` is not in the image"),
        ("[CMD, /usr/local", "[CMD-SHELL, /usr/local", "there is no shell"),
        ("build: .", "build: .\n    command: [run]", "`signet run"),
        ("build: .", "build: .\n    environment: {SIGNET_KONFIG: x}", "no variable `SIGNET_KONFIG`"),
        (
            "build: .",
            "build: .\n    environment: {SIGNET__VAULT__ADRESS: x}",
            "no variable `SIGNET__VAULT__ADRESS`",
        ),
        ("build: .", "build: .\n    environment: {SIGNET_CONFIG: /x}", "is not mounted at /x"),
        ("vault-setup:\n        condition", "setup:\n        condition", "there is no service setup"),
        ("service_healthy", "service_ready", "on no condition"),
        (
            "vault:\n        condition: service_healthy",
            "signet:\n        condition: completed",
            "on no condition",
        ),
        ("test: [CMD, vault, status]", "disable: true", "vault has no health check to wait for"),
        ("http://vault:8200", "http://vaults:8200", "leads to no service"),
        ("http://vault:8200", "http://vault:8300", "nothing says that vault listens on 8300"),
        ("VAULT_TOKEN: try-it-root", "VAULT_TOKEN: root", "does not have Vault's root token"),
        ("/setup/vault-setup.sh]", "/setup/setup.sh]", "is not mounted at /setup/setup.sh"),
    ] {
        let mut sources = Sources::read();
        sources.compose = replaced(&sources.compose, right, wrong);
        assert_complaint(&sources, wrong, complaint);
    }
}

#[test]
fn what_does_not_fit_the_compose_file_is_found() {
    for (right, wrong, complaint) in [
        ("0.0.0.0:8080", "127.0.0.1:8080", "nothing listens on the published port 8080"),
        ("http://vault:8200", "http://127.0.0.1:8200", "leads to no service"),
        ("registry:5000", "registry:5001", "nothing says that registry listens on 5001"),
        ("policy.yaml", "rules.yaml", "the policy /etc/signet/rules.yaml is not mounted"),
        ("/var/lib/signet/", "/data/", "the log /data/signet.db is on no volume"),
        ("/run/vault/token", "/run/vault/other", "does not write /run/vault/other"),
        ("name = \"release\"", "name = \"other\"", "does not make the key other"),
    ] {
        let mut sources = Sources::read();
        sources.configuration = replaced(&sources.configuration, right, wrong);
        assert_complaint(&sources, wrong, complaint);
    }
    for (right, wrong, complaint) in [
        ("transit/keys/release", "transit/keys/other", "does not make the key release"),
        ("chown 65532:65532", "chown 1000:1000", "does not give the token to Signet's user"),
        ("/setup/vault-policy.hcl", "/policies/signet.hcl", "speaks of /policies/signet.hcl"),
    ] {
        let mut sources = Sources::read();
        sources.script = replaced(&sources.script, right, wrong);
        assert_complaint(&sources, wrong, complaint);
    }
    let mut sources = Sources::read();
    sources.dockerfile = replaced(&sources.dockerfile, "USER 65532:65532", "USER root");
    assert_complaint(&sources, "USER root", "it runs as `root`");
}

fn replaced(text: &str, right: &str, wrong: &str) -> String {
    assert!(text.contains(right), "there is no `{right}`");
    text.replacen(right, wrong, 1)
}

fn assert_complaint(sources: &Sources, wrong: &str, complaint: &str) {
    let found = sources.complaints();
    assert!(found.iter().any(|found| found.contains(complaint)), "{wrong}: {found:?}");
}
