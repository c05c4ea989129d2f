//! Two Signets over one PostgreSQL.

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use signet::domain::Digest;

use crate::support::world::Settings;
use crate::support::{Answer, Signet, World};

#[tokio::test]
async fn replicas_over_one_database_know_each_others_signatures_and_restart_with_them() {
    let mut world = World::with(Settings { postgres: true, ..Settings::default() }).await;
    let other = Signet::serve(&world.directory.path().join("signet.toml"));
    let (one, two) = (world.push_image().await, world.push_image().await);
    let first = world.sign_image(&one).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = sign(&world, &other, &one).await;
    assert_eq!((again.status.as_u16(), &again.body["id"]), (200, &first.body["id"]), "{again:?}");
    let second = sign(&world, &other, &two).await;
    assert_eq!(second.status, 201, "{second:?}");

    world.restart();
    for (image, made) in [(&one, &first), (&two, &second)] {
        let again = world.sign_image(image).await;
        assert_eq!((again.status.as_u16(), &again.body["id"]), (200, &made.body["id"]), "{again:?}");
    }
    let entries = world.entries("").await;
    let attached = entries.iter().filter(|entry| entry["kind"] == "attach").count();
    assert_eq!(attached, 2, "{entries:#?}");
}

#[tokio::test]
async fn replicas_over_one_database_share_an_hours_signatures() {
    let lines = vec![("limits", "signatures_per_hour = 10".to_owned())];
    let mut world = World::with(Settings { postgres: true, lines, ..Settings::default() }).await;
    let other = Signet::serve(&world.directory.path().join("signet.toml"));
    let blob = async |number: usize| {
        let api = if number.is_multiple_of(2) { &world.signet.api } else { &other.api };
        let body = json!({"digest": Digest::of(number.to_string().as_bytes()).to_string()});
        let request = world.client.post(format!("{api}/v1/blobs")).bearer_auth(&world.token).json(&body);
        Answer::read(request.send().await.unwrap()).await
    };
    let answers = join_all((0..40).map(blob)).await;
    let signed = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(signed, 10, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        world.assert_problem(answer, 429, "rate-limited");
    }
    world.restart();
    let digest = Digest::of(b"after the restart").to_string();
    world.assert_problem(&world.sign_blob(json!({"digest": digest})).await, 429, "rate-limited");
}

async fn sign(world: &World, signet: &Signet, image: &str) -> Answer {
    let request = world.client.request(Method::POST, format!("{}/v1/signatures", signet.api));
    let request = request.bearer_auth(&world.token).json(&json!({"image": image}));
    Answer::read(request.send().await.unwrap()).await
}
