//! What one signature costs, counted by the proxies in front of Vault and the registry: one caller, a Signet that has just
//! started, no login. `cargo test --test real call_counts -- --nocapture` shows every call.

use std::fmt::Write as _;

use serde_json::json;
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
    keeps_to(&Budget { first: 10, next: 9, again: 3 }, "distribution-2.8", Layout::Cosign).await;
}

#[tokio::test]
async fn a_bundle_on_distribution_2_8_takes_at_most_11_registry_calls() {
    keeps_to(&Budget { first: 11, next: 8, again: 3 }, "distribution-2.8", Layout::Bundle).await;
}

#[tokio::test]
async fn a_cosign_signature_on_distribution_3_takes_at_most_10_registry_calls() {
    keeps_to(&Budget { first: 10, next: 9, again: 3 }, "distribution-3", Layout::Cosign).await;
}

#[tokio::test]
async fn a_bundle_on_distribution_3_takes_at_most_11_registry_calls() {
    keeps_to(&Budget { first: 11, next: 8, again: 3 }, "distribution-3", Layout::Bundle).await;
}

#[tokio::test]
async fn a_cosign_signature_on_a_registry_with_the_referrers_api_takes_at_most_7_calls() {
    keeps_to(&Budget { first: 7, next: 7, again: 3 }, "ociregistry", Layout::Cosign).await;
}

#[tokio::test]
async fn a_bundle_on_a_registry_with_the_referrers_api_takes_at_most_7_calls() {
    keeps_to(&Budget { first: 7, next: 6, again: 3 }, "ociregistry", Layout::Bundle).await;
}

async fn keeps_to(budget: &Budget, registry: &'static str, layout: Layout) {
    let world = world(registry).await;
    let (image, next) = (world.push_image().await, world.push_image().await);
    let mut table = format!("{registry}, {layout:?}\n");
    for (round, image, status, limit) in [
        ("first", &image, 201, budget.first),
        ("next", &next, 201, budget.next),
        ("again", &image, 200, budget.again),
    ] {
        world.registry_proxy.take_calls();
        world.vault_proxy.take_calls();
        let answer = world.sign(json!({"image": image, "format": layout.name()})).await;
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
