//! What one signature and one attestation cost, counted by the proxies in front of Vault and the registry: one caller, a Signet that has just
//! started, no login. `cargo test --test real call_counts -- --nocapture` shows every call.

use std::fmt::Write as _;

use serde_json::{Value, json};
use signet::domain::Digest;

use crate::clients::Layout;
use crate::registries::world;
use crate::support::proxy::{Call, signing_calls};
use crate::upstream::digest_of;

/// The most calls to the registry.
struct Budget {
    /// The first signature of a Signet that has just started.
    first: usize,
    /// The next image, when Signet knows what the registry can do.
    next: usize,
    /// The same request again.
    again: usize,
}

#[tokio::test]
async fn a_cosign_signature_on_distribution_2_8_takes_at_most_10_registry_calls() {
    keeps_to(&Budget { first: 10, next: 9, again: 3 }, "distribution-2.8", Layout::Cosign, signature).await;
}

#[tokio::test]
async fn a_bundle_on_distribution_2_8_takes_at_most_12_registry_calls() {
    keeps_to(&Budget { first: 12, next: 9, again: 3 }, "distribution-2.8", Layout::Bundle, signature).await;
}

#[tokio::test]
async fn a_cosign_signature_on_distribution_3_takes_at_most_10_registry_calls() {
    keeps_to(&Budget { first: 10, next: 9, again: 3 }, "distribution-3", Layout::Cosign, signature).await;
}

#[tokio::test]
async fn a_bundle_on_distribution_3_takes_at_most_12_registry_calls() {
    keeps_to(&Budget { first: 12, next: 9, again: 3 }, "distribution-3", Layout::Bundle, signature).await;
}

#[tokio::test]
async fn a_cosign_signature_on_a_registry_with_the_referrers_api_takes_at_most_7_calls() {
    keeps_to(&Budget { first: 7, next: 7, again: 3 }, "ociregistry", Layout::Cosign, signature).await;
}

#[tokio::test]
async fn a_bundle_on_a_registry_with_the_referrers_api_takes_at_most_8_calls() {
    keeps_to(&Budget { first: 8, next: 7, again: 3 }, "ociregistry", Layout::Bundle, signature).await;
}

#[tokio::test]
async fn an_attestation_takes_as_many_calls_as_a_signature() {
    for (registry, [cosign, bundle]) in [
        ("distribution-2.8", [(10, 9), (12, 9)]),
        ("distribution-3", [(10, 9), (12, 9)]),
        ("ociregistry", [(7, 7), (8, 7)]),
    ] {
        for (layout, (first, next)) in [(Layout::Cosign, cosign), (Layout::Bundle, bundle)] {
            keeps_to(&Budget { first, next, again: 3 }, registry, layout, attestation).await;
        }
    }
}

/// A path of the API, and what is asked there.
type Request = fn(&str, Layout) -> (&'static str, Value);

fn signature(image: &str, layout: Layout) -> (&'static str, Value) {
    ("/v1/signatures", json!({"image": image, "format": layout.name()}))
}

fn attestation(image: &str, layout: Layout) -> (&'static str, Value) {
    let (predicate_type, predicate) = ("custom", json!({"a": 1}));
    let request = json!({
        "image": image, "format": layout.name(), "predicate_type": predicate_type, "predicate": predicate,
    });
    ("/v1/attestations", request)
}

async fn keeps_to(budget: &Budget, registry: &'static str, layout: Layout, request: Request) {
    let world = world(registry).await;
    let (image, next) = (world.push_image().await, world.push_image().await);
    let mut table = format!("{registry}, {layout:?}, {}\n", request(&image, layout).0);
    for (round, image, status, limit) in [
        ("first", &image, 201, budget.first),
        ("next", &next, 201, budget.next),
        ("again", &image, 200, budget.again),
    ] {
        world.registry_proxy.take_calls();
        world.vault_proxy.take_calls();
        let (path, body) = request(image, layout);
        let answer = world.post(path, &world.token, body.to_string()).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let calls = world.registry_proxy.take_calls();
        let vault = world.vault_proxy.take_calls();
        let signing = signing_calls(&vault);
        let _ = writeln!(table, "  {round}: {} registry calls, {} signing calls", calls.len(), signing.len());
        for call in calls.iter().chain(signing.iter().copied()) {
            let _ = writeln!(table, "    {:5}{}", call.method.as_str(), shown(call, digest_of(image)));
        }
        assert!(calls.len() <= limit, "more than {limit} calls\n{table}");
        assert_eq!(signing.len(), usize::from(status == 201), "{table}");
    }
    println!("{table}");
}

/// A path in which a reader recognises the image, and that fits a line.
fn shown(call: &Call, image: Digest) -> String {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let path = path.replace(&image.hex(), "IMAGE");
    let parts: Vec<_> =
        path.split('/').map(|part| if part.len() > 40 { &part[..16] } else { part }).collect();
    let digest = if query.contains("digest=") { "?digest=…" } else { "" };
    format!("{}{digest}", parts.join("/"))
}
