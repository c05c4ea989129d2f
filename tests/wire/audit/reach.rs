//! Who sees what: a reader of some repositories, on every page.

use serde_json::json;

use super::{Browser, SESSION, token_section};
use crate::support::World;
use crate::support::attached::digest_of;
use crate::support::world::Settings;

const TEAM: &str = "a-token-of-the-team";

struct Setting {
    world: World,
    /// Of the team, and of another.
    images: [String; 2],
    /// The ids of their signatures, and of a file's.
    ids: [String; 3],
    size: u64,
}

async fn setting() -> Setting {
    let mut world =
        World::with(Settings { sections: token_section("team", TEAM), ..Settings::default() }).await;
    world.write_policy(&format!(
        "  - {{id: team-reads, effect: allow, identity: {{token: team}}, repositories: ['{}/ours/**'], operations: [log.read]}}\n",
        world.repository
    ));
    world.restart();
    let images = [world.push_image_below("ours/app").await, world.push_image_below("hidden/app").await];
    let mut made = Vec::new();
    for image in &images {
        made.push(world.sign_image(image).await);
        let request = json!({"image": image}).to_string();
        assert_eq!(world.post("/v1/signatures", &world.outsider, request).await.status, 403);
    }
    let digest = signet::domain::Digest::of(b"file").to_string();
    made.push(world.sign_blob(json!({"digest": digest, "name": "hidden-file"})).await);
    let ids = made.iter().map(|answer| answer.body["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let refusals = async || (world.entries("kind=refusal").await.len() == 2).then_some(());
    world.eventually("the refusals are logged", refusals).await;
    let size = world.searched("/v1/log/entries?limit=1").await.body["size"].as_u64().unwrap();
    Setting { world, images, ids: ids.try_into().unwrap(), size }
}

#[tokio::test]
async fn pages_show_a_reader_of_one_repository_nothing_of_another() {
    let Setting { world, images, ids, .. } = setting().await;
    let (team, whole) = (Browser::of(&world, TEAM).await, Browser::of(&world, &world.token).await);
    let hidden_digest = digest_of(&images[1]).to_string();
    let key = format!("/audit/keys/{}?version=1", world.key);
    let paths = ["/audit", "/audit/search", "/audit/refusals", "/audit/signatures", "/audit/keys", &key];
    for path in paths {
        let (of_team, of_whole) = (team.get(path).await, whole.get(path).await);
        assert_eq!((of_team.status, of_whole.status), (200, 200), "{path}: {}", of_team.text);
        for hidden in ["/hidden/app", &hidden_digest, &ids[1], &ids[2], "hidden-file"] {
            assert!(!of_team.text.contains(hidden), "{path}: {hidden} in {}", of_team.text);
        }
        if path != "/audit/keys" {
            assert!(of_team.text.contains("/ours/app"), "{path}: {}", of_team.text);
            assert!(of_whole.text.contains("/hidden/app"), "{path}: {}", of_whole.text);
        }
    }
    for (browser, signatures, refusals) in [(&team, 1, 1), (&whole, 3, 2)] {
        let text = browser.get("/audit").await.text;
        let figure = |count: u64, what: &str| {
            let figure = format!("<span class=\"figure\">{count}</span>");
            text.lines().any(|line| line.contains(&figure) && line.contains(what))
        };
        assert!(figure(signatures, "signatures made") && figure(refusals, "refusals"), "{text}");
    }
    // What is looked for by its name is not found either.
    let (_, digest) = images[1].split_once('@').unwrap();
    for query in [
        digest,
        &images[1],
        images[1].split_once('@').unwrap().0,
        &format!("{}/hidden/**", world.repository),
        &format!("request:{}", ids[1]),
    ] {
        for path in ["/audit/search", "/audit/refusals", "/audit/signatures"] {
            let page = team.get(&format!("{path}?q={}", super::escaped(query))).await;
            assert!(!page.text.contains("/audit/entries/"), "{path} {query}: {}", page.text);
            assert!(!page.text.contains("href=\"/audit/signatures/"), "{path} {query}: {}", page.text);
        }
    }
    for format in ["csv", "ndjson"] {
        let export = team.get(&format!("/audit/export?format={format}")).await;
        assert_eq!(export.status, 200);
        assert!(export.text.contains("/ours/app") && !export.text.contains("hidden"), "{}", export.text);
    }
}

#[tokio::test]
async fn what_is_out_of_reach_is_answered_as_what_is_not_there() {
    let Setting { world, ids, size, .. } = setting().await;
    let team = Browser::of(&world, TEAM).await;
    let plain = async |path: &str| {
        let page = team.get(path).await;
        (page.status, page.without_id())
    };
    let mut seen = 0;
    for ending in ["", "/bytes", "/proof"] {
        let beyond = plain(&format!("/audit/entries/1000000{ending}")).await;
        assert_eq!(beyond.0, 404);
        for index in 0..size {
            let path = format!("/audit/entries/{index}");
            let entry = world.get(&format!("/v1/log/entries/{index}")).await.body;
            let is_theirs = entry["repository"].as_str().is_some_and(|name| name.contains("/ours/"));
            let answer = plain(&format!("{path}{ending}")).await;
            match is_theirs {
                true => assert!(answer.0 == 200 || !ending.is_empty(), "{path} {}", answer.1),
                false => assert_eq!(answer, beyond, "{path}{ending}"),
            }
            seen += usize::from(is_theirs);
        }
    }
    assert!(seen > 6, "{seen}");
    let unknown = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    let nothing = plain(&format!("/audit/signatures/{unknown}")).await;
    assert_eq!(nothing.0, 404);
    assert_eq!(plain(&format!("/audit/signatures/{}", ids[0])).await.0, 200);
    // How far the index is behind is another matter.
    let looking_for = async |id: &str| {
        let (status, text) = plain(&format!("/audit/search?q={id}&size={size}")).await;
        let lines = text.lines().filter(|line| !line.contains("role=\"status\""));
        (
            status,
            lines.collect::<Vec<_>>().join(
                "
",
            ),
        )
    };
    let found = looking_for(unknown).await;
    for id in &ids[1..] {
        let (status, text) = plain(&format!("/audit/signatures/{id}")).await;
        assert_eq!((status, text.replace(id, unknown)), nothing);
        let (status, text) = looking_for(id).await;
        assert_eq!((status, text.replace(id, unknown)), found, "looking for it tells that it is there");
    }
    let own = team.get(&format!("/audit/search?q={}", ids[0])).await;
    assert_eq!(own.location(), format!("/audit/signatures/{}", ids[0]));
}

#[tokio::test]
async fn each_look_is_an_entry_of_the_log_under_the_viewers_name() {
    let Setting { world, ids, size, .. } = setting().await;
    let team = Browser::of(&world, TEAM).await;
    assert!(team.cookie(SESSION).is_some());
    let mut theirs = None;
    for index in 0..size {
        let entry = world.get(&format!("/v1/log/entries/{index}")).await.body;
        if entry["repository"].as_str().is_some_and(|name| name.contains("/ours/")) {
            theirs = Some(index);
            break;
        }
    }
    let count = async || world.entries("principal=token:team").await.len();
    for path in [
        "/audit".to_owned(),
        "/audit/search?kind=outcome".to_owned(),
        "/audit/refusals".to_owned(),
        "/audit/signatures?state=attached".to_owned(),
        format!("/audit/signatures/{}", ids[0]),
        format!("/audit/entries/{}", theirs.unwrap()),
        format!("/audit/keys/{}?version=1", world.key),
        "/audit/export?format=csv".to_owned(),
    ] {
        let before = count().await;
        assert_eq!(team.get(&path).await.status, 200, "{path}");
        let logged = async || (count().await > before).then_some(());
        world.eventually(&format!("{path} is logged"), logged).await;
    }
    for entry in world.entries("principal=token:team").await {
        assert_eq!(
            (&entry["operation"], &entry["rule"]),
            (&json!("log.read"), &json!("team-reads")),
            "{entry}"
        );
    }
}
