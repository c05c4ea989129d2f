//! The pictures of the auditor's pages in `docs/audit`: `tests/run screenshots` takes them.

mod palette;
mod past;
mod shop;

use std::path::Path;

use shop::Shop;

use crate::support::browser::{Browser, Options};

/// What a picture shows at most of a page that is longer, in CSS pixels.
const HEIGHT: u32 = 2600;

#[tokio::test]
#[ignore = "writes docs/audit"]
async fn pictures_of_all_pages() {
    let shop = Shop::open().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit");
    let pages = shop.pages();
    for (looks, dark, phone) in [("light", false, false), ("dark", true, false), ("phone", false, true)] {
        let options = Options { dark, phone, zone: "Europe/Berlin", ..Options::default() };
        let browser = Browser::start(options).await;
        let take = async |page: &str| {
            let path = folder.join(format!("{page}-{looks}.png"));
            browser.screenshot(&path, HEIGHT).await;
            std::fs::write(&path, palette::reduced(&std::fs::read(&path).unwrap())).unwrap();
        };
        browser.goto(&format!("{}/audit", shop.signet.api)).await;
        browser.wait_for("#token").await;
        take("log-in").await;
        browser.fill("#token", &shop.auditor).await;
        browser.click("main form button").await;
        browser.wait_for("form.who").await;
        for (page, path) in &pages {
            browser.goto(&format!("{}{path}", shop.signet.api)).await;
            // Whoever has typed nothing has no caret there.
            browser.evaluate("document.activeElement?.blur()").await;
            take(page).await;
        }
        browser.end().await;
    }
    let pictures = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    let bytes: u64 = pictures.sum();
    assert!(bytes < 4_000_000, "the pictures have {bytes} bytes together");
}
