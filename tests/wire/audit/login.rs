//! Logging in with a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Browser, SESSION};
use crate::support::World;

#[tokio::test]
async fn a_known_token_opens_a_session_and_another_is_told_so_on_the_page() {
    let world = World::start().await;
    let browser = Browser::new(&world);
    let form = browser.get("/audit/login").await;
    assert_eq!(form.status, 200);
    assert!(form.text.contains("name=\"token\"") && !form.text.contains("aria-invalid"));
    let long = "a".repeat(10_000);
    for wrong in ["", " ", "wrong", &world.token[1..], &long, "a\0b", "\u{202e}", "<script>alert(1)</script>"]
    {
        let page = browser.log_in(wrong, "/audit/keys").await;
        assert_eq!(page.status, 401, "{wrong:?}");
        assert!(
            page.text.contains("This token is not known here") && page.text.contains("value=\"/audit/keys\"")
        );
        assert!(wrong.trim().len() < 6 || !page.text.contains(wrong), "{wrong:?} comes back");
        assert_eq!(browser.cookie(SESSION), None, "{wrong:?}");
    }
    for body in ["", "tok=a", "token", "token=a&token=b", "next=/audit", "token=%ff"] {
        let request =
            browser.request(reqwest::Method::POST, "/audit/login").header("Sec-Fetch-Site", "same-origin");
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let page = browser.send(request.body(body)).await;
        assert!(matches!(page.status, 400 | 401), "{body}: {}", page.status);
        assert_eq!(browser.cookie(SESSION), None, "{body}");
    }
    let json = browser.request(reqwest::Method::POST, "/audit/login").header("Sec-Fetch-Site", "same-origin");
    browser
        .send(json.json(&serde_json::json!({"token": world.token})))
        .await
        .assert_problem(400, "invalid-request");
    let large = "a".repeat(20 << 20);
    browser.log_in(&large, "").await.assert_problem(400, "invalid-request");

    let around = format!(" \t{}\r\n", world.token);
    assert_eq!(browser.log_in(&around, "").await.location(), "/audit", "white space is not the token's");
    assert!(browser.is_logged_in().await);
    assert_eq!(browser.get("/audit/login?next=/audit/keys").await.location(), "/audit/keys");
}

#[tokio::test]
async fn each_log_in_is_a_session_of_its_own_that_nobody_can_choose() {
    let world = World::start().await;
    let browser = Browser::new(&world);
    let chosen = URL_SAFE_NO_PAD.encode([7; 32]);
    browser.set_cookie(SESSION, &chosen);
    let mut seen = vec![chosen.clone()];
    for _ in 0..3 {
        assert_eq!(browser.log_in(&world.token, "").await.status, 303);
        let cookie = browser.cookie(SESSION).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(&cookie).unwrap().len(), 32);
        assert!(!seen.contains(&cookie), "{cookie}");
        seen.push(cookie);
    }
    let other = Browser::new(&world);
    other.set_cookie(SESSION, &chosen);
    assert!(!other.is_logged_in().await, "the chosen one was taken over");
}

#[tokio::test]
async fn after_logging_in_the_browser_goes_to_one_of_our_own_pages_alone() {
    let world = World::start().await;
    for (next, goes) in [
        ("/audit/search?q=a%2Fb&kind=refusal", "/audit/search?q=a%2Fb&kind=refusal"),
        ("/audit/entries/7", "/audit/entries/7"),
        ("", "/audit"),
        ("https://evil.example/audit", "/audit"),
        ("//evil.example/audit", "/audit"),
        ("/\\evil.example/audit", "/audit"),
        ("/audit//evil.example", "/audit"),
        ("/audit/../v1/keys", "/audit"),
        ("/audit/%2e%2E/v1/keys", "/audit"),
        ("/audit\\..\\docs", "/audit"),
        ("/auditor", "/audit"),
        ("/audit/login?next=/audit", "/audit"),
        ("/audit/logout", "/audit"),
        ("javascript:alert(1)", "/audit"),
        ("/audit\r\nSet-Cookie: a=b", "/audit"),
        ("/audit/\u{202e}", "/audit"),
        ("\"><script>alert(1)</script>", "/audit"),
    ] {
        let browser = Browser::new(&world);
        let page = browser.log_in(&world.token, next).await;
        assert_eq!((page.status, page.location()), (303, goes), "{next}");
        assert_eq!(page.headers.get_all("set-cookie").iter().count(), 1, "{next}");
    }
    // Who was on the way to a page goes on there.
    let browser = Browser::new(&world);
    let page = browser.get("/audit/search?q=a%2Fb&kind=refusal").await;
    assert_eq!(page.location(), "/audit/login?next=%2Faudit%2Fsearch%3Fq%3Da%252Fb%26kind%3Drefusal");
    let form = browser.get(page.location()).await;
    assert!(form.text.contains("value=\"/audit/search?q=a%2Fb&#38;kind=refusal\""), "{}", form.text);
}

#[tokio::test]
async fn neither_the_token_nor_the_sessions_secret_is_seen_anywhere() {
    let mut world = World::start().await;
    let browser = Browser::of(&world, &world.token).await;
    let cookie = browser.cookie(SESSION).unwrap();
    let secret = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
    let mut shown = Vec::new();
    for path in
        ["/audit", "/audit/search", "/audit/keys", "/audit/refusals", "/audit/signatures", "/audit/none"]
    {
        let page = browser.get(path).await;
        shown.push(format!("{:?} {}", page.headers, page.text));
    }
    let failed = browser.log_in(&format!("{}x", world.token), "").await;
    shown.push(format!("{:?} {}", failed.headers, failed.text));
    assert_eq!(browser.get("/audit/login?notice=over").await.status, 200);
    world.logs("answered").await;
    world.signet.terminate();
    world.signet.wait().await;
    shown.extend(world.signet.log_lines());
    for text in &shown {
        for word in [&world.token, &cookie, &hex::encode(&secret)] {
            assert!(!text.contains(word), "{word} is in {text}");
        }
    }
    let mut looked = 0;
    for file in std::fs::read_dir(world.directory.path()).unwrap().map(Result::unwrap) {
        if !file.file_name().to_str().unwrap().starts_with("signet.db") {
            continue;
        }
        let bytes = std::fs::read(file.path()).unwrap();
        looked += bytes.len();
        for word in [world.token.as_bytes(), cookie.as_bytes(), &secret, hex::encode(&secret).as_bytes()] {
            let found = bytes.windows(word.len()).any(|window| window == word);
            assert!(!found, "{} is in {:?}", String::from_utf8_lossy(word), file.file_name());
        }
    }
    assert!(looked > 10_000, "the log's files");
}

#[tokio::test]
async fn who_logs_in_again_and_again_has_to_wait_and_nobody_else() {
    let world = World::start().await;
    let browser = Browser::new(&world);
    for _ in 0..60 {
        assert_eq!(browser.log_in(&world.token, "").await.status, 303);
    }
    let last = browser.cookie(SESSION);
    let page = browser.log_in(&world.token, "").await;
    page.assert_problem(429, "rate-limited");
    assert_eq!(page.headers["retry-after"], "3600");
    assert_eq!(browser.cookie(SESSION), last);
    assert!(browser.is_logged_in().await, "the session that is open stays");
    assert_eq!(Browser::new(&world).log_in(&world.outsider, "").await.status, 303);
}
