//! What the browser of the tests promises, on small pages that are made for it.

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::get;

use crate::support::browser::{Browser, Cookie, Key, Options};
use crate::support::servers::serve;

const STRICT: &str =
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'";

const GOOD: &str = "<!doctype html><html lang=en><head><title>Good</title>\
    <meta name=viewport content='width=device-width'><link rel=stylesheet href=/style>\
    <script src=/script defer></script></head><body><main><h1>Hello</h1><form action=/said><label for=q>Query</label>\
    <input id=q name=q> <button>Say</button> <a href=/file>Export</a></form><p class=scripted>no script</p>\
    <noscript><p class=without>without scripts</p></noscript></main></body></html>";

const STYLE: &str = "body { color: #000; background: #fff } a { color: #00c }\n\
    @media (prefers-color-scheme: dark) { body { background: #111; color: #eee } a { color: #9cf } }\n\
    @media (max-width: 500px) { h1::after { content: ' phone' } }";

const SCRIPT: &str = "document.querySelector('.scripted').textContent = \
    [navigator.language, Intl.DateTimeFormat().resolvedOptions().timeZone, matchMedia('(pointer: coarse)').matches].join(' ')";

/// A site with a page for each thing that the browser has to notice.
fn site() -> String {
    let page = |body: &'static str| get(move || async move { ([policy()], Html(body)) });
    let router = Router::new()
        .route("/good", page(GOOD))
        .route("/style", get(|| async { ([(header::CONTENT_TYPE, "text/css")], STYLE) }))
        .route("/script", get(|| async { ([(header::CONTENT_TYPE, "text/javascript")], SCRIPT) }))
        .route("/said", page("<!doctype html><html lang=en><title>Said</title><main><h1>Said</h1></main></html>"))
        .route("/moved", get(|| async { Redirect::to("/good") }))
        .route("/large", get(|| async { ([policy()], Html(format!("<title>L</title>{}", "x".repeat(40_000)))) }))
        .route("/inline", page("<title>I</title><p>text<script>document.title = 'ran'</script>"))
        .route("/styled", page("<title>I</title><p style='color: red'>text"))
        .route("/pictures", page("<title>P</title><img alt=x src=http://127.0.0.2:9/x.png>"))
        .route("/broken", page("<title>B</title><img alt=x src=/nowhere.png>"))
        .route("/unreadable", page(
            "<!doctype html><html><title>U</title><main><h1>U</h1><input><img src=/style><a href=/good></a>\
             <p><font color=#ddd>pale</font></p></main></html>"))
        .route("/wide", page("<!doctype html><title>W</title><table width=3000><tr><td>x</table>"))
        .route("/cookies", get(|| async {
            let one = (header::SET_COOKIE, "one=1; Path=/; HttpOnly; Secure; SameSite=Strict");
            (axum::response::AppendHeaders([one, (header::SET_COOKIE, "two=2; Path=/cookies; SameSite=Lax")]), Html("<title>C</title>"))
        }))
        .route("/seen", get(|headers: axum::http::HeaderMap| async move {
            let cookie = headers.get(header::COOKIE).map(|value| value.to_str().unwrap().to_owned());
            Html(format!("<title>S</title><p>{}", cookie.unwrap_or_default()))
        }))
        .route("/file", get(|| async {
            let name = (header::CONTENT_DISPOSITION, "attachment; filename=\"entries.csv\"");
            ([name, (header::CONTENT_TYPE, "text/csv")], "a,b\n1,2\n").into_response()
        }));
    format!("http://{}", serve(router))
}

fn policy() -> (header::HeaderName, &'static str) {
    (header::CONTENT_SECURITY_POLICY, STRICT)
}

const WITHOUT_SCRIPTS: Options =
    Options { javascript: false, dark: false, phone: false, language: "en-GB", zone: "UTC" };

#[tokio::test]
async fn a_person_reads_fills_in_clicks_and_goes_back() {
    let (site, browser) = (site(), Browser::start(Options::default()).await);
    browser.goto(&format!("{site}/good")).await;
    assert_eq!((browser.title().await.as_str(), browser.status().await), ("Good", 200));
    assert_eq!(browser.text("h1").await, "Hello");
    browser.fill("#q", "sha256:abc <b>").await;
    browser.click("button").await;
    // A click returns before the page that it leads to is there.
    browser.wait_for_url(&format!("{site}/said")).await;
    assert_eq!(browser.url().await, format!("{site}/said?q=sha256%3Aabc+%3Cb%3E"));
    browser.back().await;
    browser.wait_for_text("h1", "Hello").await;
    assert_eq!(browser.all_texts("button, a").await, ["Say", "Export"]);
    assert_eq!(browser.attribute("a", "href").await.as_deref(), Some("/file"));
    assert!(browser.source().await.contains("<label for=\"q\">"));
    browser.end().await;
}

#[tokio::test]
async fn a_person_can_do_without_a_mouse() {
    let (site, browser) = (site(), Browser::start(Options::default()).await);
    browser.goto(&format!("{site}/good")).await;
    let mut visited = vec![browser.focused().await];
    for _ in 0..3 {
        browser.press_key(Key::Tab).await;
        visited.push(browser.focused().await);
    }
    assert_eq!(visited, ["body", "input#q", "button Say", "a Export"]);
    browser.press_key(Key::BackTab).await;
    browser.press_key(Key::Enter).await;
    browser.wait_for_url(&format!("{site}/said")).await;
    browser.end().await;
}

#[tokio::test]
async fn scripts_run_only_where_the_person_lets_them() {
    let site = site();
    let with = Browser::start(Options { language: "de-DE", zone: "Asia/Tokyo", ..Options::default() }).await;
    with.goto(&format!("{site}/good")).await;
    assert_eq!(with.text(".scripted").await, "de-DE Asia/Tokyo false");
    assert_eq!(with.count(".without").await, 0);
    with.end().await;

    let without = Browser::start(WITHOUT_SCRIPTS).await;
    without.goto(&format!("{site}/good")).await;
    assert_eq!(without.text(".scripted").await, "no script");
    assert_eq!(without.text(".without").await, "without scripts");
    // What the harness does itself needs no scripts of the page.
    assert_eq!(without.violations().await, [""; 0]);
    assert!(without.transferred().await > 500);
    // Nor has checking let them in.
    without.reload().await;
    assert_eq!(without.text(".scripted").await, "no script");
    without.fill("#q", "x").await;
    without.press_key(Key::Enter).await;
    without.wait_for_url(&format!("{site}/said?q=x")).await;
    without.end().await;
}

#[tokio::test]
async fn accessibility_is_checked_under_a_strict_policy() {
    let (site, browser) = (site(), Browser::start(Options::default()).await);
    browser.goto(&format!("{site}/good")).await;
    assert_eq!(browser.violations().await, [""; 0]);
    browser.goto(&format!("{site}/unreadable")).await;
    let violations = browser.violations().await.join("\n");
    for rule in ["html-has-lang", "label", "image-alt", "link-name", "color-contrast"] {
        assert!(violations.contains(&format!("{rule} (")), "{rule}: {violations}");
    }
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.end().await;
}

#[tokio::test]
async fn contrast_is_checked_in_the_colours_that_the_person_sees() {
    let site = site();
    for (dark, background) in [(false, "rgb(255, 255, 255)"), (true, "rgb(17, 17, 17)")] {
        let browser = Browser::start(Options { dark, ..Options::default() }).await;
        browser.goto(&format!("{site}/good")).await;
        assert_eq!(browser.evaluate("getComputedStyle(document.body).backgroundColor").await, background);
        assert_eq!(browser.violations().await, [""; 0]);
        browser.end().await;
    }
}

#[tokio::test]
async fn a_phone_is_narrow_and_touched() {
    let (site, browser) = (site(), Browser::start(Options { phone: true, ..Options::default() }).await);
    browser.goto(&format!("{site}/wide")).await;
    assert!(browser.overhang().await > 1000);
    browser.goto(&format!("{site}/good")).await;
    assert!(browser.text(".scripted").await.ends_with("true"));
    assert_eq!(browser.evaluate("innerWidth").await, 390);
    assert_eq!(browser.overhang().await, 0);
    browser.end().await;
}

#[tokio::test]
async fn a_page_that_breaks_its_own_policy_is_complained_about() {
    let (site, browser) = (site(), Browser::start(Options::default()).await);
    for path in ["inline", "styled", "pictures"] {
        browser.goto(&format!("{site}/{path}")).await;
        let complaints = browser.complaints().await;
        assert_eq!(complaints.len(), 1, "{path}: {complaints:?}");
        assert!(complaints[0].contains("Content Security Policy"), "{path}: {complaints:?}");
        assert_ne!(browser.title().await, "ran");
    }
    browser.end().await;
    let browser = Browser::start(WITHOUT_SCRIPTS).await;
    browser.goto(&format!("{site}/styled")).await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().any(|line| line.contains("Content Security Policy")), "{complaints:?}");
    browser.end().await;
}

#[tokio::test]
async fn what_can_not_be_loaded_or_goes_wrong_in_a_script_is_complained_about() {
    let (site, browser) = (site(), Browser::start(Options::default()).await);
    for path in ["broken", "nowhere"] {
        browser.goto(&format!("{site}/{path}")).await;
        let complaints = browser.complaints().await;
        assert!(complaints.len() == 1 && complaints[0].contains("404"), "{path}: {complaints:?}");
    }
    assert_eq!(browser.status().await, 404);
    browser.evaluate("console.warn('mind the gap')").await;
    browser.evaluate("void setTimeout(() => { throw new Error('thrown') })").await;
    browser.evaluate("new Promise(done => setTimeout(done, 1))").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().any(|line| line.contains("mind the gap")), "{complaints:?}");
    assert!(complaints.iter().any(|line| line.contains("thrown")), "{complaints:?}");
    browser.end().await;
}

#[tokio::test]
#[should_panic(expected = "the browser complained")]
async fn a_test_fails_for_complaints_that_it_did_not_expect() {
    let (site, browser) = (site(), Browser::start(Options::default()).await);
    browser.goto(&format!("{site}/styled")).await;
    browser.end().await;
}

#[tokio::test]
#[should_panic(expected = "a test ends its browser with `end`")]
async fn a_test_fails_that_does_not_ask_for_complaints() {
    drop(Browser::start(Options::default()).await);
}

#[tokio::test]
async fn cookies_are_shown_with_their_flags_and_can_be_forged() {
    let (site, browser) = (site(), Browser::start(Options::default()).await);
    browser.goto(&format!("{site}/cookies")).await;
    let mut cookies = browser.cookies().await;
    cookies.sort_by(|one, other| one.name.cmp(&other.name));
    let one = Cookie {
        name: "one".into(),
        value: "1".into(),
        path: "/".into(),
        domain: "127.0.0.1".into(),
        secure: true,
        http_only: true,
        same_site: "Strict".into(),
        expiry: None,
    };
    assert_eq!(cookies[0], one);
    assert_eq!(
        (cookies[1].http_only, cookies[1].secure, cookies[1].same_site.as_str()),
        (false, false, "Lax")
    );
    browser.set_cookie(&Cookie { value: "forged".into(), ..one }).await;
    browser.goto(&format!("{site}/seen")).await;
    assert_eq!(browser.text("p").await, "one=forged");
    browser.end().await;
}

#[tokio::test]
async fn a_download_comes_with_its_name() {
    let (site, browser) = (site(), Browser::start(Options::default()).await);
    browser.goto(&format!("{site}/good")).await;
    browser.click("a").await;
    assert_eq!(browser.downloaded().await, ("entries.csv".to_owned(), b"a,b\n1,2\n".to_vec()));
    browser.click("a").await;
    assert_eq!(browser.downloaded().await.1, b"a,b\n1,2\n");
    browser.end().await;
}

#[tokio::test]
async fn bytes_are_counted_with_all_that_the_page_loads() {
    let (site, browser) = (site(), Browser::start(Options::default()).await);
    browser.goto(&format!("{site}/large")).await;
    let large = browser.transferred().await;
    assert!((40_000..40_800).contains(&large), "{large}");
    browser.goto(&format!("{site}/good")).await;
    let good = browser.transferred().await;
    let bodies = u64::try_from(GOOD.len() + STYLE.len() + SCRIPT.len()).unwrap();
    assert!((bodies + 300..bodies + 1500).contains(&good), "{good} for {bodies}");
    // Nothing is in the cache, and a redirect counts too.
    browser.goto(&format!("{site}/moved")).await;
    let moved = browser.transferred().await;
    assert!(moved > good && moved < good + 400, "{moved} after {good}");
    assert!(browser.load_time().await.as_millis() < 5000);
    browser.end().await;
}

#[tokio::test]
async fn pictures_show_the_whole_page() {
    let (site, browser) = (site(), Browser::start(Options::default()).await);
    browser.goto(&format!("{site}/wide")).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("below/wide.png");
    browser.screenshot(&path, u32::MAX).await;
    let picture = std::fs::read(path).unwrap();
    // The header of a PNG: the width stands at byte 16.
    let width = u32::from_be_bytes(picture[16..20].try_into().unwrap());
    assert!((3000..3100).contains(&width), "{width}");
    assert!(browser.pdf().await.starts_with(b"%PDF-"));
    browser.end().await;
}

#[tokio::test]
async fn nothing_is_left_of_a_browser_whose_test_failed() {
    let processes = |folder: &str| {
        let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let lines = all.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(folder)).count()
    };
    let browser = Browser::start(Options::default()).await;
    let profile = browser.profile();
    assert!(processes(&profile) > 0);
    let failing = tokio::spawn(async move {
        let _browser = browser;
        panic!("as a test does that fails");
    });
    assert!(failing.await.is_err());
    for _ in 0..500 {
        if processes(&profile) == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{} processes are left", processes(&profile));
}
