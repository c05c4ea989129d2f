//! `signet attest`.

use serde_json::json;

use super::Signet;
use crate::support::World;

#[tokio::test]
async fn a_predicate_is_attested_from_a_file_and_from_standard_input() {
    let world = World::start().await;
    let image = world.push_image().await;
    // Byte for byte: the blanks and the order are kept.
    let predicate = r#"{ "SPDXID":"SPDXRef-DOCUMENT", "spdxVersion" : "SPDX-2.3", "b":1.0, "a":[ ] }"#;
    std::fs::write(world.directory.path().join("app.spdx.json"), format!("\n{predicate}\n")).unwrap();
    let arguments = ["attest", "--type", "spdx", "--predicate", "app.spdx.json", "--output", "json", &image];
    let ended = Signet::of(&world).run(&arguments).await;
    let first = ended.assert(0).documents().remove(0);
    assert_eq!(first["state"], "attached");
    let arguments = ["attest", "--type", "spdx", "--predicate", "-", "--output", "json", &image];
    let ended = Signet::of(&world).input(predicate).run(&arguments).await;
    let again = ended.assert(0).documents().remove(0);
    assert_eq!((&again["id"], &again["signatures"][0]["created"]), (&first["id"], &json!(false)));

    let verify = ["verify", "--key", &world.key, "--type", "spdx", &image];
    Signet::of(&world).run(&verify).await.assert(0);
    let text = Signet::of(&world)
        .input(r#"{"approved":true}"#)
        .run(&["attest", "--type", "https://example.com/approval/v1", "--predicate", "-", &image])
        .await;
    assert!(text.assert(0).stdout.starts_with(&format!("{image}: signed with ")), "{text:?}");
}

#[tokio::test]
async fn what_is_no_predicate_of_its_type_is_refused_with_what_is_wrong() {
    let world = World::start().await;
    let image = world.push_image().await;
    let arguments = ["attest", "--type", "spdx", "--predicate", "-", &image];
    let ended = Signet::of(&world).input("[]").run(&arguments).await;
    assert!(ended.assert(1).stderr.contains("predicate"), "{ended:?}");
    let ended = Signet::of(&world).input("{").run(&arguments).await;
    assert!(ended.assert(2).stderr.contains("-: "), "{ended:?}");
    let arguments = ["attest", "--type", "no type", "--predicate", "-", &image];
    Signet::of(&world).input("{}").run(&arguments).await.assert(1);
    assert_eq!(world.entries("kind=intent").await.len(), 0);
}
