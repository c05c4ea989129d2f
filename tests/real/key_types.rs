//! Which stock verifier takes which key: the table in `docs/verifiers.md`, cell by cell. A combination that works where
//! the table says that it does not breaks this test as well.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::clients::{Clients, Cosign, Layout};
use crate::registries::world_with;
use crate::support::World;
use crate::support::servers::{self, KeyForm};
use crate::support::world::Settings;
use crate::upstream::{Upstream, digest_of};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verifiers.md");

/// The first cells of a row.
const CASE: [&str; 3] = ["Key", "`hash`", "Layout"];

/// What is verified and with what, as the header of the table names it.
const COLUMNS: [(&str, What, Cosign); 6] = [
    ("Image, cosign 2.6.5", What::Image, Cosign::V2),
    ("Image, cosign 3.1.3", What::Image, Cosign::V3),
    ("Attestation, cosign 2.6.5", What::Attestation, Cosign::V2),
    ("Attestation, cosign 3.1.3", What::Attestation, Cosign::V3),
    ("Blob, cosign 2.6.5", What::Blob, Cosign::V2),
    ("Blob, cosign 3.1.3", What::Blob, Cosign::V3),
];

/// Of a blob, the layout `cosign` is its raw signature.
#[derive(Debug, Clone, Copy)]
enum What {
    Image,
    Attestation,
    Blob,
}

const PREDICATE_TYPE: &str = "cyclonedx";
const CONTENT: &[u8] = b"content of a file\n";

/// All keys of the table: each type with its default, and the hashes that one may think of with the larger curves.
const KEYS: [KeyForm; 10] = [
    key("ecdsa-p256", None),
    key("ecdsa-p384", None),
    key("ecdsa-p384", Some("sha2-384")),
    key("ecdsa-p521", None),
    key("ecdsa-p521", Some("sha2-512")),
    key("rsa-2048", None),
    key("rsa-3072", None),
    key("rsa-4096", None),
    key("rsa-4096", Some("sha2-512")),
    key("ed25519", None),
];

const fn key(key_type: &'static str, hash: Option<&'static str>) -> KeyForm {
    KeyForm { key_type, hash }
}

#[tokio::test]
async fn the_table_of_verifiers_is_what_the_stock_verifiers_do() {
    let header = CASE.into_iter().chain(COLUMNS.map(|(name, ..)| name)).map(str::to_owned).collect();
    let rows = join_all(KEYS.map(rows_of)).await;
    let observed: Vec<Vec<String>> = std::iter::once(header).chain(rows.into_iter().flatten()).collect();
    let text = std::fs::read_to_string(DOCUMENT).unwrap_or_else(|error| panic!("{DOCUMENT}: {error}"));
    let expected = table(&text, CASE[0]);
    assert_eq!(observed, expected, "docs/verifiers.md should have this table:\n\n{}", markdown(&observed));
}

/// One row for each layout.
async fn rows_of(key: KeyForm) -> Vec<Vec<String>> {
    let world = world_with(Settings { registry: Some("distribution-3"), key, ..Settings::default() }).await;
    let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
    world.rotate().await;
    let blob = signed_blob(&world).await;
    let mut rows = Vec::new();
    for layout in Layout::ALL {
        let image = clients.push_image(&upstream.repository).await;
        sign(&world, &image, layout).await;
        let signed = Signed { clients: &clients, layout, key, image, blob: &blob };
        let (other, pem) = (world.public_key(1).await, world.public_key(2).await);
        let mut row =
            vec![key.key_type.to_owned(), key.hash.unwrap_or_default().to_owned(), layout.name().to_owned()];
        for (_, what, cosign) in COLUMNS {
            row.push(signed.verified(what, cosign, &pem).await);
            let flag = flag(key);
            let refused = signed.verify(what, cosign, &other, flag.as_deref()).await;
            assert!(refused.is_err(), "{what:?} {cosign:?} {layout:?} {key:?} verifies with another version");
        }
        rows.push(row);
    }
    rows
}

/// An image that is signed and attested in a layout, and a file, all with one key.
struct Signed<'a> {
    clients: &'a Clients,
    layout: Layout,
    key: KeyForm,
    image: String,
    /// The answer.
    blob: &'a Value,
}

impl Signed<'_> {
    /// `yes`, `with` and the flag that it takes, or `no`.
    async fn verified(&self, what: What, cosign: Cosign, pem: &str) -> String {
        let plainly = self.verify(what, cosign, pem, None).await;
        let flag = flag(self.key);
        let flagged = match &flag {
            Some(flag) => self.verify(what, cosign, pem, Some(flag)).await,
            None => Err("there is no flag to try".to_owned()),
        };
        match (plainly, flagged, flag) {
            (Ok(()), ..) => "yes".to_owned(),
            (Err(_), Ok(()), Some(flag)) => format!("with `{flag}`"),
            (Err(plainly), flagged, _) => {
                eprintln!("{what:?} {cosign:?} {:?} {:?}: {plainly} {flagged:?}", self.layout, self.key);
                "no".to_owned()
            }
        }
    }

    async fn verify(&self, what: What, cosign: Cosign, pem: &str, flag: Option<&str>) -> Result<(), String> {
        let Self { clients, layout, image, .. } = self;
        let flags: Vec<_> = flag.into_iter().collect();
        match what {
            What::Image => clients.cosign_verify(cosign, *layout, pem, image, &flags).await.map(|_| ()),
            What::Attestation => {
                let verified =
                    clients.cosign_verify_attestation(cosign, *layout, pem, image, PREDICATE_TYPE, &flags);
                verified.await.map(|_| ())
            }
            What::Blob => self.verify_blob(cosign, pem, &flags).await,
        }
    }

    async fn verify_blob(&self, cosign: Cosign, pem: &str, flags: &[&str]) -> Result<(), String> {
        let Self { clients, layout, blob, .. } = self;
        let file = clients.file(&servers::unique("file"), CONTENT);
        let root = clients.trusted_root();
        let signature = clients.file(&servers::unique("sig"), blob["signature"].as_str().unwrap());
        let bundle = clients.file(&servers::unique("bundle"), blob["bundle"].to_string());
        let form = match (layout, cosign) {
            (Layout::Cosign, _) => vec!["--signature", &signature],
            (Layout::Bundle, Cosign::V2) => {
                vec!["--bundle", &bundle, "--new-bundle-format", "--trusted-root", &root]
            }
            (Layout::Bundle, Cosign::V3) => vec!["--bundle", &bundle],
        };
        clients.cosign_verify_blob(cosign, pem, &form, &file, flags).await
    }
}

/// What cosign wants to be told of a key that does not hash with SHA-256.
fn flag(key: KeyForm) -> Option<String> {
    key.hash.map(|hash| format!("--signature-digest-algorithm={}", hash.replace("sha2-", "sha")))
}

/// Signs and attests with version 2, which is the latest.
async fn sign(world: &World, image: &str, layout: Layout) {
    let image = world.image(digest_of(image));
    let request = json!({"image": image, "format": layout.name(), "key_version": 2});
    let answer = world.sign(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let predicate = json!({"bomFormat": "CycloneDX", "specVersion": "1.6"});
    let request = json!({
        "image": image, "format": layout.name(), "key_version": 2,
        "predicate_type": PREDICATE_TYPE, "predicate": predicate,
    });
    let answer = world.attest(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// A file, signed with version 2 by its content, which every key can sign.
async fn signed_blob(world: &World) -> Value {
    let answer = world.sign_blob(json!({"content": STANDARD.encode(CONTENT), "key_version": 2})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

/// The cells of the table whose first header is `first`: header and rows, without the line between them.
fn table(text: &str, first: &str) -> Vec<Vec<String>> {
    let start = format!("| {first} |");
    let lines = text.lines().skip_while(|line| !line.starts_with(&start));
    let rows = lines.take_while(|line| line.starts_with('|')).filter(|line| !line.starts_with("|-"));
    let cells = |line: &str| {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    rows.map(cells).collect()
}

fn markdown(rows: &[Vec<String>]) -> String {
    let line = |row: &Vec<String>| format!("| {} |", row.join(" | "));
    let mut lines: Vec<_> = rows.iter().map(line).collect();
    lines.insert(1, format!("|{}", "---|".repeat(rows[0].len())));
    lines.join("\n")
}

#[test]
fn a_table_is_read_back_as_it_is_written() {
    let rows =
        vec![vec!["Key".to_owned(), "Layout".to_owned()], vec!["a".to_owned(), "with `--b=c`".to_owned()]];
    let text = format!("# Title\n\n| Other |\n|---|\n| x |\n\n{}\n\nMore.", markdown(&rows));
    assert_eq!(table(&text, "Key"), rows);
    assert_eq!(table(&text, "Nothing"), Vec::<Vec<String>>::new());
}
