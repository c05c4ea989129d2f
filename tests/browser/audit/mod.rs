//! The auditor's pages, as people use them.

mod access;
mod provider;
mod reach;
mod walk;
mod weight;

use crate::support::{Browser, World};

/// Logs in by pasting a token, where nobody is logged in.
async fn log_in(browser: &Browser, world: &World, token: &str) {
    browser.goto(&format!("{}/audit", world.signet.api)).await;
    browser.fill("#token", token).await;
    browser.click("main form button").await;
    browser.wait_for("form.who").await;
}

/// Has the search box look for `line`.
async fn search(browser: &Browser, line: &str) {
    browser.fill("#find", line).await;
    browser.click("form.find button").await;
}

/// Opens one of Signet's pages.
async fn open(browser: &Browser, world: &World, path: &str) {
    browser.goto(&format!("{}{path}", world.signet.api)).await;
}

/// Waits until every entry that is there now can be searched.
async fn indexed(world: &World) {
    world.searched("/v1/log/entries?limit=1").await;
}
