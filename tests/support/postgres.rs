//! PostgreSQL: a database of a test's own on the server that all share, or a server that a test may stop.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::servers::{free_port, path_of, unique, value_of};

/// The URL of a new database on the server that all tests share.
pub async fn database() -> String {
    let server = value_of("/postgres/url");
    database_on(server.as_str().expect("the servers' file has a URL")).await
}

/// The URL of a new database on the server of `url`.
pub async fn database_on(url: &str) -> String {
    let name = unique("test").replace('-', "_");
    connect(url)
        .await
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .expect("a database can be made");
    let (server, _) = url.rsplit_once('/').expect("the URL names a database");
    format!("{server}/{name}")
}

/// A connection that knows nothing of Signet.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL answers");
    tokio::spawn(connection);
    client
}

/// A server for one test alone. It ends with this value.
pub struct Server {
    directory: TempDir,
    port: u16,
    running: Option<super::servers::Running>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// A server whose folder `prepare` may add to.
    pub async fn start_with(prepare: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().expect("a folder can be made");
        own(directory.path());
        let data = directory.path().join("data");
        let mut initdb = tool("initdb", directory.path());
        initdb.args([
            "--username=signet",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--pgdata",
        ]);
        let made = initdb.arg(&data).stdout(Stdio::null()).status().expect("initdb can be started");
        assert!(made.success(), "initdb: {made}");
        prepare(&data);
        let mut server = Self { directory, port: free_port(), running: None };
        server.go().await;
        server
    }

    pub fn url(&self) -> String {
        format!("postgres://signet@127.0.0.1:{}/postgres", self.port)
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Ends every process at once, as a loss of power would.
    pub fn kill(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // Asked to quit, the first process ends all others before itself; killed, it would leave them behind.
        let quit = Command::new("kill").args(["-QUIT", &running.0.id().to_string()]).status();
        assert!(quit.expect("kill can be started").success());
        running.0.wait().expect("it is a child of this process");
    }

    /// Starts the server again, and waits until it answers.
    pub async fn go(&mut self) {
        let mut server = tool("postgres", self.directory.path());
        server.arg("-D").arg(self.directory.path().join("data")).args(["-p", &self.port.to_string()]);
        server.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        let log = self.directory.path().join("server.log");
        let said = std::fs::File::create(&log).expect("the folder is there");
        let child = server.stdout(Stdio::null()).stderr(said).spawn().expect("postgres can be started");
        self.running = Some(super::servers::Running(child));
        let url = self.url();
        for _ in 0..600 {
            if tokio_postgres::connect(&url, NoTls).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("PostgreSQL did not answer in 30 s: {}", std::fs::read_to_string(log).unwrap_or_default());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program of PostgreSQL, which does not run as root.
fn tool(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(path_of("/postgres/binaries").join(name));
    command.current_dir(directory).env("LD_LIBRARY_PATH", path_of("/postgres/libraries"));
    if let Some((uid, gid)) = other_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// Makes `path` the property of whom PostgreSQL runs as.
pub fn own(path: &Path) {
    if let Some((uid, gid)) = other_user() {
        chown(path, Some(uid), Some(gid)).expect("root may give files away");
    }
}

/// Whom PostgreSQL runs as, where that is not whom the tests run as.
fn other_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    let id = |pointer| value_of(pointer).as_u64().and_then(|id| u32::try_from(id).ok()).expect("an id");
    let (uid, gid) = (id("/postgres/uid"), id("/postgres/gid"));
    let ours = std::fs::metadata("/proc/self").expect("Linux has it").uid();
    (ours != uid).then_some((uid, gid))
}
