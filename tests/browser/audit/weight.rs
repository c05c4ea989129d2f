//! What a page costs whoever opens it.

use serde_json::json;
use signet::domain::Digest;

use super::{indexed, log_in, open};
use crate::support::World;
use crate::support::browser::{Browser, Options};

/// Bytes of a page with all that it loads, on the network.
const MOST: u64 = 150_000;

/// Files that are signed at once.
const FILES: usize = 100;

#[tokio::test]
async fn no_page_loads_much_nor_from_elsewhere() {
    let world = World::start().await;
    let file = |number: usize| json!({"digest": Digest::of(&number.to_be_bytes()).to_string()});
    let mut id = String::new();
    for number in 0..FILES {
        let made = world.sign_blob(file(number)).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body["id"].as_str().unwrap().clone_into(&mut id);
    }
    for _ in 0..60 {
        let image = json!({"image": world.image(Digest::of(b"image"))}).to_string();
        assert_eq!(world.post("/v1/signatures", &world.outsider, image).await.status, 403);
    }
    indexed(&world).await;
    let browser = Browser::start(Options::default()).await;
    open(&browser, &world, "/audit/login").await;
    assert_light(&browser, &world).await;
    log_in(&browser, &world, &world.token).await;
    for path in [
        "/audit".to_owned(),
        "/audit/search".to_owned(),
        "/audit/signatures".to_owned(),
        format!("/audit/signatures/{id}"),
        "/audit/entries/100".to_owned(),
        "/audit/keys".to_owned(),
        format!("/audit/keys/{}?version=1", world.key),
        "/audit/refusals".to_owned(),
    ] {
        open(&browser, &world, &path).await;
        assert_light(&browser, &world).await;
    }
    browser.end().await;
}

async fn assert_light(browser: &Browser, world: &World) {
    let (url, bytes) = (browser.url().await, browser.transferred().await);
    assert!((1000..=MOST).contains(&bytes), "{url} takes {bytes} bytes");
    let loaded =
        browser.evaluate("performance.getEntriesByType('resource').map(loaded => loaded.name)").await;
    let loaded = loaded.as_array().unwrap();
    assert!(!loaded.is_empty(), "{url} has no style");
    for other in loaded {
        assert!(
            other.as_str().unwrap().starts_with(&format!("{}/audit/", world.signet.api)),
            "{url} loads {other}"
        );
    }
}
