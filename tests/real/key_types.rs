//! Which stock verifier takes which key: the table in `docs/verifiers.md`, cell by cell. A combination that works where
//! the table says that it does not breaks this test as well.

use futures::future::join_all;
use serde_json::json;

use crate::clients::{Clients, Cosign, Layout};
use crate::registries::world_with;
use crate::support::World;
use crate::support::servers::KeyForm;
use crate::support::world::Settings;
use crate::upstream::{Upstream, digest_of};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verifiers.md");

/// The first cells of a row.
const CASE: [&str; 3] = ["Key", "`hash`", "Layout"];

/// What is verified and with what, as the header of the table names it.
const COLUMNS: [(&str, Cosign); 2] =
    [("Image, cosign 2.6.5", Cosign::V2), ("Image, cosign 3.1.3", Cosign::V3)];

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
    let header = CASE.into_iter().chain(COLUMNS.map(|(name, _)| name)).map(str::to_owned).collect();
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
    let mut rows = Vec::new();
    for layout in Layout::ALL {
        let image = clients.push_image(&upstream.repository).await;
        sign(&world, &image, layout).await;
        let (other, pem) = (world.public_key(1).await, world.public_key(2).await);
        let mut row =
            vec![key.key_type.to_owned(), key.hash.unwrap_or_default().to_owned(), layout.name().to_owned()];
        for (_, cosign) in COLUMNS {
            row.push(verified(&clients, cosign, layout, &pem, &image, key).await);
            let flags: Vec<_> = flag(key).into_iter().collect();
            let flags: Vec<_> = flags.iter().map(String::as_str).collect();
            clients.assert_refused_by(cosign, layout, &other, &image, &flags).await;
        }
        rows.push(row);
    }
    rows
}

/// `yes`, `with` and the flag that it takes, or `no`.
async fn verified(
    clients: &Clients,
    cosign: Cosign,
    layout: Layout,
    pem: &str,
    image: &str,
    key: KeyForm,
) -> String {
    let plainly = clients.cosign_verify(cosign, layout, pem, image, &[]).await;
    let flag = flag(key);
    let flagged = match &flag {
        Some(flag) => clients.cosign_verify(cosign, layout, pem, image, &[flag]).await,
        None => Err("there is no flag to try".to_owned()),
    };
    match (plainly, flagged, flag) {
        (Ok(_), ..) => "yes".to_owned(),
        (Err(_), Ok(_), Some(flag)) => format!("with `{flag}`"),
        (Err(plainly), flagged, _) => {
            eprintln!("{cosign:?} {layout:?} {key:?}: {plainly} {flagged:?}");
            "no".to_owned()
        }
    }
}

/// What cosign wants to be told of a key that does not hash with SHA-256.
fn flag(key: KeyForm) -> Option<String> {
    key.hash.map(|hash| format!("--signature-digest-algorithm={}", hash.replace("sha2-", "sha")))
}

/// Signs with version 2, which is the latest.
async fn sign(world: &World, image: &str, layout: Layout) {
    let request = json!({"image": world.image(digest_of(image)), "format": layout.name(), "key_version": 2});
    let answer = world.sign(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
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
