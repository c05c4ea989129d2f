//! No signature leaves before a checkpoint covers its entry, and each says how that is proven.

use reqwest::StatusCode;
use serde_json::{Value, json};
use signet::tlog::{Hash, Proof, VerifierKey};

use crate::support::attached::digest_of;
use crate::support::proxy::{Fault, signing_calls};
use crate::support::{Answer, World};

/// From now on Vault refuses to sign checkpoints, and signs everything else.
fn forbid_checkpoints(world: &World) {
    let sign = format!("/sign/{}", world.log_key);
    world.vault_proxy.break_with(move |call| call.path.contains(&sign).then(|| Fault::status(403)));
}

async fn keys(world: &World) -> Vec<VerifierKey> {
    world.log_keys().await.lines().map(|line| line.parse().unwrap()).collect()
}

/// Holds the proof of an answer against the entry that it speaks of.
async fn assert_proven(world: &World, body: &Value) {
    let proof: Proof = body["log"]["proof"].as_str().expect("a proof").parse().unwrap();
    assert_eq!(body["log"]["index"], proof.index);
    let keys = keys(world).await;
    let log = rusqlite::Connection::open(world.directory.path().join("signet.db")).unwrap();
    let sql = "SELECT bytes FROM entries WHERE idx = ?1";
    let bytes: Vec<u8> = log.query_row(sql, [proof.index.cast_signed()], |row| row.get(0)).unwrap();
    let checkpoint = proof.verify(Hash::of_leaf(&bytes), keys[0].name(), &keys).unwrap();
    assert!(checkpoint.head.size > proof.index);
    assert!(proof.verify(Hash::of_leaf(b"another"), keys[0].name(), &keys).is_err());
}

#[tokio::test]
async fn each_answer_comes_with_a_proof_that_verifies() {
    let world = World::start().await;
    let image = world.push_image().await;
    for format in ["cosign", "bundle"] {
        let request = json!({"image": world.push_image().await, "format": format});
        let made = world.sign(request.clone()).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_proven(&world, &made.body).await;
        let again = world.sign(request).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_proven(&world, &again.body).await;
        let read = world.get(&format!("/v1/signatures/{}", made.body["id"].as_str().unwrap())).await;
        assert_proven(&world, &read.body).await;
    }
    let attested = world
        .attest(json!({"image": image, "predicate_type": "https://example.com/test", "predicate": {"a": 1}}))
        .await;
    assert_eq!(attested.status, 201, "{attested:?}");
    assert_proven(&world, &attested.body).await;
    let blob = world.sign_blob(json!({"digest": digest_of(&image)})).await;
    assert_eq!(blob.status, 201, "{blob:?}");
    assert_proven(&world, &blob.body).await;
}

#[tokio::test]
async fn without_a_checkpoint_nothing_leaves_and_when_there_is_one_it_is_attached_and_found_again() {
    let world = World::counted().await;
    let [attached, signed, late, bundled] = [
        world.push_image().await,
        world.push_image().await,
        world.push_image().await,
        world.push_image().await,
    ];
    assert_eq!(world.sign_image(&attached).await.status, 201);
    world.take_all_calls();
    forbid_checkpoints(&world);

    let request = |image: &str| json!({"image": image});
    let (made, asynchronous, bundle, blob) = tokio::join!(
        world.sign(request(&signed)),
        world.post_with("/v1/signatures", &[("Prefer", "respond-async")], request(&late)),
        world.sign(json!({"image": bundled, "format": "bundle"})),
        world.sign_blob(json!({"digest": digest_of(&signed)})),
    );
    for answer in [&made, &asynchronous, &bundle, &blob] {
        world.assert_problem(answer, 503, "log-unavailable");
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    }
    let found = world.sign_image(&attached).await;
    assert_eq!(found.status, StatusCode::OK, "what the registry has needs no checkpoint: {found:?}");
    let denied = world.sign(json!({"image": format!("{attached}0")})).await;
    assert_eq!(denied.status, StatusCode::BAD_REQUEST, "nor does a refusal: {denied:?}");

    // The outcome is durable, and nobody sees the signature.
    let outcomes = world.entries(&format!("digest={}&kind=outcome", digest_of(&signed))).await;
    let id = outcomes[0]["id"].as_str().unwrap();
    let state = world.get(&format!("/v1/signatures/{id}")).await;
    assert_eq!((&state.body["state"], &state.body["signatures"]), (&json!("pending"), &json!([])));
    for image in [&signed, &late, &bundled] {
        assert_eq!(world.signatures(image).await, 0, "{image}");
    }
    let calls = signing_calls(&world.vault_proxy.take_calls()).len();

    world.vault_proxy.mend();
    for image in [&signed, &late, &bundled] {
        let attached = async || (world.signatures(image).await == 1).then_some(());
        world.eventually("the outbox attaches it", attached).await;
        let again: Answer = world.sign(request(image)).await;
        assert_eq!(again.status, StatusCode::OK, "{again:?}");
        assert_proven(&world, &again.body).await;
    }
    let again = world.sign_blob(json!({"digest": digest_of(&signed)})).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    assert_proven(&world, &again.body).await;
    let later = signing_calls(&world.vault_proxy.take_calls()).len();
    assert_eq!((calls, later), (calls, 0), "nothing was signed twice");
}
