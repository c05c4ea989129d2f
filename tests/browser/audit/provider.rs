//! Logging in at a provider, which is another site than Signet.

use url::Url;

use super::open;
use crate::support::browser::{Browser, Options};
use crate::support::oidc_provider::Person;
use crate::support::world::Settings;
use crate::support::{OidcProvider, World};

/// A Signet whose readers are the members of the group `auditors`.
async fn start() -> (World, OidcProvider) {
    let provider = OidcProvider::start("http://127.0.0.1/audit/login/callback").await;
    let secret = provider.client_secret.as_deref().unwrap();
    let sections = format!(
        "[[identity.issuers]]\nname = 'corp'\nissuer = '{0}'\naudience = '{1}'\nalgorithms = ['RS256']\nprincipal_claim = 'email'\n\
         [audit.login]\nissuer = 'corp'\nclient_id = '{1}'\nclient_secret = '{secret}'\nscopes = ['openid', 'email', 'groups']\n",
        provider.issuer, provider.client_id
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lines = vec![("http", format!("public_url = 'http://127.0.0.1:{port}'"))];
    let mut world = World::with(Settings { sections, lines, ..Settings::default() }).await;
    let group = provider.group("auditors");
    world.write_policy(&format!(
        "  - {{id: people, effect: allow, identity: {{issuer: corp, claims: {{groups: ['{group}']}}}}, operations: [log.read]}}\n"
    ));
    // It has to know how it is reached before it starts.
    world.reconfigure(|text| {
        text.replacen("listen = '127.0.0.1:0'", &format!("listen = '127.0.0.1:{port}'"), 1)
    });
    assert_eq!(world.signet.api, format!("http://127.0.0.1:{port}"));
    (world, provider)
}

/// Sends the browser to the provider by the page's button, and returns for what it was sent there. The provider's own page is
/// left alone: people log in there by [`OidcProvider::log_in`].
async fn sent(browser: &Browser, world: &World) -> String {
    open(browser, world, "/audit/login").await;
    browser.click("a[href^='/audit/login/start']").await;
    browser.wait_for_url("http://localhost:").await;
    let url = Url::parse(&browser.url().await).unwrap();
    // Its page, where scripts run, goes on to one that asks for a password.
    let asked =
        url.query_pairs().find(|(name, _)| name == "redirect_to").map(|(_, path)| format!("/ui{path}"));
    asked.map_or_else(|| url.to_string(), |path| url.join(&path).unwrap().to_string())
}

/// What the browser has complained about, but for the provider's pages.
async fn complaints(browser: &Browser) -> Vec<String> {
    browser.complaints().await.into_iter().filter(|line| !line.contains("http://localhost:")).collect()
}

/// Comes back from the provider as `person`.
async fn log_in(browser: &Browser, world: &World, provider: &OidcProvider, person: &Person) {
    let url = sent(browser, world).await;
    let back = provider.log_in(person, &url).await.unwrap();
    browser.follow(&back).await;
    browser.wait_for_text("form.who bdi", &format!("oidc:corp:{}", person.email)).await;
    assert_eq!(browser.url().await, format!("{}/audit", world.signet.api));
}

async fn log_out(browser: &Browser) {
    browser.click("form.who button").await;
    browser.wait_for_text("[role=status]", "logged out").await;
}

async fn people_come_and_go(javascript: bool) {
    let (world, provider) = start().await;
    let browser = Browser::start(Options { javascript, ..Options::default() }).await;
    let ada = provider.person("Ada", &["auditors"]).await;
    log_in(&browser, &world, &provider, &ada).await;
    browser.wait_for_text("h1", "30 days").await;
    let cookies = browser.cookies().await;
    assert_eq!(cookies.len(), 1, "that of the log-in is gone: {cookies:?}");
    assert_eq!((cookies[0].same_site.as_str(), cookies[0].http_only), ("Strict", true));
    open(&browser, &world, "/audit/keys").await;
    browser.wait_for_text("h1", "Keys").await;
    log_out(&browser).await;
    assert_eq!(complaints(&browser).await, [""; 0]);

    // Somebody else, at the same machine, who is in no group.
    let bob = provider.person("Bob", &[]).await;
    log_in(&browser, &world, &provider, &bob).await;
    assert_eq!(browser.status().await, 403);
    let said = complaints(&browser).await;
    assert!(said.iter().all(|line| line.contains("403")), "{said:?}");
    log_out(&browser).await;
    assert_eq!(complaints(&browser).await, [""; 0]);

    let eve = provider.person("Eve", &["auditors"]).await;
    log_in(&browser, &world, &provider, &eve).await;
    browser.wait_for_text("h1", "30 days").await;
    assert_eq!(complaints(&browser).await, [""; 0]);
    browser.end().await;
}

#[tokio::test]
async fn people_come_and_go_with_scripts() {
    people_come_and_go(true).await;
}

#[tokio::test]
async fn people_come_and_go_without_scripts() {
    people_come_and_go(false).await;
}

#[tokio::test]
async fn whoever_the_provider_refuses_is_told_so() {
    let (world, provider) = start().await;
    let browser = Browser::start(Options { javascript: false, ..Options::default() }).await;
    let callback = format!("{}/audit/login/callback", world.signet.api);
    let state = |url: &str| {
        let url = Url::parse(url).unwrap();
        url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
    };
    let person = provider.person("Ada", &["auditors"]).await;
    let refused = state(&sent(&browser, &world).await);
    let code_of_another = provider.log_in(&person, &sent(&browser, &world).await).await.unwrap();
    let code_of_another = code_of_another.replace(&state(&code_of_another), "another");
    for back in [
        format!("{callback}?error=access_denied&state={refused}"),
        format!("{callback}?code=guessed&state={refused}"),
        code_of_another,
    ] {
        let asked = sent(&browser, &world).await;
        let back = back.replace(&refused, &state(&asked));
        browser.follow(&back).await;
        browser.wait_for_text("[role=alert]", "did not log you in").await;
        assert_eq!(browser.count("form.who").await, 0, "{back}");
        assert!(browser.cookies().await.is_empty(), "{back}");
        open(&browser, &world, "/audit").await;
        browser.wait_for("#token").await;
    }
    assert_eq!(complaints(&browser).await, [""; 0]);
    browser.end().await;
}
