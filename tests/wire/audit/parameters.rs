//! Every page with everything that nobody means in each of its parameters.

use serde_json::json;

use super::{Browser, escaped};
use crate::support::World;

/// Each page with the parameters that it knows. Whoever adds one says so here.
const PAGES: [(&str, &[&str]); 13] = [
    ("/audit", &[]),
    ("/audit/search", &["q", "kind", "decision", "operation", "from", "to", "page", "size"]),
    ("/audit/refusals", &["q", "kind", "decision", "operation", "from", "to", "page", "size"]),
    ("/audit/signatures", &["q", "state", "from", "to", "begin", "size"]),
    ("/audit/signatures/{id}", &[]),
    ("/audit/entries/0", &[]),
    ("/audit/entries/0/bytes", &[]),
    ("/audit/entries/0/proof", &[]),
    ("/audit/keys", &[]),
    ("/audit/keys/{key}", &["version", "from", "to", "begin", "size"]),
    (
        "/audit/export",
        &[
            "format",
            "from_index",
            "after",
            "size",
            "digest",
            "repository",
            "principal",
            "key",
            "key_version",
            "kind",
            "operation",
            "rule",
            "request_id",
            "decision",
            "from",
            "to",
        ],
    ),
    ("/audit/login", &["next", "notice"]),
    ("/audit/login/callback", &["code", "state", "error", "iss"]),
];

/// Pages with a part of the path that somebody chooses.
const PATHS: [&str; 7] = [
    "/audit/entries/{}",
    "/audit/entries/{}/bytes",
    "/audit/entries/{}/proof",
    "/audit/signatures/{}",
    "/audit/keys/{}",
    "/audit/assets/{}",
    "/audit/{}",
];

const SCRIPT: &str = "<script>alert(1)</script>";
const IMAGE: &str = "\"><img src=x onerror=alert(1)>";

fn attacks() -> Vec<String> {
    let long = "a".repeat(10_000);
    [
        SCRIPT,
        IMAGE,
        "' onfocus=alert(1) autofocus='",
        "javascript:alert(1)",
        "{{7*7}}${7*7}",
        "' OR 1=1 --",
        "x'; DROP TABLE entries; --",
        &long,
        "\0",
        "a\0b\r\nSet-Cookie: a=b\u{7f}\u{1b}[2J",
        "\u{202e}evil\u{2066}\u{200b}\u{feff}",
        "../../etc/passwd",
        "..\\..\\etc\\passwd",
        "-1",
        "0",
        "99999999999999999999999999",
        "18446744073709551615",
        "18446744073709551614",
        "9223372036854775808",
        "1e9",
        "+1",
        " 1",
        "٣",
        "9999-12-31",
        "-009999-01-01",
        "2026-02-30",
        "2026-01-01T00:00:00Z",
        "sha256:",
        "r.example.com/a/b:<b>\u{202e}",
        "r.example.com/<b>/**",
        "rule:<b>",
        "principal:<script>alert(1)</script>",
        "key:\"><img src=x onerror=alert(1)> v3",
        "entry:18446744073709551615",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Nothing of what was sent stands in the page as markup, and nothing but text turns the direction.
#[track_caller]
fn assert_harmless(what: &str, text: &str) {
    for markup in
        [SCRIPT, "<img", "<b>", "onerror=alert(1)>", "' onfocus", "alert(1)</script", "href=\"javascript"]
    {
        assert!(!text.contains(markup), "{what}: {markup} in {text}");
    }
    assert!(!text.contains("root:x:"), "{what}");
}

#[tokio::test]
async fn no_parameter_of_any_page_is_an_error_of_ours_or_comes_back_as_markup() {
    let world = World::start().await;
    let image = world.push_image().await;
    let signed = world.sign_image(&image).await;
    assert_eq!(signed.status, 201);
    world.searched("/v1/log/entries?limit=1").await;
    let id = signed.body["id"].as_str().unwrap();
    let browser = Browser::of(&world, &world.token).await;
    for (path, parameters) in PAGES {
        let path = path.replace("{id}", id).replace("{key}", &world.key);
        let plain = browser.get(&path).await;
        assert!(matches!(plain.status, 200 | 303 | 404), "{path}: {}", plain.text);
        for name in parameters.iter().chain(&["unknown"]) {
            for attack in attacks() {
                let mut query = format!("{name}={}", escaped(&attack));
                if path.contains("/keys/") && *name != "version" {
                    query.push_str("&version=1");
                }
                let page = browser.get(&format!("{path}?{query}")).await;
                let what = format!("{path} {name} {attack:.60}");
                assert!(
                    matches!(page.status, 200 | 303 | 400 | 404 | 410),
                    "{what}: {} {}",
                    page.status,
                    page.text
                );
                if page.status == 303 {
                    let location = page.location();
                    assert!(
                        location.starts_with("/audit") && !location.starts_with("/audit//"),
                        "{what}: {location}"
                    );
                    assert!(page.text.is_empty());
                }
                // A file is nothing that a browser shows, and its entries tell of what was asked.
                if path != "/audit/export" || page.status != 200 {
                    assert_harmless(&what, &page.text);
                    assert!(page.text.len() < 150_000, "{what}: {}", page.text.len());
                }
            }
            // Twice, in two ways, and with what is no UTF-8.
            for query in [
                format!("{name}=1&{name}=2"),
                format!("{name}=%ff%fe"),
                (*name).to_owned(),
                format!("{name}=%"),
                format!("{name}[]=1"),
            ] {
                let page = browser.get(&format!("{path}?{query}")).await;
                assert!(
                    matches!(page.status, 200 | 303 | 400 | 404),
                    "{path}?{query}: {} {}",
                    page.status,
                    page.text
                );
            }
        }
    }
    assert!(browser.is_logged_in().await);
    assert!(!world.entries("kind=outcome").await.is_empty(), "the log is as it was");
}

#[tokio::test]
async fn no_path_is_an_error_of_ours_or_comes_back_as_markup() {
    let world = World::start().await;
    let browser = Browser::of(&world, &world.token).await;
    for path in PATHS {
        for attack in attacks() {
            let page = browser.get(&path.replace("{}", &escaped(&attack))).await;
            let what = format!("{path} {attack:.60}");
            assert!(matches!(page.status, 200 | 400 | 404), "{what}: {} {}", page.status, page.text);
            assert!(page.status != 200 || path.starts_with("/audit/entries"), "{what}");
            assert_harmless(&what, &page.text);
            assert!(
                !page.text.contains('\u{202e}') && !page.text.contains('\u{2066}'),
                "{what}: {}",
                page.text
            );
        }
        for raw in ["%ff", "%00", "%", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a%2fb", "%zz"] {
            let page = browser.get(&path.replace("{}", raw)).await;
            assert!(matches!(page.status, 400 | 404), "{path} {raw}: {} {}", page.status, page.text);
        }
    }
    for path in
        ["/audit/", "/audit//", "/audit/assets/", "/audit/keys/", "/audit/entries/0/x", "/audit/search/"]
    {
        browser.get(path).await.assert_problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_question_that_can_not_be_meant_is_answered_on_its_page_with_what_to_write() {
    let world = World::start().await;
    let browser = Browser::of(&world, &world.token).await;
    for (path, says) in [
        ("/audit/search?q=%27+OR+1%3D1+--", "Write a digest"),
        ("/audit/search?q=r.example.com/a%E2%80%AEb:v1", "⟨U+202E⟩b"),
        ("/audit/search?kind=all", "`kind`"),
        ("/audit/search?decision=maybe", "`decision`"),
        ("/audit/search?operation=steal", "`operation`"),
        ("/audit/search?from=yesterday", "`from`"),
        ("/audit/search?from=2026-02-01&to=2026-01-01", "`from`"),
        ("/audit/refusals?q=sha256:12", "64 lower-case"),
        ("/audit/signatures?q=rule:x", "search the entries"),
        ("/audit/signatures?state=lost", "choose one of the list"),
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 400, "{path}");
        let (_, rest) =
            page.text.split_once("role=\"alert\">").unwrap_or_else(|| panic!("{path}: {}", page.text));
        let notice = rest.split_once("</p>").unwrap().0;
        assert!(notice.contains(says) && !notice.contains('\u{202e}'), "{path}: {notice}");
    }
    for path in [
        "/audit/search?page=-1",
        "/audit/search?size=x",
        "/audit/search?q=a&q=b",
        "/audit/refusals?page=18446744073709551616",
        "/audit/signatures?begin=x",
        "/audit/signatures/none",
        "/audit/entries/first",
        "/audit/export?colour=red",
        "/audit/export?format=exe",
        "/audit/login?next=a&next=b",
    ] {
        browser.get(path).await.assert_problem(400, "invalid-request");
    }
    let key = format!("/audit/keys/{}", world.key);
    for query in
        ["version=0", "version=-1", "version=x", "version=4294967296", "version=1&from=x", "begin=-1"]
    {
        browser.get(&format!("{key}?{query}")).await.assert_problem(400, "invalid-request");
    }
}

#[tokio::test]
async fn the_next_page_of_another_is_ones_own() {
    let world = World::start().await;
    for number in 0..3 {
        let digest = signet::domain::Digest::of(&[number]).to_string();
        assert_eq!(world.sign_blob(json!({"digest": digest})).await.status, 201);
    }
    world.searched("/v1/log/entries?limit=1").await;
    let browser = Browser::of(&world, &world.token).await;
    for (page, size) in [
        ("0", "1"),
        ("2", "1000000"),
        ("18446744073709551615", "3"),
        ("0", "18446744073709551615"),
        ("1", "0"),
    ] {
        let answer = browser.get(&format!("/audit/search?page={page}&size={size}")).await;
        assert!(matches!(answer.status, 200 | 400), "{page} {size}: {}", answer.text);
        let answer = browser.get(&format!("/audit/signatures?begin={page}&size={size}")).await;
        assert!(matches!(answer.status, 200 | 400), "{page} {size}: {}", answer.text);
    }
}
