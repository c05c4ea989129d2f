//! For everybody: with a keyboard, a screen reader, a phone, in the dark.

use std::collections::HashSet;

use serde_json::json;

use super::{indexed, log_in, open};
use crate::support::World;
use crate::support::browser::{Browser, Key, Options};

/// A log with a bit of everything, and the paths of all pages with the status of each.
async fn pages() -> (World, Vec<(String, u64)>) {
    let world = World::start().await;
    let image = world.push_image().await;
    let annotations = json!({"note": "<b>bold</b>", "turned": "a\u{202e}b"});
    let made = world.sign(json!({"image": image, "annotations": annotations})).await;
    let refused = world.post("/v1/signatures", &world.outsider, json!({"image": image}).to_string()).await;
    assert_eq!((made.status.as_u16(), refused.status.as_u16()), (201, 403));
    let is_logged = async || (!world.entries("kind=refusal").await.is_empty()).then_some(());
    world.eventually("the refusal is logged", is_logged).await;
    indexed(&world).await;
    let (id, index) = (made.body["id"].as_str().unwrap(), &made.body["log"]["index"]);
    let pages = vec![
        ("/audit".to_owned(), 200),
        ("/audit/search".to_owned(), 200),
        ("/audit/search?q=token:nobody".to_owned(), 200),
        ("/audit/search?q=sha256:12".to_owned(), 400),
        ("/audit/signatures".to_owned(), 200),
        (format!("/audit/signatures/{id}"), 200),
        (format!("/audit/entries/{index}"), 200),
        ("/audit/keys".to_owned(), 200),
        (format!("/audit/keys/{}?version=1", world.key), 200),
        ("/audit/refusals".to_owned(), 200),
        ("/audit/nowhere".to_owned(), 404),
    ];
    (world, pages)
}

/// Looks at every page; logged out, as a reader, and as somebody who may see nothing.
async fn look(options: Options) {
    let (world, pages) = pages().await;
    let browser = Browser::start(options).await;
    let mut titles = HashSet::new();
    open(&browser, &world, "/audit/login").await;
    assert_fine(&browser, 200, &mut titles).await;
    log_in(&browser, &world, &world.token).await;
    for (path, status) in pages {
        open(&browser, &world, &path).await;
        assert_fine(&browser, status, &mut titles).await;
    }
    open(&browser, &world, "/audit").await;
    browser.click("form.who button").await;
    browser.wait_for("#token").await;
    log_in(&browser, &world, &world.outsider).await;
    assert_fine(&browser, 403, &mut titles).await;
    // Searches share one.
    assert!(titles.len() >= 10, "{titles:?}");
    browser.end().await;
}

async fn assert_fine(browser: &Browser, status: u64, titles: &mut HashSet<String>) {
    let url = browser.url().await;
    assert_eq!(browser.status().await, status, "{url}");
    let violations = browser.violations().await;
    assert!(violations.is_empty(), "{url}:\n{}", violations.join("\n"));
    let wide = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 120))";
    assert_eq!(browser.overhang().await, 0, "{url} sticks out: {}", browser.evaluate(wide).await);
    for (css, count) in [("h1", 1), ("main", 1), ("html[lang=en]", 1)] {
        assert_eq!(browser.count(css).await, count, "{css} at {url}");
    }
    let title = browser.title().await;
    assert!(title.len() > "Signet".len() && title.contains("Signet"), "{title}");
    titles.insert(title);
    let complaints = browser.complaints().await;
    let expected = complaints.iter().all(|line| status >= 400 && line.contains(&status.to_string()));
    assert!(expected, "{url}: {complaints:?}");
}

#[tokio::test]
async fn every_page_is_for_everybody() {
    look(Options::default()).await;
}

#[tokio::test]
async fn every_page_is_for_everybody_in_the_dark() {
    look(Options { dark: true, ..Options::default() }).await;
}

#[tokio::test]
async fn every_page_is_for_everybody_on_a_phone() {
    look(Options { phone: true, ..Options::default() }).await;
}

#[tokio::test]
async fn every_page_is_for_everybody_on_a_phone_in_the_dark() {
    look(Options { phone: true, dark: true, zone: "Europe/Berlin", ..Options::default() }).await;
}

#[tokio::test]
async fn a_keyboard_is_enough() {
    let (world, browser) = tokio::join!(World::start(), Browser::start(Options::default()));
    open(&browser, &world, "/audit/login").await;
    let focus_after = async |key| {
        browser.press_key(key).await;
        browser.focused().await
    };
    assert_eq!(focus_after(Key::Tab).await, "a Skip to the page");
    browser.press_key(Key::Enter).await;
    assert_eq!(browser.focused().await, "main#main");
    assert_eq!(focus_after(Key::Tab).await, "input#token");
    browser.fill("#token", &world.token).await;
    browser.press_key(Key::Enter).await;
    browser.wait_for("form.who").await;

    let mut order = Vec::new();
    for _ in 0..11 {
        order.push(focus_after(Key::Tab).await);
    }
    let expected = [
        "a Skip to the page",
        "a Signet",
        "input#find",
        "button Search",
        "button Log out",
        "a Overview",
        "a Entries",
        "a Signatures",
        "a Keys",
        "a Refusals",
    ];
    assert_eq!(order[..10], expected);
    assert!(!expected.contains(&order[10].as_str()), "{order:?}");

    browser.fill("#find", "token:ci").await;
    browser.press_key(Key::Enter).await;
    browser.wait_for_text(".meaning", "the principal").await;
    while focus_after(Key::Tab).await != "button Log out" {}
    browser.press_key(Key::Enter).await;
    browser.wait_for_text("[role=status]", "logged out").await;
    browser.end().await;
}
