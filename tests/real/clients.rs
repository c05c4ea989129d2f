//! The stock clients, run as people run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::registries::demand_real_servers;
use crate::support::World;
use crate::support::servers::{self, Vault};

/// Runs cosign and crane in a home directory of their own, and without a network: what is on loopback is all there is.
pub struct Clients {
    home: PathBuf,
    vault: Vault,
    /// Certificate authorities, where it is not those of the machine.
    authorities: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cosign {
    V2,
    V3,
}

/// The two places of a signature, by the names that the API gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Cosign,
    Bundle,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Nothing listens there, so that whatever wants to leave this machine fails at once.
const NO_PROXY_THERE: &str = "http://127.0.0.1:1";

impl Cosign {
    pub const ALL: [Self; 2] = [Self::V2, Self::V3];

    fn binary(self) -> PathBuf {
        servers::path_of(match self {
            Self::V2 => "/cosign/2.6.5",
            Self::V3 => "/cosign/3.1.3",
        })
    }

    /// What makes it write this layout.
    fn writing(self, layout: Layout) -> &'static [&'static str] {
        match (self, layout) {
            (Self::V2, Layout::Cosign) => &[],
            (Self::V2, Layout::Bundle) => panic!("cosign 2.6 does not write this layout"),
            (Self::V3, Layout::Cosign) => &["--use-signing-config=false", "--new-bundle-format=false"],
            (Self::V3, Layout::Bundle) => &["--use-signing-config=false"],
        }
    }
}

impl Layout {
    pub const ALL: [Self; 2] = [Self::Cosign, Self::Bundle];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Cosign => "cosign",
            Self::Bundle => "bundle",
        }
    }
}

impl Clients {
    pub fn of(world: &World) -> Self {
        Self::at_home(&world.directory.path().join("home"), &world.vault)
    }

    /// `cosign sign` may use every key of `vault`.
    pub fn at_home(home: &Path, vault: &Vault) -> Self {
        demand_real_servers();
        std::fs::create_dir_all(home).unwrap();
        Self { home: home.to_owned(), vault: vault.clone(), authorities: None }
    }

    /// The clients trust the authorities in this file alone.
    pub fn trusting(self, file: &Path) -> Self {
        Self { authorities: Some(file.to_owned()), ..self }
    }

    /// What crane answers.
    pub async fn crane(&self, arguments: &[&str]) -> String {
        let ended = self.run(servers::path_of("/crane"), arguments).await;
        assert!(ended.success, "crane {arguments:?}: {}", ended.stderr);
        ended.stdout.trim_end().to_owned()
    }

    /// Pushes an image that no other test has to `repository`, and returns its reference by digest.
    pub async fn push_image(&self, repository: &str) -> String {
        let name = servers::unique("image");
        // An empty archive: what follows two blocks of zeros does not count.
        let layer = [vec![0; 1024], name.as_bytes().to_vec()].concat();
        let file = self.file(&format!("{name}.tar"), layer);
        let tag = format!("{repository}:{name}");
        self.crane(&["append", "--oci-empty-base", "-f", &file, "-t", &tag]).await
    }

    pub async fn cosign(&self, version: Cosign, arguments: &[&str]) -> Ended {
        self.run(version.binary(), arguments).await
    }

    /// Runs a line as if somebody had pasted it, with this cosign in the path.
    pub async fn paste(&self, version: Cosign, line: &str) -> Ended {
        let bin = version.binary().parent().unwrap().to_str().unwrap().to_owned();
        self.run("sh".into(), &["-c", &format!("PATH='{bin}':\"$PATH\"; {line}")]).await
    }

    /// Signs with a key of Vault, as a pipeline without Signet does.
    pub async fn cosign_sign(&self, version: Cosign, layout: Layout, key: &str, image: &str, more: &[&str]) {
        let key = format!("hashivault://{key}");
        let mut arguments = vec!["sign", "--yes", "--tlog-upload=false", "--key", &key];
        arguments.extend(version.writing(layout));
        arguments.extend(more);
        arguments.push(image);
        let ended = self.cosign(version, &arguments).await;
        assert!(ended.success, "{version:?} {arguments:?}: {}", ended.stderr);
    }

    /// What `cosign verify` says that it verified; what it says where it does not.
    pub async fn cosign_verify(
        &self,
        version: Cosign,
        layout: Layout,
        pem: &str,
        image: &str,
        more: &[&str],
    ) -> Result<Vec<Value>, String> {
        let key = self.file(&format!("{}.pub", servers::unique("key")), pem);
        let root = self.trusted_root();
        let mut arguments = vec!["verify", "--key", &key, "--insecure-ignore-tlog=true"];
        if (version, layout) == (Cosign::V2, Layout::Bundle) {
            arguments.extend(["--new-bundle-format", "--trusted-root", &root]);
        }
        arguments.extend(more);
        arguments.push(image);
        let ended = self.cosign(version, &arguments).await;
        if ended.success { Ok(serde_json::from_str(&ended.stdout).unwrap()) } else { Err(ended.stderr) }
    }

    /// A file that cosign 2.6 wants to be given for bundles.
    pub fn trusted_root(&self) -> String {
        self.file("trusted-root.json", TRUSTED_ROOT)
    }

    /// Attests with a key of Vault, as a pipeline without Signet does.
    pub async fn cosign_attest(
        &self,
        version: Cosign,
        layout: Layout,
        key: &str,
        image: &str,
        predicate_type: &str,
        file: &str,
    ) {
        let key = format!("hashivault://{key}");
        let mut arguments = vec!["attest", "--yes", "--tlog-upload=false", "--key", &key];
        arguments.extend(["--type", predicate_type, "--predicate", file]);
        arguments.extend(version.writing(layout));
        arguments.push(image);
        let ended = self.cosign(version, &arguments).await;
        assert!(ended.success, "{version:?} {arguments:?}: {}", ended.stderr);
    }

    /// The statements that `cosign verify-attestation` verified; what it says where it did not.
    pub async fn cosign_verify_attestation(
        &self,
        version: Cosign,
        layout: Layout,
        pem: &str,
        image: &str,
        predicate_type: &str,
        more: &[&str],
    ) -> Result<Vec<Value>, String> {
        let key = self.file(&format!("{}.pub", servers::unique("key")), pem);
        let root = self.trusted_root();
        let mut arguments = vec!["verify-attestation", "--key", &key, "--insecure-ignore-tlog=true"];
        arguments.extend(["--type", predicate_type]);
        if (version, layout) == (Cosign::V2, Layout::Bundle) {
            arguments.extend(["--new-bundle-format", "--trusted-root", &root]);
        }
        arguments.extend(more);
        arguments.push(image);
        let ended = self.cosign(version, &arguments).await;
        if ended.success { Ok(crate::attestations::statements(&ended.stdout)) } else { Err(ended.stderr) }
    }

    /// Whether `cosign verify-blob` verifies `file`, and what it says where it does not.
    pub async fn cosign_verify_blob(
        &self,
        version: Cosign,
        pem: &str,
        form: &[&str],
        file: &str,
        more: &[&str],
    ) -> Result<(), String> {
        let key = self.file(&format!("{}.pub", servers::unique("key")), pem);
        let mut arguments = vec!["verify-blob", "--key", &key, "--insecure-ignore-tlog=true"];
        arguments.extend(form);
        arguments.extend(more);
        arguments.push(file);
        let ended = self.cosign(version, &arguments).await;
        if ended.success { Ok(()) } else { Err(ended.stderr) }
    }

    /// Both cosigns verify `image`.
    pub async fn assert_verified(&self, layout: Layout, pem: &str, image: &str, more: &[&str]) {
        for version in Cosign::ALL {
            let verified = self.cosign_verify(version, layout, pem, image, more).await;
            let verified =
                verified.unwrap_or_else(|error| panic!("{version:?} {layout:?} {more:?}: {error}"));
            let (_, digest) = image.split_once('@').unwrap();
            for signature in verified {
                assert_eq!(signature["critical"]["image"]["docker-manifest-digest"], digest);
            }
        }
    }

    /// Both cosigns looked, and say that nothing verifies.
    pub async fn assert_refused(&self, layout: Layout, pem: &str, image: &str, more: &[&str]) {
        for version in Cosign::ALL {
            self.assert_refused_by(version, layout, pem, image, more).await;
        }
    }

    /// This cosign looked, and says that nothing verifies.
    pub async fn assert_refused_by(
        &self,
        version: Cosign,
        layout: Layout,
        pem: &str,
        image: &str,
        more: &[&str],
    ) {
        match self.cosign_verify(version, layout, pem, image, more).await {
            Ok(verified) => panic!("{version:?} {layout:?} {more:?} verified {verified:?}"),
            Err(words) => assert!(
                REFUSALS.iter().any(|refusal| words.contains(refusal)),
                "{version:?} {layout:?} {more:?}: {words}"
            ),
        }
    }

    /// Puts a file into the home directory, and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.home.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn run(&self, binary: PathBuf, arguments: &[&str]) -> Ended {
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .current_dir(&self.home)
            .stdin(Stdio::null());
        command.env("HOME", &self.home).env("HTTPS_PROXY", NO_PROXY_THERE).env("HTTP_PROXY", NO_PROXY_THERE);
        if let Some(file) = &self.authorities {
            command.env("SSL_CERT_FILE", file);
        }
        command.env("VAULT_ADDR", &self.vault.address).env("VAULT_TOKEN", &self.vault.root_token);
        // The proxies of the test need the thread that the test runs on.
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// What cosign 2.6 wants to see before it reads a bundle. There is nothing in it.
const TRUSTED_ROOT: &str = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;

/// What cosign says where it looked and found nothing that verifies.
const REFUSALS: [&str; 5] = [
    "no matching signatures",
    "no signatures found",
    "no valid bundles exist in registry",
    "no matching attestations",
    "failed to verify signature",
];
