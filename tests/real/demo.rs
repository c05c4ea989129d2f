//! `signet dev`: what it prints is true, and works when it is pasted.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::clients::{Clients, Cosign, Layout};
use crate::support::servers;

#[test]
fn the_demonstration_does_one_full_round_and_exits_0() {
    let output = signet().args(["dev", "--demo"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let expected = [
        "For trying out only",
        "201 Created",
        "it verifies",
        "200 OK",
        r#""kind": "outcome""#,
        "cosign verify",
        "All of it worked.",
    ];
    let mut rest = text.as_str();
    for words in expected {
        let (_, after) =
            rest.split_once(words).unwrap_or_else(|| panic!("{words:?} is missing or late:\n{text}"));
        rest = after;
    }
}

#[tokio::test]
async fn the_printed_lines_work_when_they_are_pasted() {
    let home = tempfile::tempdir().unwrap();
    let clients = Clients::at_home(home.path(), &servers::vault());
    let mut dev = Dev::start(&[]);
    for version in Cosign::ALL {
        let refused = clients.paste(version, dev.line("cosign verify")).await;
        assert!(!refused.success && refused.stderr.contains("no signatures found"), "{refused:?}");
    }
    assert_eq!(dev.sign_as_printed(&clients).await["signatures"][0]["created"], true);
    assert_eq!(dev.sign_as_printed(&clients).await["signatures"][0]["created"], false);
    for version in Cosign::ALL {
        let verified = clients.paste(version, dev.line("cosign verify")).await;
        assert!(verified.success, "{version:?}: {}", verified.stderr);
    }
    for path in ["docs/", "openapi.json"] {
        let url = format!("{}/{path}", dev.value("API"));
        assert_eq!(servers::client().get(url).send().await.unwrap().status(), 200);
    }
    let ready = format!("{}/readyz", dev.value("admin"));
    assert_eq!(servers::client().get(ready).send().await.unwrap().status(), 200);
    dev.end();
    assert!(!Path::new(dev.value("data")).exists());
}

#[tokio::test]
async fn crane_and_cosign_push_to_its_registry_and_pull_from_it() {
    let home = tempfile::tempdir().unwrap();
    let (client, vault) = (servers::client(), servers::vault());
    let clients = Clients::at_home(home.path(), &vault);
    let mut dev = Dev::start(&[]);
    let pem = std::fs::read_to_string(dev.value("public key")).unwrap();
    let repository = format!("{}/some/app", dev.value("registry"));

    for layout in Layout::ALL {
        let image = clients.push_image(&repository).await;
        let file = clients.file("pulled.tar", "");
        clients.crane(&["pull", &image, &file]).await;
        assert!(std::fs::metadata(&file).unwrap().len() > 1024);

        let request = client.request(Method::POST, format!("{}/v1/signatures", dev.value("API")));
        let request =
            request.bearer_auth(dev.value("token")).json(&json!({"image": image, "format": layout.name()}));
        assert_eq!(request.send().await.unwrap().status(), 201);
        clients.assert_verified(layout, &pem, &image, &[]).await;
    }

    let key = servers::unique("key");
    let call = |method: Method, body: Value| {
        let request = client.request(method, format!("{}/v1/transit/keys/{key}", vault.address));
        request.header("X-Vault-Token", &vault.root_token).json(&body).send()
    };
    let made: Value = call(Method::POST, json!({"type": "ecdsa-p256"})).await.unwrap().json().await.unwrap();
    let pem = made["data"]["keys"]["1"]["public_key"].as_str().unwrap();
    for (version, layout) in
        [(Cosign::V2, Layout::Cosign), (Cosign::V3, Layout::Cosign), (Cosign::V3, Layout::Bundle)]
    {
        let image = clients.push_image(&repository).await;
        clients.cosign_sign(version, layout, &key, &image, &[]).await;
        clients.assert_verified(layout, pem, &image, &[]).await;
    }
    dev.end();
}

#[tokio::test]
async fn a_data_directory_keeps_keys_images_and_the_log_for_the_next_time() {
    let home = tempfile::tempdir().unwrap();
    let clients = Clients::at_home(home.path(), &servers::vault());
    let data = home.path().join("data");
    let data = ["--data-dir", data.to_str().unwrap()];
    let mut dev = Dev::start(&data);
    let key = std::fs::read(dev.value("public key")).unwrap();
    let (first, registry) = (dev.sign_as_printed(&clients).await, dev.value("registry").to_owned());
    dev.end();

    let mut dev = Dev::start(&[data.as_slice(), &["--registry-listen", &registry]].concat());
    let again = dev.sign_as_printed(&clients).await;
    assert_eq!(std::fs::read(dev.value("public key")).unwrap(), key);
    assert_eq!((&again["id"], &again["log"]["index"]), (&first["id"], &first["log"]["index"]));
    assert_eq!(again["signatures"][0]["created"], false);
    let verified = clients.paste(Cosign::V3, dev.line("cosign verify")).await;
    assert!(verified.success, "{}", verified.stderr);
    let url = format!("{}/v1/log/entries", dev.value("API"));
    let request = servers::client().get(url).bearer_auth(dev.value("token"));
    let log: Value = request.send().await.unwrap().json().await.unwrap();
    let entries = log["entries"].as_array().unwrap().iter().map(|entry| &entry["entry"]);
    let kinds: Vec<_> = entries.filter(|entry| entry["id"].is_string()).map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["intent", "outcome", "attach"]);
    dev.end();
}

/// A running `signet dev` on free ports.
struct Dev {
    child: Child,
    /// What it printed.
    text: String,
    /// Kept open, so that it may print more.
    _stdout: BufReader<std::process::ChildStdout>,
}

impl Dev {
    fn start(arguments: &[&str]) -> Self {
        let mut command = signet();
        command.args(["dev", "--listen", "127.0.0.1:0"]);
        if !arguments.contains(&"--registry-listen") {
            command.args(["--registry-listen", "127.0.0.1:0"]);
        }
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains("Ctrl-C ends it.") {
            assert_ne!(stdout.read_line(&mut text).unwrap(), 0, "it ended: {text}");
        }
        Self { child, text, _stdout: stdout }
    }

    /// What stands behind a name in what it printed, up to the next space.
    fn value(&self, name: &str) -> &str {
        let start = format!("  {name} ");
        let line = self.text.lines().find_map(|line| line.strip_prefix(&start));
        line.and_then(|line| line.split_whitespace().next())
            .unwrap_or_else(|| panic!("no {name}: {}", self.text))
    }

    /// The printed line that begins with these words.
    fn line(&self, words: &str) -> &str {
        let line = self.text.lines().map(str::trim).find(|line| line.starts_with(words));
        line.unwrap_or_else(|| panic!("no {words}: {}", self.text))
    }

    /// Pastes the printed line, and reads what comes of it.
    async fn sign_as_printed(&self, clients: &Clients) -> Value {
        let pasted = clients.paste(Cosign::V3, self.line("curl")).await;
        assert!(pasted.success, "{}", pasted.stderr);
        let answer: Value = serde_json::from_str(&pasted.stdout).unwrap();
        assert_eq!(answer["state"], "attached", "{answer}");
        answer
    }

    /// As a service manager ends it.
    fn end(&mut self) {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signet() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}
