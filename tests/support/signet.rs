//! A Signet of one test's own: the real binary, as an operator runs it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::Value;

/// A running `signet serve`. Ends with this value.
pub struct Signet {
    /// `http://127.0.0.1:port`; over TLS `https://localhost:port`
    pub api: String,
    pub admin: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Signet {
    /// Starts `signet serve` and waits until it says where it listens.
    pub fn serve(config: &Path) -> Self {
        Self::serve_with(config, &[])
    }

    /// As [`Signet::serve`], with variables in its environment.
    pub fn serve_with(config: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_signet"))
            .args(["serve", "--config"])
            .arg(config)
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (listening, heard) = mpsc::sync_channel(1);
        let kept = lines.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str::<Value>(&line)
                    && value["message"] == "listening"
                {
                    let _ = listening.try_send(value);
                }
                kept.lock().unwrap().push(line);
            }
        });
        let Ok(value) = heard.recv_timeout(Duration::from_secs(60)) else {
            let _ = child.kill();
            panic!("signet did not start: {:#?}", lines.lock().unwrap());
        };
        let address = |name: &str| value[name].as_str().unwrap();
        let api = match value["tls"].as_bool().unwrap() {
            true => format!("https://{}", address("api").replace("127.0.0.1", "localhost")),
            false => format!("http://{}", address("api")),
        };
        Self { api, admin: format!("http://{}", address("admin")), child, lines }
    }

    /// What it wrote to its log so far.
    pub fn log_lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end, for at most 30 s.
    pub async fn wait(&mut self) -> ExitStatus {
        let ended = async {
            let mut pause = tokio::time::interval(Duration::from_millis(10));
            loop {
                pause.tick().await;
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("signet did not end in 30 s")
    }

    /// Ends it without a word, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Signet {
    fn drop(&mut self) {
        self.kill();
    }
}
