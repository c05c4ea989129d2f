//! Many at once.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use super::{FORMATS, entries, sign};
use crate::support::World;
use crate::support::world::Settings;

const CALLERS: usize = 32;

#[tokio::test]
async fn the_same_request_many_times_at_once_makes_one_signature() {
    for world in World::in_each_registry(Settings::default()).await {
        for format in FORMATS {
            let image = world.push_image().await;
            let answers = join_all((0..CALLERS).map(|_| sign(&world, &image, format))).await;
            let made = answers.iter().filter(|answer| answer.status == 201).count();
            let found = answers.iter().filter(|answer| answer.status == 200).count();
            assert_eq!((made, found), (1, CALLERS - 1), "{}: {answers:?}", world.registry.name);
            let ids: BTreeSet<_> = answers.iter().map(|answer| answer.body["id"].to_string()).collect();
            assert_eq!(ids.len(), 1);
            assert_eq!(world.signatures(&image).await, 1);
            assert_eq!(entries(&world, &image, "intent").await.len(), 1);
        }
    }
}

#[tokio::test]
async fn many_signatures_on_one_image_at_once_are_all_there_afterwards() {
    for world in World::in_each_registry(Settings::default()).await {
        for format in FORMATS {
            let image = world.push_image().await;
            let request = |n| json!({"image": image, "format": format, "annotations": {"n": n}});
            let requests = (0..CALLERS).map(|n| request(n.to_string()));
            let answers = join_all(requests.map(|request| world.sign(request))).await;
            assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
            assert_eq!(world.signatures(&image).await, CALLERS, "{} {format}", world.registry.name);
        }
    }
}
