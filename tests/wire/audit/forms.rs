//! Forms that other sites send, and other methods.

use reqwest::Method;

use super::{Browser, SESSION, WithForm as _};
use crate::support::World;

/// What a browser says of a form that one of our pages did not send.
fn from_elsewhere(api: &str) -> Vec<Vec<(&'static str, String)>> {
    let site = |site: &str| ("Sec-Fetch-Site", site.to_owned());
    let origin = |origin: &str| ("Origin", origin.to_owned());
    vec![
        vec![],
        vec![site("cross-site")],
        vec![site("same-site")],
        vec![site("none")],
        vec![site("cross-site"), origin(api)],
        vec![site("Same-Origin")],
        vec![site(""), origin(api)],
        vec![origin("https://evil.example")],
        vec![origin("null")],
        vec![origin(&format!("{api}.evil.example"))],
        vec![origin("http://127.0.0.1:1")],
        vec![("Referer", format!("{api}/audit"))],
    ]
}

#[tokio::test]
async fn a_log_in_that_another_site_sends_opens_nothing() {
    let world = World::start().await;
    let browser = Browser::new(&world);
    for headers in from_elsewhere(&browser.api) {
        let request = browser.request(Method::POST, "/audit/login").with_form(&[("token", &world.token)]);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        browser.send(request).await.assert_problem(403, "forbidden-form");
        assert_eq!(browser.cookie(SESSION), None, "{headers:?}");
    }
    // Before there was Fetch Metadata.
    let request = browser.request(Method::POST, "/audit/login").with_form(&[("token", &world.token)]);
    assert_eq!(browser.send(request.header("Origin", &browser.api)).await.status, 303);
}

#[tokio::test]
async fn a_log_out_that_another_site_sends_or_that_has_not_the_sessions_word_ends_nothing() {
    let world = World::start().await;
    let (browser, other) = (Browser::of(&world, &world.token).await, Browser::of(&world, &world.token).await);
    let (csrf, others) = (browser.csrf().await, other.csrf().await);
    assert_ne!(csrf, others);
    for headers in from_elsewhere(&browser.api) {
        let request = browser.request(Method::POST, "/audit/logout").with_form(&[("csrf", &csrf)]);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        browser.send(request).await.assert_problem(403, "forbidden-form");
        assert!(browser.is_logged_in().await, "{headers:?}");
    }
    let long = "a".repeat(10_000);
    let cookie = browser.cookie(SESSION).unwrap();
    for wrong in ["", &others, &csrf[1..], &long, "<script>alert(1)</script>", &cookie] {
        browser.post("/audit/logout", &[("csrf", wrong)]).await.assert_problem(403, "forbidden-form");
    }
    for form in [&[][..], &[("csrf", &csrf), ("csrf", &csrf)], &[("CSRF", &csrf)]] {
        browser
            .post(
                "/audit/logout",
                &form.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>(),
            )
            .await
            .assert_problem(403, "forbidden-form");
    }
    let request = browser.request(Method::POST, "/audit/logout").header("Sec-Fetch-Site", "same-origin");
    browser.send(request.body(format!("csrf={csrf}"))).await.assert_problem(403, "forbidden-form");
    browser.get(&format!("/audit/logout?csrf={csrf}")).await.assert_problem(405, "method-not-allowed");
    assert!(browser.is_logged_in().await);
    assert_eq!(browser.post("/audit/logout", &[("csrf", &csrf)]).await.status, 303);
    assert!(!browser.is_logged_in().await);
    // Twice is not worse than once.
    assert!(browser.post("/audit/logout", &[("csrf", &csrf)]).await.location().starts_with("/audit/login"));
}

#[tokio::test]
async fn other_methods_are_refused_with_a_page() {
    let world = World::start().await;
    let browser = Browser::of(&world, &world.token).await;
    for path in [
        "/audit",
        "/audit/search",
        "/audit/refusals",
        "/audit/export",
        "/audit/entries/0",
        "/audit/entries/0/bytes",
        "/audit/entries/0/proof",
        "/audit/signatures",
        "/audit/signatures/x",
        "/audit/keys",
        "/audit/keys/x",
        "/audit/login/start",
        "/audit/login/callback",
        "/audit/none",
    ] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let request = browser.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
            browser.send(request).await.assert_problem(405, "method-not-allowed");
        }
        let head = browser.send(browser.request(Method::HEAD, path)).await;
        assert_eq!(head.text, "", "{path}");
    }
    for method in ["PUT", "DELETE", "PATCH"] {
        for path in ["/audit/login", "/audit/logout"] {
            let request = browser.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
            browser.send(request).await.assert_problem(405, "method-not-allowed");
        }
    }
    assert!(browser.is_logged_in().await);
}
