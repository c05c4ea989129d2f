//! What Signet attests, the stock `cosign verify-attestation` verifies, for each type that it knows; and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::clients::{Clients, Cosign, Layout};
use crate::registries::{on_each_registry, world};
use crate::support::World;
use crate::upstream::digest_of;

on_each_registry!(
    every_type_verifies_in_both_layouts,
    another_type_another_key_and_another_image_are_refused,
    attestations_live_beside_those_of_cosign,
    the_largest_predicate_verifies,
);

/// A predicate of each type that cosign has a name for: more than the least, so that each is parsed to its end.
fn predicates() -> Vec<(&'static str, Value)> {
    let slsa02 = json!({
        "builder": {"id": "https://example.com/builder"}, "buildType": "https://example.com/build/v1",
        "invocation": {
            "configSource": {"uri": "git+https://example.com/app", "digest": {"sha1": "00"}, "entryPoint": "build"},
            "parameters": {"a": [1, 2.5, null]}, "environment": {"b": "c"},
        },
        "buildConfig": {"steps": []},
        "metadata": {
            "buildInvocationID": "7", "buildStartedOn": "2026-01-02T03:04:05Z",
            "buildFinishedOn": "2026-01-02T03:04:05.678+01:00",
            "completeness": {"parameters": true, "environment": false, "materials": false}, "reproducible": false,
        },
        "materials": [{"uri": "git+https://example.com/app", "digest": {"sha1": "00"}}, {}],
    });
    let slsa1 = json!({
        "buildDefinition": {
            "buildType": "https://example.com/build/v1", "externalParameters": {"ref": "main"},
            "internalParameters": {"a": 1},
            "resolvedDependencies": [{"uri": "git+https://example.com/app", "digest": {"gitCommit": "00"}}],
        },
        "runDetails": {
            "builder": {"id": "https://example.com/builder", "version": {"example": "1"}},
            "metadata": {
                "invocationId": "7", "startedOn": "2026-01-02T03:04:05Z", "finishedOn": "2026-01-02T03:04:06Z",
            },
            "byproducts": [{"name": "log", "mediaType": "text/plain"}],
        },
    });
    let spdx2 = json!({
        "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app", "dataLicense": "CC0-1.0",
        "documentNamespace": "https://example.com/app",
        "creationInfo": {"created": "2026-01-02T03:04:05Z", "creators": ["Tool: test"]},
        "packages": [{"name": "a <b> & \u{2028}c", "SPDXID": "SPDXRef-a", "downloadLocation": "NOASSERTION"}],
    });
    let spdx3 = json!({
        "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
        "@graph": [{"type": "SpdxDocument", "spdxId": "https://example.com/doc"}],
    });
    let cyclonedx = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"timestamp": "2026-01-02T03:04:05Z"},
        "components": [{"type": "library", "name": "a", "version": "1"}], "dependencies": [{"ref": "a"}],
    });
    let link = json!({
        "_type": "link", "name": "build", "materials": {"src": {"sha256": "00"}},
        "products": {"out": {"sha256": "00"}}, "byproducts": {"return-value": 0}, "command": ["make"],
        "environment": {"a": "b"},
    });
    let vuln = json!({
        "invocation": {"parameters": ["a"], "uri": "https://example.com", "event_id": "1", "builder.id": "b"},
        "scanner": {
            "uri": "https://example.com/scanner", "version": "1", "db": {"uri": "u", "version": "1"},
            "result": {"vulnerabilities": [{"id": "CVE-2026-0001"}]},
        },
        "metadata": {"scanStartedOn": "2026-01-02T03:04:05Z", "scanFinishedOn": "2026-01-02T03:04:06Z"},
    });
    let openvex = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.com/vex", "author": "me",
        "timestamp": "2026-01-02T03:04:05Z", "version": 1,
        "statements": [{"vulnerability": {"name": "CVE-2026-0001"}, "status": "not_affected"}],
    });
    vec![
        ("slsaprovenance", slsa02.clone()),
        ("slsaprovenance02", slsa02),
        ("slsaprovenance1", slsa1),
        ("spdx", spdx3),
        ("spdxjson", spdx2),
        ("cyclonedx", cyclonedx),
        ("link", link),
        ("vuln", vuln),
        ("openvex", openvex),
        ("custom", json!({"Data": "text", "Timestamp": "2026-01-02T03:04:05Z"})),
        ("custom", json!({"any": {"nested": [[[]]]}})),
        ("https://example.com/any/v1", json!({"n": 1e300, "text": "\u{1f600}<&>", "null": null})),
    ]
}

/// An image as this test and as cosign calls it.
async fn pushed(world: &World) -> (String, String) {
    let image = world.push_image().await;
    let upstream = world.upstream().replace("http://", "").replacen("/v2/", "/", 1);
    let direct = format!("{upstream}@{}", digest_of(&image));
    (image, direct)
}

async fn attest(world: &World, layout: Layout, image: &str, name: &str, predicate: &Value) {
    let request = json!({
        "image": image, "predicate_type": name, "predicate": predicate, "format": layout.name(),
    });
    let answer = world.attest(request).await;
    assert_eq!(answer.status, 201, "{name}: {answer:?}");
}

async fn every_type_verifies_in_both_layouts(registry: &'static str) {
    let world = world(registry).await;
    let (clients, pem) = (Clients::of(&world), world.public_key(1).await);
    for layout in Layout::ALL {
        // All on one image, as cosign reads all of them to find one.
        let (image, direct) = pushed(&world).await;
        let mut attested = std::collections::BTreeSet::new();
        for (name, predicate) in predicates() {
            if name == "slsaprovenance02" && attested.contains("slsaprovenance") {
                continue;
            }
            attest(&world, layout, &image, name, &predicate).await;
            attested.insert(name);
        }
        for version in Cosign::ALL {
            for (name, predicate) in predicates() {
                let statements =
                    clients.cosign_verify_attestation(version, layout, &pem, &direct, name, &[]).await;
                let statements =
                    statements.unwrap_or_else(|error| panic!("{version:?} {layout:?} {name}: {error}"));
                assert!(
                    statements.iter().any(|statement| statement["predicate"] == predicate),
                    "{version:?} {layout:?} {name}: {statements:?}"
                );
            }
        }
    }
}

async fn another_type_another_key_and_another_image_are_refused(registry: &'static str) {
    let world = world(registry).await;
    let (clients, pem) = (Clients::of(&world), world.public_key(1).await);
    world.rotate().await;
    let other = world.public_key(1).await;
    assert_eq!(pem, other);
    let newer = crate::support::servers::unique("other");
    world
        .vault_call(reqwest::Method::POST, &format!("transit/keys/{newer}"), json!({"type": "ecdsa-p256"}))
        .await;
    let newer = world.vault_call(reqwest::Method::GET, &format!("transit/keys/{newer}"), Value::Null).await;
    let newer = newer["data"]["keys"]["1"]["public_key"].as_str().unwrap();
    for layout in Layout::ALL {
        let (image, direct) = pushed(&world).await;
        let (_, bare) = pushed(&world).await;
        let request = json!({
            "image": image, "predicate_type": "cyclonedx", "format": layout.name(), "key_version": 1,
            "predicate": {"bomFormat": "CycloneDX", "specVersion": "1.6"},
        });
        assert_eq!(world.attest(request).await.status, 201);
        for version in Cosign::ALL {
            for (key, image, name) in [
                (pem.as_str(), &direct, "spdxjson"),
                (newer, &direct, "cyclonedx"),
                (&pem, &bare, "cyclonedx"),
            ] {
                let answer = clients.cosign_verify_attestation(version, layout, key, image, name, &[]).await;
                assert!(answer.is_err(), "{version:?} {layout:?} {name}: {answer:?}");
            }
            let good =
                clients.cosign_verify_attestation(version, layout, &pem, &direct, "cyclonedx", &[]).await;
            assert!(good.is_ok(), "{version:?} {layout:?}: {good:?}");
        }
    }
}

async fn attestations_live_beside_those_of_cosign(registry: &'static str) {
    let world = world(registry).await;
    let (clients, pem) = (Clients::of(&world), world.public_key(1).await);
    let predicate = json!({"bomFormat": "CycloneDX", "specVersion": "1.6"});
    let file = clients.file("bom.json", predicate.to_string());
    for (version, layout) in
        [(Cosign::V2, Layout::Cosign), (Cosign::V3, Layout::Cosign), (Cosign::V3, Layout::Bundle)]
    {
        let (image, direct) = pushed(&world).await;
        clients.cosign_attest(version, layout, &world.key, &direct, "cyclonedx", &file).await;
        // cosign writes the predicate in bytes of its own, so that ours is another one.
        let ours = json!({"bomFormat": "CycloneDX", "specVersion": "1.5"});
        let request = json!({"image": image, "predicate_type": "cyclonedx", "predicate": ours});
        let answer = world.attest(request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.body["signatures"][0]["format"], layout.name());
        clients.cosign_attest(version, layout, &world.key, &direct, "custom", &file).await;
        for verifier in Cosign::ALL {
            let found =
                clients.cosign_verify_attestation(verifier, layout, &pem, &direct, "cyclonedx", &[]).await;
            let found = found.unwrap_or_else(|error| panic!("{version:?} {layout:?} {verifier:?}: {error}"));
            for predicate in [&predicate, &ours] {
                assert!(found.iter().any(|statement| statement["predicate"] == *predicate), "{found:?}");
            }
        }
    }
}

async fn the_largest_predicate_verifies(registry: &'static str) {
    let world = world(registry).await;
    let (clients, pem) = (Clients::of(&world), world.public_key(1).await);
    let component = r#"{"type":"library","name":"some-library","version":"1.2.3"},"#;
    let count = (16 * 1024 * 1024 - 100) / component.len();
    let components = component.repeat(count);
    let predicate = format!(
        r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{}]}}"#,
        components.trim_end_matches(',')
    );
    for layout in Layout::ALL {
        let (image, direct) = pushed(&world).await;
        let request = format!(
            r#"{{"image":"{image}","format":"{}","predicate_type":"cyclonedx","predicate":{predicate}}}"#,
            layout.name()
        );
        let answer = world.post("/v1/attestations", &world.token, request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        for version in Cosign::ALL {
            let found =
                clients.cosign_verify_attestation(version, layout, &pem, &direct, "cyclonedx", &[]).await;
            let found = found.unwrap_or_else(|error| panic!("{version:?} {layout:?}: {error}"));
            assert_eq!(found[0]["predicate"]["components"].as_array().unwrap().len(), count);
        }
    }
}

/// The statements that `cosign verify-attestation` prints: an envelope a line.
pub fn statements(lines: &str) -> Vec<Value> {
    let statement = |line: &str| {
        let envelope: Value = serde_json::from_str(line).unwrap();
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        serde_json::from_slice(&payload).unwrap()
    };
    lines.lines().filter(|line| line.starts_with('{')).map(statement).collect()
}
