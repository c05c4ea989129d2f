//! A registry for one test alone, for what the shared ones can not have: logins and certificates.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::registries::demand_real_servers;
use crate::support::World;
use crate::support::servers::{self, Running};

/// A distribution of its own. Ends with this value.
pub struct OwnRegistry {
    /// `127.0.0.1:port`
    pub host: String,
    pub directory: TempDir,
    _process: Running,
}

impl OwnRegistry {
    /// `binary` is one of those that `tests/run` gets. `settings` gets the registry's directory and returns more YAML:
    /// what stands below `http`, and further sections.
    pub async fn start(binary: &str, settings: impl FnOnce(&Path) -> (String, String)) -> Self {
        demand_real_servers();
        let directory = tempfile::tempdir().unwrap();
        let (http, sections) = settings(directory.path());
        let host = format!("127.0.0.1:{}", servers::free_port());
        let data = directory.path().join("data");
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}}}\n\
             http:\n  addr: '{host}'\n  secret: only-for-tests\n{http}{sections}",
            data.display()
        );
        let file = directory.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(servers::path_of(&format!("/registry_binaries/{binary}")));
        command.env("OTEL_TRACES_EXPORTER", "none").stdout(Stdio::null()).stderr(Stdio::null());
        let process = Running(command.arg("serve").arg(file).spawn().unwrap());
        wait_until_it_listens(&host).await;
        Self { host, directory, _process: process }
    }
}

/// Starts the world's Signet again, with another registry in its configuration. `settings` are the lines of its section.
pub fn use_registry(world: &mut World, host: &str, settings: &[String]) {
    let before = world.repository.split_once('/').unwrap().0.to_owned();
    let change = |file: &str, change: &dyn Fn(&str) -> String| {
        let path = world.directory.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = change(&text);
        assert_ne!(changed, text, "{file}");
        std::fs::write(path, changed).unwrap();
    };
    let section = format!("host = '{host}'\n{}\n", settings.join("\n"));
    change("signet.toml", &|text| text.replace(&format!("host = '{before}'\nplain_http = true\n"), &section));
    change("policy.yaml", &|text| text.replace(&before, host));
    world.repository = world.repository.replacen(&before, host, 1);
    world.restart();
}

async fn wait_until_it_listens(host: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    while TcpStream::connect(host).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "{host} did not come up in 30 s");
        pause.tick().await;
    }
}
