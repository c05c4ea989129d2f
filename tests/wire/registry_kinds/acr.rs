//! ACR: what was written shows a moment later, and `TOOMANYREQUESTS` in the body counts whatever the status.

use super::{FORMATS, sign_numbered, writes};
use crate::support::traps::{Behind, is_referrers, problem, reference};
use crate::support::{Fault, World, servers};

#[tokio::test]
async fn a_tag_that_shows_its_old_manifest_for_a_moment_loses_nothing() {
    // Who reads back sees the write or does not; and who comes after sees what was there before.
    for hides in [&[true][..], &[true; 3], &[false, true], &[false, true, true, true]] {
        let world = World::counted().await;
        world.registry_proxy.break_with(Behind::by(hides).rule());
        let image = world.push_image().await;
        for number in 0..3 {
            let answer = sign_numbered(&world, &image, "cosign", number).await;
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        let answers = (3..7).map(|number| sign_numbered(&world, &image, "cosign", number));
        for answer in futures::future::join_all(answers).await {
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        assert_eq!(world.layers(&image).await.len(), 7);
        world.registry_proxy.take_calls();
        for number in 0..7 {
            assert_eq!(sign_numbered(&world, &image, "cosign", number).await.status, 200);
        }
        let calls = world.registry_proxy.take_calls();
        assert!(writes(&calls).is_empty(), "{calls:?}");
    }
}

#[tokio::test]
async fn a_bundle_that_is_listed_a_moment_later_is_waited_for_and_made_once() {
    for world in World::in_each_registry(Default::default()).await {
        world.registry_proxy.break_with(Behind::by(&[true; 2]).rule());
        let image = world.push_image().await;
        for number in 0..2 {
            let answer = sign_numbered(&world, &image, "bundle", number).await;
            assert_eq!(answer.status, 201, "{}: {answer:?}", world.registry.name);
        }
        assert_eq!(sign_numbered(&world, &image, "bundle", 0).await.status, 200, "{}", world.registry.name);
        assert_eq!(world.bundles(&image).await.len(), 2, "{}", world.registry.name);
    }
}

#[tokio::test]
async fn too_many_requests_in_a_body_are_that_whatever_the_status() {
    let world = World::counted().await;
    for status in [200, 400, 403, 404, 409, 503] {
        for after in [None, Some(7)] {
            let retry =
                after.map(|after: u64| ("retry-after", after.to_string())).into_iter().collect::<Vec<_>>();
            let throttled = problem(status, retry, "TOOMANYREQUESTS", "too many requests");
            for (format, referrers) in
                [("cosign", true), ("cosign", false), ("bundle", true), ("bundle", false)]
            {
                // A repository of its own, of which it is not known yet whether it has the API.
                let image = world.push_image_below(&servers::unique("repository")).await;
                let throttled = throttled.clone();
                world.registry_proxy.break_with(move |call| {
                    // An answer to HEAD has no body, and so says nothing but its status.
                    let is_tag = reference(call).is_some_and(|name| name.starts_with("sha256-"));
                    let hit = if referrers { is_referrers(call) } else { is_tag && call.method == "GET" };
                    hit.then(|| throttled.clone())
                });
                world.take_all_calls();
                let answer = sign_numbered(&world, &image, format, 1).await;
                world.assert_problem(&answer, 503, "registry-unavailable");
                assert_eq!(answer.retry_after(), Some(after.unwrap_or(2)), "{status} {answer:?}");
                assert!(world.vault_proxy.take_calls().is_empty());
                assert!(writes(&world.registry_proxy.take_calls()).is_empty());
            }
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_throttled_waits_as_long_as_it_was_asked_to() {
    for format in FORMATS {
        let world = World::counted().await;
        let image = world.push_image().await;
        world.registry_proxy.break_with(|call| {
            let throttled = || problem(403, vec![("retry-after", "4".to_owned())], "TOOMANYREQUESTS", "");
            (call.method == "POST").then(throttled)
        });
        let began = std::time::Instant::now();
        let answer = sign_numbered(&world, &image, format, 1).await;
        world.assert_problem(&answer, 503, "registry-unavailable");
        assert_eq!(answer.retry_after(), Some(4));
        world.registry_proxy.take_calls();
        world.registry_proxy.mend();
        let attached = async || (world.signatures(&image).await == 1).then_some(());
        world.eventually("the outbox attaches it", attached).await;
        assert!(began.elapsed() >= std::time::Duration::from_secs(4), "{:?}", began.elapsed());
    }
}

/// The image itself: its absence is believed only where a body says so.
#[tokio::test]
async fn an_image_that_could_not_be_asked_for_is_not_called_absent() {
    let world = World::counted().await;
    let image = world.push_image().await;
    world.registry_proxy.break_with(|call| {
        let subject = reference(call).is_some_and(|name| name.contains(':'));
        subject.then(|| match call.method.as_str() {
            "HEAD" => Fault::Answer { status: 404, headers: vec![], body: String::new() },
            _ => problem(404, vec![], "TOOMANYREQUESTS", "too many requests"),
        })
    });
    world.assert_problem(&world.sign_image(&image).await, 503, "registry-unavailable");
    world.registry_proxy.mend();
    assert_eq!(world.sign_image(&image).await.status, 201);
}
