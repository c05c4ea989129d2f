//! Logging in at a provider that answers as it should, and as it should not.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{Browser, Page, SESSION};
use crate::support::World;
use crate::support::issuer::{Issuer, SigningKey, now};
use crate::support::world::Settings;

const LOGIN: &str = "__Host-signet-login";
const CODE: &str = "a-code-of-the-provider-4711";
const SECRET: &str = "a-client-secret-of-this-test";

struct Setting {
    world: World,
    issuer: Issuer,
    key: SigningKey,
}

/// A log-in that has begun.
struct Begun {
    browser: Browser,
    /// What the provider was sent.
    asked: BTreeMap<String, String>,
}

impl Setting {
    async fn start() -> Self {
        let issuer = Issuer::start().await;
        let key = SigningKey::ec("k");
        issuer.publish([key.jwk()]);
        let lines = vec![
            ("http", "public_url = 'https://signet.example.com'".to_owned()),
            ("identity", "audience = 'signet-audit'".to_owned()),
        ];
        let login = format!(
            "[audit.login]\nissuer = 'corp'\nclient_id = 'signet-audit'\nclient_secret = '{SECRET}'\n"
        );
        let sections = issuer.section("corp", "algorithms = ['ES256']\nclock_skew = '1ms'") + &login;
        let mut world = World::with(Settings { lines, sections, ..Settings::default() }).await;
        world.write_policy("  - {id: people, effect: allow, identity: {issuer: corp, claims: {groups: auditors}}, operations: [log.read]}\n");
        world.restart();
        Self { world, issuer, key }
    }

    async fn begin(&self, next: &str) -> Begun {
        let browser = Browser::new(&self.world);
        let page = browser.get(&format!("/audit/login/start?next={}", super::escaped(next))).await;
        assert_eq!(page.status, 303, "{}", page.text);
        let url: Url = page.location().parse().unwrap();
        assert!(url.as_str().starts_with(&format!("{}/authorize?", self.issuer.url)), "{url}");
        let asked = url.query_pairs().into_owned().collect();
        Begun { browser, asked }
    }

    /// What a right ID token says.
    fn claims(&self, begun: &Begun) -> Value {
        let mut claims = self.issuer.claims();
        (claims["aud"], claims["nonce"]) = (json!("signet-audit"), json!(begun.asked["nonce"]));
        (claims["sub"], claims["groups"]) = (json!("alice"), json!(["auditors"]));
        claims
    }

    fn give(&self, claims: &Value) {
        let answer = json!({"access_token": "x", "token_type": "Bearer", "id_token": self.key.sign(claims)});
        self.issuer.give_token(200, &answer.to_string());
    }

    /// The browser comes back.
    async fn come_back(&self, begun: &Begun, query: &str) -> Page {
        let request = begun.browser.request(reqwest::Method::GET, &format!("/audit/login/callback?{query}"));
        begun.browser.send(request.header("Sec-Fetch-Site", "cross-site")).await
    }

    /// Nobody is logged in, and this log-in is over.
    #[track_caller]
    fn assert_not(&self, what: &str, begun: &Begun, page: &Page) {
        assert_eq!(page.status, 303, "{what}: {}", page.text);
        assert_eq!(page.location(), "/audit/login?notice=provider", "{what}");
        assert_eq!(begun.browser.cookie(SESSION), None, "{what}");
        assert_eq!(begun.browser.cookie(LOGIN), None, "{what}");
    }
}

fn right(begun: &Begun) -> String {
    format!("code={CODE}&state={}", begun.asked["state"])
}

#[tokio::test]
async fn whom_the_provider_vouches_for_is_logged_in_and_goes_on_where_they_were() {
    let setting = Setting::start().await;
    let begun = setting.begin("/audit/search?kind=outcome&q=").await;
    let asked = &begun.asked;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "signet-audit"),
        ("redirect_uri", "https://signet.example.com/audit/login/callback"),
        ("code_challenge_method", "S256"),
        ("scope", "openid"),
    ] {
        assert_eq!(asked[name], value, "{asked:?}");
    }
    setting.give(&setting.claims(&begun));
    let page = setting.come_back(&begun, &right(&begun)).await;
    assert_eq!(page.status, 200, "{}", page.text);
    // No redirect: on the way from another site, the session's cookie would not be sent.
    assert!(page.text.contains("content=\"0;url=/audit/search?kind=outcome&#38;q=\""), "{}", page.text);
    assert_eq!(begun.browser.cookie(LOGIN), None, "it is good for one log-in");
    let page = begun.browser.get("/audit").await;
    assert!(page.status == 200 && page.text.contains("oidc:corp:alice"), "{}", page.text);

    let forms = setting.issuer.forms();
    assert_eq!(forms.len(), 1);
    let form: BTreeMap<String, String> =
        url::form_urlencoded::parse(forms[0].as_bytes()).into_owned().collect();
    assert_eq!((form["code"].as_str(), form["grant_type"].as_str()), (CODE, "authorization_code"));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    assert_eq!(challenge, asked["code_challenge"]);
    // Coming back once more is no second log-in.
    begun.browser.cookies.borrow_mut().clear();
    setting.assert_not("again", &begun, &setting.come_back(&begun, &right(&begun)).await);
    assert_eq!(setting.issuer.forms().len(), 1, "the code is not sent again");

    setting.world.logs("no log-in of this browser is under way").await;
    let id_token = setting.key.sign(&setting.claims(&begun));
    let lines = setting.world.signet.log_lines().join("\n");
    let (_, signature) = id_token.rsplit_once('.').unwrap();
    for word in [CODE, SECRET, &form["code_verifier"], &asked["state"], &asked["nonce"], signature] {
        assert!(!lines.contains(word), "{word} is in {lines}");
    }
}

#[tokio::test]
async fn an_answer_to_another_log_in_or_to_none_logs_nobody_in() {
    let setting = Setting::start().await;
    let other = setting.begin("").await;
    let elsewhere = super::escaped("https://evil.example");
    for (what, query, reason) in [
        ("no state", format!("code={CODE}"), "the answer to another log-in"),
        ("a wrong state", format!("code={CODE}&state=wrong"), "the answer to another log-in"),
        ("another browser's", right(&other), "the answer to another log-in"),
        ("an empty state", format!("code={CODE}&state="), "the answer to another log-in"),
        ("nothing", String::new(), "the answer to another log-in"),
        ("no code", "state={state}".to_owned(), "there is no code"),
        ("an error", "state={state}&error=access_denied".to_owned(), "the provider says access_denied"),
        ("an error with a code", format!("state={{state}}&error=x&code={CODE}"), "the provider says x"),
        (
            "an error as markup",
            "state={state}&error=%3Cscript%3E%0Aalert(1)%E2%80%AE".to_owned(),
            "says <script>alert(1)",
        ),
        (
            "another provider's",
            format!("state={{state}}&code={CODE}&iss={elsewhere}"),
            "another provider has given it",
        ),
        ("two states", format!("state={{state}}&state={{state}}&code={CODE}"), "the answer can not be read"),
        ("two codes", format!("state={{state}}&code={CODE}&code=b"), "the answer can not be read"),
    ] {
        let begun = setting.begin("").await;
        setting.give(&setting.claims(&begun));
        let query = query.replace("{state}", &begun.asked["state"]);
        let page = setting.come_back(&begun, &query).await;
        setting.assert_not(what, &begun, &page);
        setting.world.logs(reason).await;
    }
    let right_cookie = other.browser.cookie(LOGIN).unwrap();
    for cookie in [None, Some(""), Some("e30"), Some("not base64!"), Some(&right_cookie[1..])] {
        let begun = setting.begin("").await;
        begun.browser.cookies.borrow_mut().clear();
        if let Some(cookie) = cookie {
            begun.browser.set_cookie(LOGIN, cookie);
        }
        setting.assert_not("no cookie", &begun, &setting.come_back(&begun, &right(&begun)).await);
    }
    // With both, which one counts would be a guess.
    let request =
        other.browser.request(reqwest::Method::GET, &format!("/audit/login/callback?{}", right(&other)));
    let page = other.browser.send(request.header("Cookie", format!("{LOGIN}={right_cookie}"))).await;
    setting.assert_not("two cookies", &other, &page);
    assert_eq!(setting.issuer.forms(), [] as [String; 0], "nobody was asked for a token");
    let page = other.browser.get("/audit/login?notice=provider").await;
    assert!(page.text.contains("The provider did not log you in"), "{}", page.text);
}

#[tokio::test]
async fn an_id_token_that_is_not_of_this_log_in_logs_nobody_in() {
    let setting = Setting::start().await;
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 11] = [
        ("another nonce", |claims| claims["nonce"] = json!("other"), "of another log-in"),
        ("no nonce", |claims| drop(claims.as_object_mut().unwrap().remove("nonce")), "of another log-in"),
        ("a nonce that is no text", |claims| claims["nonce"] = json!([claims["nonce"]]), "of another log-in"),
        ("another's", |claims| claims["aud"] = json!("other"), "the ID token is not taken"),
        (
            "no audience",
            |claims| drop(claims.as_object_mut().unwrap().remove("aud")),
            "the ID token is not taken",
        ),
        ("another was authorized", |claims| claims["azp"] = json!("other"), "another client was authorized"),
        ("azp is no text", |claims| claims["azp"] = json!(["other"]), "another client was authorized"),
        (
            "expired",
            |claims| {
                (claims["iat"], claims["nbf"], claims["exp"]) =
                    (json!(now() - 60), json!(now() - 60), json!(now() - 1))
            },
            "the ID token is not taken",
        ),
        ("of the future", |claims| claims["nbf"] = json!(now() + 600), "the ID token is not taken"),
        (
            "another issuer's",
            |claims| claims["iss"] = json!("https://evil.example"),
            "the ID token is not taken",
        ),
        (
            "of nobody",
            |claims| drop(claims.as_object_mut().unwrap().remove("sub")),
            "the ID token is not taken",
        ),
    ];
    for (what, change, reason) in cases {
        let begun = setting.begin("").await;
        let mut claims = setting.claims(&begun);
        change(&mut claims);
        setting.give(&claims);
        let page = setting.come_back(&begun, &right(&begun)).await;
        setting.assert_not(what, &begun, &page);
        setting.world.logs(reason).await;
    }
    let begun = setting.begin("").await;
    let forged = SigningKey::ec("k").sign(&setting.claims(&begun));
    let answer = json!({"access_token": "x", "token_type": "Bearer", "id_token": forged});
    setting.issuer.give_token(200, &answer.to_string());
    setting.assert_not("another key", &begun, &setting.come_back(&begun, &right(&begun)).await);

    // The same, with nothing wrong.
    let begun = setting.begin("").await;
    let mut claims = setting.claims(&begun);
    (claims["azp"], claims["aud"]) = (json!("signet-audit"), json!(["signet-audit", "other"]));
    setting.give(&claims);
    assert_eq!(setting.come_back(&begun, &right(&begun)).await.status, 200);
    assert!(begun.browser.is_logged_in().await);
}

#[tokio::test]
async fn a_provider_that_answers_junk_logs_nobody_in_and_is_quoted_nowhere() {
    let setting = Setting::start().await;
    let long = "x".repeat(3 << 20);
    let echo = json!({"error": "invalid_grant", "error_description": format!("the code {CODE} is {SECRET}")})
        .to_string();
    let unknown = json!({"error": format!("code {CODE}")}).to_string();
    for (status, body) in [
        (200, ""),
        (200, "<html>"),
        (200, "{}"),
        (200, "{\"access_token\":\"x\",\"token_type\":\"Bearer\"}"),
        (200, "{\"access_token\":\"x\",\"token_type\":\"Bearer\",\"id_token\":7}"),
        (200, "{\"access_token\":\"x\",\"token_type\":\"Bearer\",\"id_token\":\"a.b.c\"}"),
        (200, &long),
        (400, &echo),
        (400, &unknown),
        (500, ""),
        (302, ""),
        (404, "no"),
    ] {
        let begun = setting.begin("").await;
        setting.issuer.give_token(status, body);
        let page = setting.come_back(&begun, &right(&begun)).await;
        setting.assert_not(&format!("{status} {body:.60}"), &begun, &page);
    }
    let lines = setting.world.signet.log_lines().join("\n");
    for word in [CODE, SECRET] {
        assert!(!lines.contains(word), "{word} is in {lines}");
    }
    for form in setting.issuer.forms() {
        let verifier = form.split_once("code_verifier=").unwrap().1.split('&').next().unwrap();
        assert!(!lines.contains(verifier));
    }
}

#[tokio::test]
async fn a_provider_that_can_not_be_reached_is_said_to_be_so() {
    let issuer = Issuer::start().await;
    let section = issuer.section("corp", "algorithms = ['ES256']");
    let lines = vec![
        ("http", "public_url = 'https://signet.example.com'".to_owned()),
        ("identity", "audience = 'signet-audit'".to_owned()),
    ];
    let nowhere = section.replace(&issuer.url, "https://localhost:1");
    let sections = nowhere + "[audit.login]\nissuer = 'corp'\nclient_id = 'signet-audit'\n";
    let world = World::with(Settings { lines, sections, ..Settings::default() }).await;
    let browser = Browser::new(&world);
    browser.get("/audit/login/start").await.assert_problem(502, "login-unavailable");
    assert_eq!(browser.cookie(LOGIN), None);
    // Tokens still open sessions.
    assert_eq!(browser.log_in(&world.token, "").await.status, 303);
}
