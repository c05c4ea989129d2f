//! Two people, each of whom may read of one repository.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{indexed, log_in, open, search};
use crate::support::World;
use crate::support::browser::{Browser, Options};
use crate::support::world::Settings;

#[tokio::test]
async fn each_sees_their_own_repository_alone_on_all_pages() {
    let names = ["red", "blue"];
    let token = |name: &str| format!("a-token-of-the-{name}-team");
    let section = |name: &str| {
        let digest = hex::encode(Sha256::digest(token(name)));
        format!("[[identity.tokens]]\nname = '{name}'\nsha256 = '{digest}'\n")
    };
    let sections = names.map(section).concat();
    let mut world = World::with(Settings { sections, ..Settings::default() }).await;
    let rule = |name: &str| {
        let repository = format!("{}/{name}", world.repository);
        format!(
            "  - {{id: {name}-reads, effect: allow, identity: {{token: {name}}}, repositories: ['{repository}'], operations: [log.read]}}\n"
        )
    };
    world.write_policy(&names.map(rule).concat());
    world.restart();
    let mut ids = Vec::new();
    for name in names {
        let image = world.push_image_below(name).await;
        ids.push(world.sign_image(&image).await.body["id"].as_str().unwrap().to_owned());
        let refused =
            world.post("/v1/signatures", &world.outsider, json!({"image": image}).to_string()).await;
        assert_eq!(refused.status, 403);
    }
    let are_logged = async || (world.entries("kind=refusal").await.len() == 2).then_some(());
    world.eventually("the refusals are logged", are_logged).await;
    indexed(&world).await;

    for (own, other) in [(0, 1), (1, 0)] {
        let browser = Browser::start(Options::default()).await;
        log_in(&browser, &world, &token(names[own])).await;
        let theirs = format!("{}/{}", world.repository, names[own]);
        let others = format!("{}/{}", world.repository, names[other]);
        for (path, has_own) in [
            ("/audit".to_owned(), true),
            ("/audit/search".to_owned(), true),
            ("/audit/search?q=token:ci".to_owned(), true),
            ("/audit/search?kind=outcome".to_owned(), true),
            ("/audit/signatures".to_owned(), true),
            (format!("/audit/signatures/{}", ids[own]), true),
            ("/audit/refusals".to_owned(), true),
            ("/audit/keys".to_owned(), false),
            (format!("/audit/keys/{}?version=1", world.key), true),
        ] {
            open(&browser, &world, &path).await;
            let source = browser.source().await;
            assert_eq!(source.contains(&theirs), has_own, "{path}: {source}");
            assert!(!source.contains(&others) && !source.contains(&ids[other]), "{path}: {source}");
        }
        // The other's is not there, even for those who know its name.
        search(&browser, &others).await;
        browser.wait_for(".empty").await;
        open(&browser, &world, &format!("/audit/signatures/{}", ids[other])).await;
        assert_eq!(browser.status().await, 404);
        let complaints = browser.complaints().await;
        assert!(complaints.len() == 1 && complaints[0].contains("404"), "{complaints:?}");
        browser.end().await;
    }
}
