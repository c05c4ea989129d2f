//! Two Signets over one PostgreSQL.

use reqwest::Method;
use serde_json::json;

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

async fn sign(world: &World, signet: &Signet, image: &str) -> Answer {
    let request = world.client.request(Method::POST, format!("{}/v1/signatures", signet.api));
    let request = request.bearer_auth(&world.token).json(&json!({"image": image}));
    Answer::read(request.send().await.unwrap()).await
}
