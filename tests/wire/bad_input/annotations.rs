//! Annotations beyond their limits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{good_request, with};
use crate::support::World;

#[tokio::test]
async fn annotations_that_are_too_large_are_413() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    for (bytes, words) in [(20_000, "16384"), (16 * 1024, "16384"), (1024 * 1024, "1048576")] {
        let annotations = json!({"k": "v".repeat(bytes)});
        let answer = world.refused(with(&good, "annotations", annotations), 413, "payload-too-large").await;
        assert!(answer.detail().contains(words), "{bytes}: {}", answer.detail());
    }
}

#[tokio::test]
async fn annotations_that_break_a_rule_are_refused_with_the_rule() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    let many: BTreeMap<_, _> = (0..65).map(|n| (format!("k{n}"), "v")).collect();
    for (annotations, words) in [
        (json!(many), "at most 64"),
        (json!({"": "v"}), "1 to 128"),
        (json!({"k".repeat(129): "v"}), "1 to 128"),
        (json!({"k": "line\nbreak"}), "control characters"),
        (json!({"k": "nul\u{0}"}), "control characters"),
        (json!({"k": "escape\u{1b}[2J"}), "control characters"),
        (json!({"k": "next line\u{85}"}), "control characters"),
        (json!({"k\u{7f}": "v"}), "control characters"),
        (json!({"k": 7}), "string"),
        (json!({"k": true}), "string"),
        (json!({"k": Value::Null}), "string"),
        (json!({"k": {"k": "v"}}), "string"),
    ] {
        let body = with(&good, "annotations", annotations);
        let answer = world.refused(body.clone(), 400, "invalid-request").await;
        assert!(answer.detail().contains(words), "{body}: {}", answer.detail());
    }
}

#[tokio::test]
async fn annotations_at_their_limits_are_signed_and_found_again() {
    let world = World::start().await;
    let image = world.push_image().await;
    // Everything that Go's JSON escapes, what is more than a byte, and 16 KiB in 64 annotations of keys of 128 bytes.
    let text = "<&>\u{2028}\u{2029}\u{1f512}é\"\\/";
    let value =
        |n: usize| if n == 0 { format!("{text}{}", "v".repeat(128 - text.len())) } else { "v".repeat(128) };
    let annotations: BTreeMap<_, _> = (0..64).map(|n| (format!("{n:0128}"), value(n))).collect();
    for format in ["cosign", "bundle"] {
        let image = if format == "cosign" { image.clone() } else { world.push_image().await };
        let request = json!({"image": image, "format": format, "annotations": annotations});
        let first = world.sign(request.clone()).await;
        assert_eq!(first.status, 201, "{first:?}");
        assert_eq!(first.body["annotations"], json!(annotations));
        assert_eq!(world.sign(request).await.status, 200);
        assert_eq!(world.signatures(&image).await, 1);
    }
}
