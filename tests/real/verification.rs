//! A corpus of images, signed by cosign 2.6.5, cosign 3.1.3 and Signet, good and tampered with: what Signet says of each
//! and what both cosigns say, against the table in `expected.md`.
//!
//! Where Signet says `unsigned` and a cosign verifies, the row is marked `stricter`; the other way round there is none.

mod attestations;
mod bundles;
mod layers;

use serde_json::{Value, json};

use crate::clients::{Clients, Cosign, Layout};
use crate::registries::{on_each_registry, world, world_with};
use crate::support::World;
use crate::support::world::Settings;
use crate::upstream::{Upstream, digest_of};

const EXPECTED: &str = include_str!("verification/expected.md");

on_each_registry!(what_is_signed_is_found);

async fn what_is_signed_is_found(registry: &'static str) {
    let world = world(registry).await;
    for layout in Layout::ALL {
        let image = world.push_image().await;
        let ask = async || {
            let request = json!({"image": image, "key": world.key}).to_string();
            let answer = world.post("/v1/verifications", &world.token, request).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            (
                answer.body["state"].clone(),
                summary(answer.body["signatures"].as_array().into_iter().flatten()),
            )
        };
        assert_eq!(ask().await, (json!("unsigned"), String::new()));
        let answer = world.sign(json!({"image": image, "format": layout.name()})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(ask().await, (json!("signed"), "verified".to_owned()));
    }
}

/// Who signs the images of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signer {
    Cosign(Cosign),
    Signet,
}

#[tokio::test]
async fn layers_of_cosign_2_6_are_judged_as_the_table_says() {
    corpus(Signer::Cosign(Cosign::V2), Layout::Cosign).await;
}

#[tokio::test]
async fn layers_of_cosign_3_1_are_judged_as_the_table_says() {
    corpus(Signer::Cosign(Cosign::V3), Layout::Cosign).await;
}

#[tokio::test]
async fn layers_of_signet_are_judged_as_the_table_says() {
    corpus(Signer::Signet, Layout::Cosign).await;
}

#[tokio::test]
async fn bundles_of_cosign_3_1_are_judged_as_the_table_says() {
    corpus(Signer::Cosign(Cosign::V3), Layout::Bundle).await;
}

#[tokio::test]
async fn bundles_of_signet_are_judged_as_the_table_says() {
    corpus(Signer::Signet, Layout::Bundle).await;
}

#[tokio::test]
async fn attestations_of_cosign_2_6_are_judged_as_the_table_says() {
    let place = Place::new(Signer::Cosign(Cosign::V2), Layout::Cosign).await;
    compare(&attestations::rows(&place).await, "cosign 2.6.5", "attestation, cosign");
}

#[tokio::test]
async fn attestations_of_cosign_3_1_are_judged_as_the_table_says() {
    let place = Place::new(Signer::Cosign(Cosign::V3), Layout::Cosign).await;
    compare(&attestations::rows(&place).await, "cosign 3.1.3", "attestation, cosign");
}

#[tokio::test]
async fn attestations_of_cosign_3_1_in_bundles_are_judged_as_the_table_says() {
    let place = Place::new(Signer::Cosign(Cosign::V3), Layout::Bundle).await;
    compare(&attestations::rows(&place).await, "cosign 3.1.3", "attestation, bundle");
}

#[tokio::test]
async fn attestations_of_signet_are_judged_as_the_table_says() {
    let place = Place::new(Signer::Signet, Layout::Cosign).await;
    compare(&attestations::rows(&place).await, "Signet", "attestation, cosign");
}

#[tokio::test]
async fn attestations_of_signet_in_bundles_are_judged_as_the_table_says() {
    let place = Place::new(Signer::Signet, Layout::Bundle).await;
    compare(&attestations::rows(&place).await, "Signet", "attestation, bundle");
}

impl Signer {
    const fn name(self) -> &'static str {
        match self {
            Self::Cosign(Cosign::V2) => "cosign 2.6.5",
            Self::Cosign(Cosign::V3) => "cosign 3.1.3",
            Self::Signet => "Signet",
        }
    }
}

/// Where one corpus lives: images are named as the proxy names them, for everybody.
struct Place {
    world: World,
    clients: Clients,
    upstream: Upstream,
    pem: String,
    signer: Signer,
    layout: Layout,
}

async fn corpus(signer: Signer, layout: Layout) {
    let place = Place::new(signer, layout).await;
    let rows = match layout {
        Layout::Cosign => layers::rows(&place).await,
        Layout::Bundle => bundles::rows(&place).await,
    };
    compare(&rows, signer.name(), layout.name());
}

#[track_caller]
fn compare(rows: &[String], signer: &str, what: &str) {
    let prefix = format!("| {signer} | {what} |");
    let expected: Vec<_> = EXPECTED.lines().filter(|line| line.starts_with(&prefix)).collect();
    let differences: Vec<_> = rows.iter().filter(|row| !expected.contains(&row.as_str())).collect();
    assert!(differences.is_empty(), "the table has not\n{differences:#?}");
    assert_eq!(rows, expected);
    let wrong: Vec<_> = rows.iter().filter(|row| row.contains("| laxer |")).collect();
    assert!(wrong.is_empty(), "Signet takes what no cosign takes: {wrong:#?}");
}

/// How a row is looked at.
#[derive(Debug, Clone, Copy)]
enum Look<'a> {
    Layout(Layout),
    /// Both layouts on one image, and cosign finds out by itself.
    Mixed,
    /// An attestation of this type.
    Attestation(&'a str),
}

impl Place {
    async fn new(signer: Signer, layout: Layout) -> Self {
        // What is tampered with here, Signet would put back.
        let lines = vec![("attach", "look_again = ['1h']".to_owned())];
        let settings = Settings { registry: Some("distribution-3"), lines, ..Settings::default() };
        let world = world_with(settings).await;
        let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
        let pem = world.public_key(1).await;
        Self { world, clients, upstream, pem, signer, layout }
    }

    /// An image, signed.
    async fn signed(&self) -> String {
        let image = self.image().await;
        match self.signer {
            Signer::Cosign(version) => {
                self.clients.cosign_sign(version, self.layout, &self.world.key, &image, &[]).await;
            }
            Signer::Signet => {
                let request = json!({"image": image, "format": self.layout.name()});
                let answer = self.world.sign(request).await;
                assert_eq!(answer.status, 201, "{answer:?}");
            }
        }
        image
    }

    async fn image(&self) -> String {
        let image = self.clients.push_image(&self.upstream.repository).await;
        self.world.image(digest_of(&image))
    }

    /// The row of the table about `image`, as it is now.
    async fn row(&self, name: &str, image: &str) -> String {
        self.row_of(name, image, Look::Layout(self.layout)).await
    }

    async fn row_of(&self, name: &str, image: &str, look: Look<'_>) -> String {
        let mut request = json!({"image": image, "key": self.world.key});
        if let Look::Attestation(predicate_type) = look {
            request["predicate_type"] = json!(predicate_type);
        }
        let answer = self.world.post("/v1/verifications", &self.world.token, request.to_string()).await;
        let state = answer.body["state"].as_str().unwrap_or(answer.code()).to_owned();
        let verdicts = summary(answer.body["signatures"].as_array().into_iter().flatten());
        let (second, third) =
            (self.cosign(Cosign::V2, image, look).await, self.cosign(Cosign::V3, image, look).await);
        let words = |verified| if verified { "verified" } else { "refused" };
        let remark = match (state == "signed", second || third) {
            (true, false) => "laxer",
            (false, true) => "stricter",
            _ => "",
        };
        let what = match look {
            Look::Attestation(_) => format!("attestation, {}", self.layout.name()),
            Look::Layout(_) | Look::Mixed => self.layout.name().to_owned(),
        };
        let row = format!(
            "| {} | {what} | {name} | {state} | {verdicts} | {} | {} | {remark} |",
            self.signer.name(),
            words(second),
            words(third),
        );
        row.replace("  ", " ")
    }

    /// Whether this cosign verifies the image in the time that it gets. It may wait for what never comes.
    async fn cosign(&self, version: Cosign, image: &str, look: Look<'_>) -> bool {
        let timeout = format!("--timeout={}", if self.takes_long(image).await { "5m" } else { "5s" });
        let root = self.clients.trusted_root();
        let mut more = vec![timeout.as_str()];
        match look {
            Look::Layout(layout) => {
                self.clients.cosign_verify(version, layout, &self.pem, image, &more).await.is_ok()
            }
            Look::Mixed => {
                if version == Cosign::V2 {
                    more.extend(["--trusted-root", &root]);
                }
                self.clients.cosign_verify(version, Layout::Cosign, &self.pem, image, &more).await.is_ok()
            }
            Look::Attestation(predicate_type) => {
                let key = self.clients.file("verifying.pub", &self.pem);
                let mut arguments = vec!["verify-attestation", "--key", &key, "--insecure-ignore-tlog=true"];
                arguments.extend(["--type", predicate_type]);
                if version == Cosign::V2 && self.layout == Layout::Bundle {
                    arguments.extend(["--new-bundle-format", "--trusted-root", &root]);
                }
                arguments.extend(more);
                arguments.push(image);
                self.clients.cosign(version, &arguments).await.success
            }
        }
    }

    /// cosign asks for each layer's payload, also where all have the same.
    async fn takes_long(&self, image: &str) -> bool {
        self.world.layers(image).await.len() > 100
    }
}

/// Each verdict once, with how often where it is more.
fn summary<'a>(signatures: impl Iterator<Item = &'a Value>) -> String {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for verdict in signatures.map(|signature| signature["verdict"].as_str().unwrap()) {
        match counted.iter_mut().find(|(known, _)| known == verdict) {
            Some((_, count)) => *count += 1,
            None => counted.push((verdict.to_owned(), 1)),
        }
    }
    counted.sort();
    let words = counted.into_iter().map(|(verdict, count)| match count {
        1 => verdict,
        count => format!("{count} × {verdict}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
