//! `signet log`: the log taken along, and proven.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Signet;
use crate::support::World;

/// A log with some signatures and refusals, and the keys to trust in the file `log.keys`.
async fn world() -> World {
    let world = World::start().await;
    for _ in 0..3 {
        let image = world.push_image().await;
        let answer = world.sign_image(&image).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        std::fs::write(file(&world, "signed.json"), answer.body.to_string()).unwrap();
    }
    let image = world.image(signet::domain::Digest::of(b"none"));
    assert_eq!(
        world.post("/v1/signatures", &world.outsider, json!({"image": image}).to_string()).await.status,
        403
    );
    save_keys(&world, "log.keys").await;
    world
}

async fn save_keys(world: &World, name: &str) {
    std::fs::write(file(world, name), world.log_keys().await).unwrap();
}

fn file(world: &World, name: &str) -> PathBuf {
    world.directory.path().join(name)
}

/// Runs `signet log …`, offline unless `online`.
async fn log(world: &World, online: bool, arguments: &[&str]) -> super::Ended {
    let signet = match online {
        true => Signet::of(world),
        false => Signet::of(world).without("SIGNET_URL").without("SIGNET_TOKEN"),
    };
    signet.run(&[&["log"], arguments].concat()).await
}

const VERIFY: [&str; 3] = ["verify", "--key-file", "log.keys"];

async fn verify(world: &World, online: bool, more: &[&str]) -> super::Ended {
    log(world, online, &[&VERIFY[..], more].concat()).await
}

/// Changes a file, and changes it back after `check`.
async fn with_changed(
    world: &World,
    name: &str,
    change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    check: impl AsyncFnOnce(),
) {
    let before = std::fs::read(file(world, name)).unwrap();
    let after = change(before.clone());
    assert_ne!(before, after);
    std::fs::write(file(world, name), after).unwrap();
    check().await;
    std::fs::write(file(world, name), before).unwrap();
}

fn replaced(from: &str, to: &str) -> impl FnOnce(Vec<u8>) -> Vec<u8> + use<> {
    let (from, to) = (from.to_owned(), to.to_owned());
    move |bytes| String::from_utf8(bytes).unwrap().replacen(&from, &to, 1).into_bytes()
}

#[tokio::test]
async fn a_signatures_proof_verifies_offline_with_its_entry_and_with_nothing_else() {
    let world = world().await;
    let answer: Value = serde_json::from_slice(&std::fs::read(file(&world, "signed.json")).unwrap()).unwrap();
    let index = answer["log"]["index"].as_u64().unwrap();
    let entry = world.client.get(format!("{}/v1/log/entries/{index}", world.signet.api));
    let entry = entry.bearer_auth(&world.token).send().await.unwrap().bytes().await.unwrap();
    std::fs::write(file(&world, "entry.json"), &entry).unwrap();
    std::fs::write(file(&world, "proof"), answer["log"]["proof"].as_str().unwrap()).unwrap();
    for proof in ["signed.json", "proof"] {
        let ended = verify(&world, false, &["--proof", proof, "--entry", "entry.json"]).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.stdout.contains(&format!("entry {index} is in signet/")), "{ended:?}");
    }
    let refused = async || {
        let ended = verify(&world, false, &["--proof", "proof", "--entry", "entry.json"]).await;
        assert_eq!(ended.code, 1, "{ended:?}");
        ended.stderr
    };
    let (mine, other) = (format!("index {index}"), format!("index {}", index - 1));
    let swapped = replaced(&mine, &other);
    with_changed(&world, "proof", swapped, async || {
        assert!(refused().await.contains("is not what the tree of"));
    })
    .await;
    with_changed(&world, "proof", replaced("\nsignet/", "\nsignet/other-"), async || {
        assert!(refused().await.contains("is wrong: the note is not what it signed"));
    })
    .await;
    with_changed(&world, "entry.json", replaced("\"kind\":", "\"kinD\":"), async || {
        assert!(refused().await.contains("is not what the tree of"));
    })
    .await;
    // A key of another log, also where that has the same name.
    let stranger = World::start().await;
    save_keys(&stranger, "log.keys").await;
    let other = std::fs::read(file(&stranger, "log.keys")).unwrap();
    with_changed(
        &world,
        "log.keys",
        |_| other,
        async || {
            assert!(refused().await.contains("none of the trusted keys has signed the note"));
        },
    )
    .await;
}

#[tokio::test]
async fn everything_is_verified_from_the_server_and_the_answer_to_a_question_is_all() {
    let world = world().await;
    let ended = verify(&world, true, &["--output", "json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&told["verified"], &told["first"], &told["end"]), (&json!(true), &json!(0), &told["size"]));

    world
        .eventually("the search index has it all", async || {
            let ended = verify(&world, true, &["--kind", "outcome", "--output", "json"]).await;
            let told: Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
            (ended.code == 0 && told["matching"] == 3 && told["left_out"] == json!([])).then_some(())
        })
        .await;
    let ended = verify(&world, true, &["--from-index", "1", "--to-index", "4", "--output", "json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let beyond = verify(&world, true, &["--to-index", "1000000"]).await;
    assert_eq!(beyond.code, 2, "{beyond:?}");
}

#[tokio::test]
async fn what_the_server_leaves_out_puts_in_or_tells_otherwise_is_named() {
    let world = world().await;
    assert_eq!(log(&world, true, &["export", "-o", "log.ndjson"]).await.code, 0);
    let lines = std::fs::read_to_string(file(&world, "log.ndjson")).unwrap();
    let outcomes: Vec<&str> = lines.lines().filter(|line| line.contains("\"kind\":\"outcome\"")).collect();
    let index = |line: &str| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap();
    let compare = async |answer: String| {
        std::fs::write(file(&world, "answer.ndjson"), answer).unwrap();
        let question = ["--export", "log.ndjson", "--answers", "answer.ndjson", "--kind", "outcome"];
        verify(&world, false, &[&question[..], &["--output", "json"]].concat()).await
    };
    let right = compare(outcomes.join("\n")).await;
    assert_eq!(right.code, 0, "{right:?}");
    let less = compare([outcomes[0], outcomes[2]].join("\n")).await;
    let told: Value = serde_json::from_str(&less.stdout).unwrap();
    assert_eq!((less.code, &told["left_out"]), (1, &json!([index(outcomes[1])])));
    assert!(less.stderr.contains("entries that the answer leaves out: 1"), "{less:?}");
    let intent = lines.lines().find(|line| line.contains("\"kind\":\"intent\"")).unwrap();
    let more = compare([intent, outcomes[0], outcomes[1], outcomes[2]].join("\n")).await;
    let told: Value = serde_json::from_str(&more.stdout).unwrap();
    assert_eq!((more.code, &told["put_in"]), (1, &json!([index(intent)])));
    let backwards = compare([outcomes[2], outcomes[1], outcomes[0]].join("\n")).await;
    assert!(backwards.code == 2 && backwards.stderr.contains("--newest-first"), "{backwards:?}");
    let other = compare(outcomes.join("\n").replacen("token:ci", "token:me", 1)).await;
    let told: Value = serde_json::from_str(&other.stdout).unwrap();
    assert_eq!((other.code, &told["changed"]), (1, &json!([index(outcomes[0])])));
}

#[tokio::test]
async fn an_export_goes_on_where_it_was_cut_and_one_that_was_changed_is_refused() {
    let world = world().await;
    for range in [&[][..], &["--from-index", "1", "--to-index", "5"]] {
        let export = [&["export", "-o", "log.ndjson"], range].concat();
        assert_eq!(log(&world, true, &export).await.code, 0);
        let whole = std::fs::read(file(&world, "log.ndjson")).unwrap();
        let ended = verify(&world, false, &["--export", "log.ndjson"]).await;
        assert_eq!(ended.code, 0, "{ended:?}");

        let refused = async |words: &str| {
            let ended = verify(&world, false, &["--export", "log.ndjson"]).await;
            assert!(ended.code == 1 && ended.stderr.contains(words), "{words}: {ended:?}");
        };
        let cut = whole.len() * 2 / 3;
        with_changed(&world, "log.ndjson", |bytes| bytes[..cut].to_vec(), async || refused("entr").await)
            .await;
        let flipped = replaced("\"v\":1", "\"v\":3");
        with_changed(&world, "log.ndjson", flipped, async || {
            refused("are not those of the checkpoint's tree").await
        })
        .await;
        let second = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            let lines: Vec<_> =
                text.lines().enumerate().filter(|(place, _)| *place != 1).map(|(_, line)| line).collect();
            lines.join("\n").into_bytes()
        };
        with_changed(&world, "log.ndjson", second, async || refused("entries are missing").await).await;
        with_changed(&world, "log.ndjson.proof", replaced("range ", "range 1"), async || refused("").await)
            .await;

        std::fs::write(file(&world, "log.ndjson"), &whole[..cut]).unwrap();
        let resumed = log(&world, true, &export).await;
        assert!(resumed.code == 0 && resumed.stderr.contains("going on from there"), "{resumed:?}");
        assert!(std::fs::read(file(&world, "log.ndjson")).unwrap().starts_with(&whole));
        assert_eq!(verify(&world, false, &["--export", "log.ndjson"]).await.code, 0);
        std::fs::remove_file(file(&world, "log.ndjson")).unwrap();
    }
}

#[tokio::test]
async fn a_mirror_verifies_offline_and_each_of_its_files_counts() {
    let world = world().await;
    assert_eq!(log(&world, true, &["export", "--format", "tiles", "-o", "early"]).await.code, 0);
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    assert_eq!(log(&world, true, &["export", "--format", "tiles", "-o", "mirror"]).await.code, 0);
    let ended = verify(&world, false, &["--mirror", "mirror", "--since", "early/checkpoint"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let shrunk = verify(&world, false, &["--mirror", "early", "--since", "mirror/checkpoint"]).await;
    assert!(shrunk.code == 1 && shrunk.stderr.contains("entries are gone"), "{shrunk:?}");

    let folder = file(&world, "mirror/tile/0/000.p");
    let tile = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    for name in [format!("mirror/tile/0/000.p/{tile}"), format!("mirror/tile/entries/000.p/{tile}")] {
        let flip = |mut bytes: Vec<u8>| {
            let last = bytes.len() - 3;
            bytes[last] ^= 1;
            bytes
        };
        with_changed(&world, &name, flip, async || {
            let ended = verify(&world, false, &["--mirror", "mirror"]).await;
            assert!(ended.code == 1 && ended.stderr.contains("was changed"), "{name}: {ended:?}");
        })
        .await;
    }
    // A past that the earlier checkpoint does not know.
    let other = super::log::world().await;
    assert_eq!(log(&other, true, &["export", "--format", "tiles", "-o", "mirror"]).await.code, 0);
    let foreign = std::fs::read(file(&other, "mirror/checkpoint")).unwrap();
    std::fs::write(file(&world, "foreign"), foreign).unwrap();
    let ended = verify(&world, false, &["--mirror", "mirror", "--since", "foreign"]).await;
    assert!(ended.code == 1 && ended.stderr.contains("none of the trusted keys"), "{ended:?}");
}

#[tokio::test]
async fn a_question_is_answered_a_line_an_entry() {
    let world = world().await;
    world
        .eventually("the search index has it all", async || {
            let ended = log(&world, true, &["query", "--kind", "outcome", "--output", "json"]).await;
            assert_eq!(ended.code, 0, "{ended:?}");
            (ended.stdout.lines().count() == 3).then_some(())
        })
        .await;
    world
        .eventually("the refusal is found", async || {
            let ended = log(&world, true, &["query", "--decision", "deny"]).await;
            ended.stdout.contains("refusal token:outsider").then_some(())
        })
        .await;
    let indexes = async |more: &[&str]| {
        let options = [&["query", "--kind", "outcome", "--output", "json"][..], more].concat();
        let ended = log(&world, true, &options).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        let index = |line: &str| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap();
        (ended.stdout.lines().map(index).collect::<Vec<_>>(), ended.stderr)
    };
    let (oldest, _) = indexes(&[]).await;
    let (newest, said) = indexes(&["--newest-first"]).await;
    assert_eq!(newest, oldest.iter().rev().copied().collect::<Vec<_>>());
    assert!(said.contains("3 entries; searched from entry 0 to entry "), "{said}");
    let (two, said) = indexes(&["--newest-first", "--limit", "2"]).await;
    assert_eq!(two, newest[..2]);
    assert!(said.contains(&format!("2 entries; searched from entry {} to entry ", two[1])), "{said}");
    assert_eq!(log(&world, true, &["query", "--kind", "no-such"]).await.code, 2);
    assert_eq!(log(&world, false, &["query"]).await.code, 2);
}
