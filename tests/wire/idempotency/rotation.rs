//! A new version of the key makes a new signature, and takes none away.

use serde_json::json;

use super::{FORMATS, assert_found, assert_made, entries, sign};
use crate::support::World;
use crate::support::world::Settings;

#[tokio::test]
async fn after_a_rotation_the_same_request_signs_anew_and_the_old_version_is_still_found() {
    let lines = vec![("vault", "key_poll = '50ms'".to_owned())];
    for format in FORMATS {
        let world = World::with(Settings { lines: lines.clone(), ..Settings::default() }).await;
        let image = world.push_image().await;
        let old = sign(&world, &image, format).await;
        assert_made(&old);
        assert_eq!(old.body["key"]["version"], 1);
        world.rotate().await;
        world
            .eventually("the rotation is noticed", async || {
                let key = world.get(&format!("/v1/keys/{}", world.key)).await;
                (key.body["latest_version"] == 2).then_some(())
            })
            .await;

        let new = sign(&world, &image, format).await;
        assert_made(&new);
        assert_eq!(new.body["key"]["version"], 2);
        assert_ne!(new.body["key"]["fingerprint"], old.body["key"]["fingerprint"]);
        assert_eq!(world.signatures(&image).await, 2);
        let pinned = world.sign(json!({"image": image, "format": format, "key_version": 1})).await;
        assert_found(&pinned);
        assert_eq!(pinned.body["id"], old.body["id"]);
        let again = sign(&world, &image, format).await;
        assert_found(&again);
        assert_eq!(again.body["id"], new.body["id"]);
        assert_eq!(entries(&world, &image, "intent").await.len(), 2);

        // Another image can still be signed with the version before.
        let image = world.push_image().await;
        let pinned = world.sign(json!({"image": image, "format": format, "key_version": 1})).await;
        assert_made(&pinned);
        assert_eq!(pinned.body["key"]["version"], 1);
    }
}

#[tokio::test]
async fn a_rotation_in_the_middle_of_many_requests_fails_none() {
    let lines = vec![("vault", "key_poll = '20ms'".to_owned())];
    let world = World::with(Settings { lines, ..Settings::default() }).await;
    let images = futures::future::join_all((0..24).map(|_| world.push_image())).await;
    let rotating = async {
        for _ in 0..3 {
            world.rotate().await;
        }
    };
    let signing = futures::future::join_all(images.iter().map(|image| world.sign_image(image)));
    let (answers, ()) = tokio::join!(signing, rotating);
    for (image, answer) in images.iter().zip(answers) {
        assert_made(&answer);
        assert_eq!(world.signatures(image).await, 1);
    }
}
