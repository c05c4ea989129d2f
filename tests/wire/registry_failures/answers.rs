//! Every call gets the same bad answer, or none.

use super::{entries, sign};
use crate::support::proxy::{Call, signing_calls};
use crate::support::world::Settings;
use crate::support::{Fault, World};

fn errors(status: u16, headers: Vec<(&'static str, String)>) -> Fault {
    let body = r#"{"errors":[{"code":"UNKNOWN","message":"it failed in /var/lib/registry"}]}"#;
    Fault::Answer { status, headers, body: body.to_owned() }
}

/// Whether a call is about what hangs on an image, and not about the image itself.
fn is_about_signatures(call: &Call) -> bool {
    call.path.contains(".sig")
        || call.path.contains("/referrers/")
        || call.path.contains("/manifests/sha256-")
}

#[tokio::test]
async fn a_registry_that_fails_is_an_error_with_its_code_and_vault_is_not_called() {
    let world = World::counted().await;
    let retry = |seconds: &str| vec![("retry-after", seconds.to_owned())];
    let cases = [
        ("down", Fault::Cut, 502, "registry-unavailable", 2),
        ("cut in the middle", Fault::CutAnswer, 502, "registry-unavailable", 2),
        ("401 without a challenge", errors(401, vec![]), 502, "registry-unavailable", 2),
        (
            "401",
            errors(401, vec![("www-authenticate", "Basic realm=\"r\"".into())]),
            502,
            "registry-denied",
            30,
        ),
        ("403", errors(403, vec![]), 502, "registry-denied", 30),
        ("429", errors(429, vec![]), 503, "registry-unavailable", 2),
        ("429, in 2 minutes", errors(429, retry("120")), 503, "registry-unavailable", 120),
        ("500", errors(500, vec![]), 502, "registry-unavailable", 2),
        ("503, in a minute", errors(503, retry("60")), 502, "registry-unavailable", 60),
        (
            "a redirect",
            errors(307, vec![("location", "http://127.0.0.1:1/".into())]),
            502,
            "registry-unavailable",
            2,
        ),
        ("a teapot", errors(418, vec![]), 502, "registry-unavailable", 2),
    ];
    for (name, fault, status, code, seconds) in cases {
        for format in ["cosign", "bundle"] {
            let image = world.push_image().await;
            let everything = fault.clone();
            world.registry_proxy.break_with(move |_| Some(everything.clone()));
            let answer = sign(&world, &image, format).await;
            world.assert_problem(&answer, status, code);
            assert_eq!(answer.retry_after(), Some(seconds), "{name}");
            assert!(!answer.detail().contains("/var/lib"), "{name}: {}", answer.detail());
            assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty(), "{name}");
            world.registry_proxy.mend();
            assert!(entries(&world, &image, "intent").await.is_empty(), "{name}");
            assert_eq!(sign(&world, &image, format).await.status, 201, "{name}");
            world.vault_proxy.take_calls();
        }
    }
}

#[tokio::test]
async fn what_hangs_on_an_image_and_can_not_be_read_is_not_taken_for_absent() {
    let world = World::counted().await;
    for (name, fault, code) in [
        ("401", errors(401, vec![("www-authenticate", "Basic realm=\"r\"".into())]), "registry-denied"),
        ("403", errors(403, vec![]), "registry-denied"),
        ("500", errors(500, vec![]), "registry-unavailable"),
        ("cut", Fault::Cut, "registry-unavailable"),
    ] {
        for format in ["cosign", "bundle"] {
            let image = world.push_image().await;
            assert_eq!(sign(&world, &image, format).await.status, 201);
            world.vault_proxy.take_calls();
            let fault = fault.clone();
            world.registry_proxy.break_with(move |call| is_about_signatures(call).then(|| fault.clone()));
            for request in [format, "cosign", "bundle"] {
                let answer = sign(&world, &image, request).await;
                world.assert_problem(&answer, 502, code);
            }
            assert!(world.vault_proxy.take_calls().is_empty(), "{name}");
            world.registry_proxy.mend();
            assert_eq!(sign(&world, &image, format).await.status, 200);
            assert_eq!(world.signatures(&image).await, 1);
        }
    }
}

#[tokio::test]
async fn a_forbidden_fallback_tag_is_not_taken_for_unsigned() {
    let lines = vec![("registries", "referrers = 'tag'".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let image = world.push_image().await;
    let forbidden = |call: &Call| {
        let fallback = call.path.contains("/manifests/sha256-") && !call.path.ends_with(".sig");
        fallback.then(|| errors(403, vec![]))
    };
    world.registry_proxy.break_with(forbidden);
    for format in ["bundle", "cosign"] {
        world.assert_problem(&sign(&world, &image, format).await, 502, "registry-denied");
    }
    assert!(world.vault_proxy.take_calls().is_empty());
    world.registry_proxy.mend();
    assert_eq!(sign(&world, &image, "bundle").await.status, 201);
    world.registry_proxy.break_with(forbidden);
    world.assert_problem(&sign(&world, &image, "bundle").await, 502, "registry-denied");
    world.registry_proxy.mend();
    assert_eq!(sign(&world, &image, "bundle").await.status, 200);
}

#[tokio::test]
async fn a_short_wait_that_the_registry_asks_for_is_waited_here() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let asked = std::sync::atomic::AtomicUsize::new(0);
    world.registry_proxy.break_with(move |_| {
        let first = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        first.then(|| errors(429, vec![("retry-after", "1".to_owned())]))
    });
    assert_eq!(sign(&world, &image, "cosign").await.status, 201);
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_504_after_its_time() {
    let lines = vec![("registries", "request_timeout = '300ms'".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    for format in ["cosign", "bundle"] {
        let image = world.push_image().await;
        world.registry_proxy.break_with(|_| Some(Fault::Hang));
        let answer = sign(&world, &image, format).await;
        world.assert_problem(&answer, 504, "timeout");
        assert!(answer.detail().contains("300ms"), "{}", answer.detail());
        assert!(world.vault_proxy.take_calls().is_empty());
        world.registry_proxy.mend();
        assert_eq!(sign(&world, &image, format).await.status, 201);
        world.vault_proxy.take_calls();
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_as_a_whole_is_504_and_goes_on_without_its_caller() {
    let lines = vec![("limits", "request_timeout = '400ms'".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let image = world.push_image().await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let closed = gate.clone();
    world.registry_proxy.break_with(move |call| {
        let put = call.method == "PUT" && call.path.ends_with(".sig");
        put.then(|| Fault::Gate(closed.clone()))
    });
    let answer = sign(&world, &image, "cosign").await;
    world.assert_problem(&answer, 504, "timeout");
    assert_eq!(world.signatures(&image).await, 0);
    gate.add_permits(1);
    world
        .eventually("it is attached all the same", async || {
            (world.signatures(&image).await == 1 && !entries(&world, &image, "attach").await.is_empty())
                .then_some(())
        })
        .await;
    world.registry_proxy.mend();
    assert_eq!(sign(&world, &image, "cosign").await.status, 200);
}
