//! The page about the API.

use crate::support::World;
use crate::support::browser::{Browser, Options};

#[tokio::test]
async fn the_page_about_the_api_shows_it_and_has_nothing_to_complain_about() {
    let (world, browser) = tokio::join!(World::start(), Browser::start(Options::default()));
    browser.goto(&format!("{}/docs/", world.signet.api)).await;
    browser.wait_for_text(".info .title", "Signet").await;
    browser.wait_for_text("#swagger-ui", "/v1/signatures").await;
    assert!(browser.transferred().await > 100_000);
    browser.goto(&format!("{}/openapi.json", world.signet.api)).await;
    assert!(browser.text("body").await.contains("\"/v1/signatures\""));
    browser.end().await;
}
