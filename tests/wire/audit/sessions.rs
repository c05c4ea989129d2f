//! Sessions that are none, or are over.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::Connection;
use serde_json::json;

use super::{Browser, SESSION, token_section};
use crate::support::World;
use crate::support::issuer::{AUDIENCE, Issuer, SigningKey, now};
use crate::support::world::Settings;

#[tokio::test]
async fn what_is_no_session_leads_to_where_one_logs_in() {
    let world = World::start().await;
    let right = Browser::of(&world, &world.token).await.cookie(SESSION).unwrap();
    let get = async |lines: &[String]| {
        let browser = Browser::new(&world);
        let request = browser.request(reqwest::Method::GET, "/audit/search?q=a");
        let request = lines.iter().fold(request, |request, line| request.header("Cookie", line));
        browser.send(request).await
    };
    let cookie = |value: &str| format!("{SESSION}={value}");
    assert_eq!(get(&[cookie(&right)]).await.status, 200, "the right one is let in");
    let mut flipped = URL_SAFE_NO_PAD.decode(&right).unwrap();
    flipped[31] ^= 1;
    for lines in [
        vec![],
        vec![cookie("")],
        vec![cookie(&URL_SAFE_NO_PAD.encode([0; 32]))],
        vec![cookie(&URL_SAFE_NO_PAD.encode(&flipped))],
        vec![cookie(&right[..40])],
        vec![cookie(&format!("{right}AA"))],
        vec![cookie(&format!("{right}="))],
        vec![cookie(&format!("\"{right}\""))],
        vec![cookie("not base64!")],
        vec![cookie(&"a".repeat(10_000))],
        vec![cookie("' OR 1=1 --")],
        vec![format!("{}; {}", cookie(&right), cookie(&right))],
        vec![cookie(&right), cookie("x")],
        vec![format!("signet-session={right}")],
        vec![format!("__host-signet-session={right}")],
        vec![format!("x{SESSION}={right}")],
    ] {
        let page = get(&lines).await;
        assert_eq!(page.status, 303, "{lines:?}");
        assert!(page.location().starts_with("/audit/login?next=%2Faudit%2Fsearch%3Fq%3Da"), "{lines:?}");
        assert!(!page.text.contains(&right));
    }
}

#[tokio::test]
async fn without_a_session_no_page_says_anything_of_the_log() {
    let world = World::start().await;
    let browser = Browser::new(&world);
    for path in [
        "/audit",
        "/audit/search",
        "/audit/refusals",
        "/audit/export?format=csv",
        "/audit/entries/0",
        "/audit/entries/0/bytes",
        "/audit/entries/0/proof",
        "/audit/entries/none",
        "/audit/signatures",
        "/audit/signatures/017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "/audit/keys",
        "/audit/keys/none",
    ] {
        let page = browser.get(path).await;
        assert_eq!((page.status, page.text.as_str()), (303, ""), "{path}");
        assert!(page.location().starts_with("/audit/login"), "{path}");
    }
    assert!(
        world.entries("kind=read&decision=allow").await.iter().all(|entry| entry["principal"] == "token:ci")
    );
}

#[tokio::test]
async fn who_has_logged_out_is_out_wherever_the_cookie_was_copied_to() {
    let mut world = World::start().await;
    let (browser, other) = (Browser::of(&world, &world.token).await, Browser::of(&world, &world.token).await);
    let copy = Browser::new(&world);
    copy.set_cookie(SESSION, &browser.cookie(SESSION).unwrap());
    assert!(copy.is_logged_in().await);
    let page = browser.post("/audit/logout", &[("csrf", &browser.csrf().await)]).await;
    assert_eq!((page.status, page.location()), (303, "/audit/login?notice=bye"));
    assert_eq!(browser.cookie(SESSION), None, "the browser forgets it");
    assert!(!copy.is_logged_in().await);
    assert!(other.is_logged_in().await, "another session of the same principal goes on");
    world.restart();
    for (browser, is_in) in [(copy, false), (other, true)] {
        let again = Browser::new(&world);
        again.set_cookie(SESSION, &browser.cookie(SESSION).unwrap());
        assert_eq!(again.is_logged_in().await, is_in, "after a restart");
    }
}

/// Changes what Signet keeps of sessions, while it runs: when it starts, it forgets those that are over.
fn change(world: &World, sql: &str) {
    let connection = Connection::open(world.directory.path().join("signet.db")).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
}

#[tokio::test]
async fn a_session_is_over_when_it_lay_unused_and_when_its_time_has_come() {
    const MINUTE: u64 = 60_000_000;
    let lines = "[audit]\nidle_timeout = '30m'\nsession_lifetime = '8h'\n";
    let world = World::with(Settings { sections: lines.to_owned(), ..Settings::default() }).await;
    for (sql, is_in) in [
        (format!("UPDATE sessions SET seen = seen - {}", 28 * MINUTE), true),
        (format!("UPDATE sessions SET seen = seen - {}", 30 * MINUTE), false),
        (format!("UPDATE sessions SET until = until - {}", 478 * MINUTE), true),
        (format!("UPDATE sessions SET until = until - {}", 480 * MINUTE), false),
        ("UPDATE sessions SET content = '{}'".replace("'{}'", "x'7b7d'"), false),
        ("UPDATE sessions SET id = zeroblob(32)".to_owned(), false),
    ] {
        let cookie = Browser::of(&world, &world.token).await.cookie(SESSION).unwrap();
        change(&world, &sql);
        let browser = Browser::new(&world);
        browser.set_cookie(SESSION, &cookie);
        let page = browser.get("/audit/keys").await;
        if is_in {
            assert_eq!(page.status, 200, "{sql}");
        } else {
            assert_eq!(page.location(), "/audit/login?next=%2Faudit%2Fkeys&notice=over", "{sql}");
        }
        let _ = Connection::open(world.directory.path().join("signet.db"))
            .unwrap()
            .execute("DELETE FROM sessions", []);
    }
}

#[tokio::test]
async fn a_session_ends_with_the_token_that_it_was_opened_with() {
    let section = token_section("guest", "a-token-of-a-guest");
    let mut world = World::with(Settings { sections: section.clone(), ..Settings::default() }).await;
    world.write_policy("  - {id: guests, effect: allow, identity: {token: guest}, operations: [log.read]}\n");
    world.restart();
    let kept = Browser::of(&world, &world.token).await.cookie(SESSION).unwrap();
    for (replacement, was) in [
        (String::new(), "removed"),
        (format!("{section}expires = '2020-01-01T00:00:00Z'\n"), "expired"),
        (token_section("guest", "another-token"), "replaced"),
        (token_section("other", "a-token-of-a-guest"), "another's"),
    ] {
        let cookie = Browser::of(&world, "a-token-of-a-guest").await.cookie(SESSION).unwrap();
        world.reconfigure(|text| text.replace(&section, &replacement));
        for (cookie, is_in) in [(&cookie, false), (&kept, true)] {
            let browser = Browser::new(&world);
            browser.set_cookie(SESSION, cookie);
            assert_eq!(browser.is_logged_in().await, is_in, "{was}");
        }
        if was != "another's" {
            let page = Browser::new(&world).log_in("a-token-of-a-guest", "").await;
            assert_eq!(page.status, 401, "{was}");
        }
        world.reconfigure(|text| {
            if replacement.is_empty() { text + &section } else { text.replace(&replacement, &section) }
        });
        let browser = Browser::new(&world);
        browser.set_cookie(SESSION, &cookie);
        assert!(!browser.is_logged_in().await, "what is over does not come back: {was}");
    }
}

#[tokio::test]
async fn a_session_lasts_no_longer_than_the_issuers_token_that_was_pasted() {
    let issuer = Issuer::start().await;
    let key = SigningKey::ec("k");
    issuer.publish([key.jwk()]);
    let lines = vec![("identity", format!("audience = '{AUDIENCE}'"))];
    let sections = issuer.section("corp", "algorithms = ['ES256']\nclock_skew = '1ms'");
    let mut world = World::with(Settings { lines, sections, ..Settings::default() }).await;
    world.write_policy("  - {id: corp, effect: allow, identity: {issuer: corp, claims: {team: audit}}, operations: [log.read]}\n");
    world.restart();
    let mut claims = issuer.claims();
    let end = now() + 120;
    (claims["team"], claims["exp"]) = (json!("audit"), json!(end));
    let browser = Browser::of(&world, &key.sign(&claims)).await;
    assert!(browser.is_logged_in().await);
    world.signet.terminate();
    world.signet.wait().await;
    let connection = Connection::open(world.directory.path().join("signet.db")).unwrap();
    let until: i64 = connection.query_row("SELECT until FROM sessions", [], |row| row.get(0)).unwrap();
    assert_eq!(until, end * 1_000_000);
}
