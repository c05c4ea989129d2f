//! Without pages, and without a provider.

use super::Browser;
use crate::support::World;
use crate::support::world::Settings;

#[tokio::test]
async fn without_the_pages_there_is_nothing_at_their_paths() {
    let sections = "[audit]\nenabled = false\n".to_owned();
    let world = World::with(Settings { sections, ..Settings::default() }).await;
    for path in ["/audit", "/audit/", "/audit/login", "/audit/keys", "/audit/assets/audit.css"] {
        let answer = world.get(path).await;
        world.assert_problem(&answer, 404, "not-found");
    }
    let answer = world.post("/audit/login", &world.token, format!("token={}", world.token)).await;
    world.assert_problem(&answer, 404, "not-found");
}

#[tokio::test]
async fn without_a_provider_there_is_none_to_log_in_at() {
    let world = World::start().await;
    let browser = Browser::new(&world);
    for path in [
        "/audit/login/start",
        "/audit/login/start?next=/audit/keys",
        "/audit/login/callback",
        "/audit/login/callback?code=a&state=b",
    ] {
        browser.get(path).await.assert_problem(404, "not-found");
    }
    let form = browser.get("/audit/login").await;
    assert!(!form.text.contains("/audit/login/start"), "{}", form.text);
}

#[tokio::test]
async fn who_may_not_read_the_log_is_told_so_and_can_log_out() {
    let world = World::start().await;
    let browser = Browser::of(&world, &world.outsider).await;
    for path in [
        "/audit",
        "/audit/search",
        "/audit/refusals",
        "/audit/signatures",
        "/audit/entries/0",
        "/audit/entries/0/bytes",
        "/audit/entries/0/proof",
        "/audit/keys",
        "/audit/export?format=ndjson",
    ] {
        let page = browser.get(path).await;
        page.assert_problem(403, "forbidden");
        assert!(
            page.text.contains("token:outsider") && page.text.contains("<code>log.read</code>"),
            "{path}"
        );
        assert!(!page.text.contains(&world.repository) && !page.text.contains("sha256:"), "{path}");
    }
    let page = browser.get("/audit/none").await;
    page.assert_problem(404, "not-found");
    let page = browser.get("/audit").await;
    let (_, rest) = page.text.split_once("name=\"csrf\" value=\"").expect("a form to log out");
    let csrf = rest.split_once('"').unwrap().0;
    assert_eq!(browser.post("/audit/logout", &[("csrf", csrf)]).await.location(), "/audit/login?notice=bye");
    assert!(browser.get("/audit").await.location().starts_with("/audit/login"));
}
