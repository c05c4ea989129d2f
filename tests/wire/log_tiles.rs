//! The log as whoever checks it reads it.

use std::io::Read as _;

use flate2::read::GzDecoder;
use reqwest::header::HeaderMap;
use signet::tlog::{Checkpoint, Hash, Proof, VerifierKey, entries_of, root_of};

use crate::support::World;

/// What a path answers: status, headers, bytes.
async fn get(world: &World, path: &str, token: Option<&str>) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = world.client.get(format!("{}{path}", world.signet.api));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap().to_vec())
}

async fn text(world: &World, path: &str) -> String {
    let (status, _, bytes) = get(world, path, None).await;
    assert_eq!(status, 200, "{path}");
    String::from_utf8(bytes).unwrap()
}

async fn keys(world: &World) -> Vec<VerifierKey> {
    world.log_keys().await.lines().map(|line| line.parse().unwrap()).collect()
}

/// The newest checkpoint, of a log that nobody writes for a moment.
async fn checkpoint(world: &World) -> Checkpoint {
    let keys = keys(world).await;
    let note = text(world, "/log/checkpoint").await;
    Checkpoint::open(&note, keys[0].name(), &keys).unwrap()
}

#[tokio::test]
async fn what_a_signature_answers_is_proven_by_what_anybody_can_read() {
    let world = World::start().await;
    for _ in 0..3 {
        let image = world.push_image().await;
        let answer = world.sign_image(&image).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let log = &answer.body["log"];
        let proof: Proof = log["proof"].as_str().unwrap().parse().unwrap();
        assert_eq!(Some(proof.index), log["index"].as_u64());
        let entry = world.client.get(format!("{}/v1/log/entries/{}", world.signet.api, proof.index));
        let entry = entry.bearer_auth(&world.token).send().await.unwrap().bytes().await.unwrap();
        let keys = keys(&world).await;
        proof.verify(Hash::of_leaf(&entry), keys[0].name(), &keys).unwrap();
        assert!(proof.verify(Hash::of_leaf(b"another"), keys[0].name(), &keys).is_err());
    }

    // The tiles and the entries make the root that the checkpoint says.
    let Checkpoint { head, .. } = checkpoint(&world).await;
    let (status, headers, tile) = get(&world, &format!("/log/tile/0/000.p/{}", head.size), None).await;
    assert_eq!((status, &headers["content-type"]), (200, &"application/octet-stream".parse().unwrap()));
    assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
    let root = root_of(head.size, |_| Ok::<_, std::convert::Infallible>(tile.clone())).unwrap();
    assert_eq!(root, head.root);
    let path = format!("/log/tile/entries/000.p/{}", head.size);
    let (status, headers, bundle) = get(&world, &path, Some(&world.token)).await;
    assert_eq!(
        (status, &headers["cache-control"]),
        (200, &"private, max-age=31536000, immutable".parse().unwrap())
    );
    let leaves: Vec<u8> = entries_of(&bundle).flat_map(|entry| Hash::of_leaf(entry.unwrap()).0).collect();
    assert_eq!(leaves, tile);

    let request = world.client.get(format!("{}{path}", world.signet.api)).bearer_auth(&world.token);
    let packed = request.header("accept-encoding", "br, gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let mut unpacked = Vec::new();
    GzDecoder::new(&packed.bytes().await.unwrap()[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, bundle);
    assert_eq!(get(&world, &path, None).await.0, 401);
    assert_eq!(get(&world, &path, Some(&world.outsider)).await.0, 403);
}

#[tokio::test]
async fn a_checkpoint_is_asked_for_again_without_being_sent_again() {
    let world = World::start().await;
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    let (_, headers, _) = get(&world, "/log/checkpoint", None).await;
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(headers["cache-control"], "public, max-age=1");
    world
        .eventually("nothing is written any more", async || {
            let (_, headers, _) = get(&world, "/log/checkpoint", None).await;
            let again = world.client.get(format!("{}/log/checkpoint", world.signet.api));
            let again = again.header("if-none-match", &headers["etag"]).send().await.unwrap();
            (again.status() == 304).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_path_that_no_tile_has_is_a_clear_problem() {
    let world = World::start().await;
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    for (path, status, words) in [
        ("0/000", 404, "does not have this tile"),
        ("0/000.p/255", 404, "does not have this tile"),
        ("0/001.p/1", 404, "does not have this tile"),
        ("1/000.p/1", 404, "does not have this tile"),
        ("63/000.p/1", 404, "does not have this tile"),
        ("0/x018/x446/x744/x073/x709/x551/615.p/1", 404, "does not have this tile"),
        ("0/x018/x446/x744/x073/x709/x551/616", 400, "below 2^64"),
        ("0/x999/x999/x999/x999/x999/x999/x999/x999/999", 400, "below 2^64"),
        ("00/000.p/1", 400, "level is a number from 0 to 63"),
        ("64/000.p/1", 400, "level is a number from 0 to 63"),
        ("-1/000.p/1", 400, "level is a number from 0 to 63"),
        ("data/000.p/1", 400, "level is a number from 0 to 63"),
        ("%30/000.p/1", 400, "level is a number from 0 to 63"),
        ("0", 400, "a partial tile's ends in `.p/<width>`"),
        ("0/0.p/1", 400, "groups of three digits"),
        ("0/0000.p/1", 400, "groups of three digits"),
        ("0/x000/000.p/1", 400, "groups of three digits"),
        ("0/%30%30%30.p/1", 400, "groups of three digits"),
        ("0/000%2ep/1", 400, "groups of three digits"),
        ("0/000%2Fp", 400, "groups of three digits"),
        ("0/..%2f..%2fetc", 400, "groups of three digits"),
        ("0/000.p/0", 400, "width is a number from 1 to 255"),
        ("0/000.p/256", 400, "width is a number from 1 to 255"),
        ("0/000.p/01", 400, "width is a number from 1 to 255"),
        ("0/000.p/1/", 400, "width is a number from 1 to 255"),
        ("0/000.p/%31", 400, "width is a number from 1 to 255"),
        ("0/000.p/99999999999999999999", 400, "width is a number from 1 to 255"),
    ] {
        for path in [path.to_owned(), path.replacen("0/", "entries/", 1)] {
            let answer = world.get(&format!("/log/tile/{path}")).await;
            let code = if status == 404 { "not-found" } else { "invalid-request" };
            world.assert_problem(&answer, status, code);
            assert!(answer.body["detail"].as_str().unwrap().contains(words), "{path}: {answer:?}");
        }
    }
    assert_eq!(world.post("/log/checkpoint", &world.token, "").await.status, 405);
    assert_eq!(world.get("/log/").await.status, 404);
}

#[tokio::test]
async fn readers_whom_nobody_knows_do_not_hold_signatures_up() {
    let world = World::start().await;
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    let size = checkpoint(&world).await.head.size;
    let path = format!("/log/tile/0/000.p/{size}");
    let flood = async {
        loop {
            let many = (0..200).map(|_| get(&world, &path, None));
            for (status, ..) in futures::future::join_all(many).await {
                assert!(matches!(status, 200 | 503), "{status}");
            }
        }
    };
    let signing = async {
        for _ in 0..5 {
            let image = world.push_image().await;
            assert_eq!(world.sign_image(&image).await.status, 201);
        }
    };
    tokio::select! {
        () = signing => {}
        () = flood => {}
    }
}
