//! Entries that others have filled with markup, and with marks that turn the direction of text.

use serde_json::json;

use super::{Browser, Page};
use crate::support::World;
use crate::support::issuer::{AUDIENCE, Issuer, SigningKey};
use crate::support::world::Settings;

const EVIL: &str =
    "<script>alert(1)</script>\"><img src=x onerror=alert(1)>'\u{202e}txt.exe\u{2066}\u{200b}&amp;";

#[track_caller]
fn assert_harmless(what: &str, page: &Page) {
    assert_eq!(page.status, 200, "{what}: {}", page.text);
    for raw in ["<script>alert", "<img", "'\u{202e}"] {
        assert!(!page.text.contains(raw), "{what}: {raw:?} in {}", page.text);
    }
    let turns = page.text.find(['\u{202e}', '\u{2066}', '\u{200b}']);
    assert_eq!(turns, None, "{what}: {}", turns.map_or("", |at| &page.text[at.saturating_sub(80)..at]));
}

#[tokio::test]
async fn what_others_wrote_is_text_on_every_page_that_shows_it() {
    let issuer = Issuer::start().await;
    let key = SigningKey::ec("k");
    issuer.publish([key.jwk()]);
    let lines = vec![("identity", format!("audience = '{AUDIENCE}'"))];
    let sections = issuer.section("corp", "algorithms = ['ES256']");
    let mut world = World::with(Settings { lines, sections, ..Settings::default() }).await;
    let (repository, name) = (world.repository.clone(), world.key.clone());
    world.write_policy(&format!(
        "  - {{id: jobs, effect: allow, identity: {{issuer: corp, globs: {{branch: '**'}}}}, repositories: ['{repository}'], keys: ['{name}'], operations: [sign, blob]}}\n"
    ));
    world.restart();
    let mut claims = issuer.claims();
    (claims["sub"], claims["branch"]) = (json!(EVIL), json!(format!("main{EVIL}")));
    let token = key.sign(&claims);

    let image = world.push_image().await;
    let request = json!({"image": image, "annotations": {format!("n{EVIL}"): EVIL}}).to_string();
    let signed = world.post("/v1/signatures", &token, request).await;
    assert_eq!(signed.status, 201, "{signed:?}");
    let digest = signet::domain::Digest::of(b"file").to_string();
    let blob = world.post("/v1/blobs", &token, json!({"digest": digest, "name": EVIL}).to_string()).await;
    assert_eq!(blob.status, 201, "{blob:?}");
    let elsewhere = json!({"image": format!("{repository}/other@{digest}")}).to_string();
    assert_eq!(world.post("/v1/signatures", &token, elsewhere).await.status, 403);
    let refusals = async || (world.entries("kind=refusal").await.len() == 1).then_some(());
    world.eventually("the refusal is logged", refusals).await;

    let browser = Browser::of(&world, &world.token).await;
    let principal = "⟨U+202E⟩txt.exe⟨U+2066⟩⟨U+200B⟩&#38;amp;";
    for path in ["/audit/search", "/audit/search?decision=deny", "/audit/refusals", "/audit/signatures"] {
        let page = browser.get(path).await;
        assert_harmless(path, &page);
        assert!(page.text.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "{path}: {}", page.text);
        assert!(page.text.contains(principal), "{path}: {}", page.text);
    }
    assert_harmless("overview", &browser.get("/audit").await);
    for (answer, what) in [(&signed, "Annotations"), (&blob, "Signature of the file")] {
        let page = browser.get(&format!("/audit/signatures/{}", answer.body["id"].as_str().unwrap())).await;
        assert_harmless(what, &page);
        assert!(page.text.contains(what) && page.text.matches("⟨U+202E⟩").count() >= 3, "{}", page.text);
    }
    let size = world.searched("/v1/log/entries?limit=1").await.body["size"].as_u64().unwrap();
    let mut shown = 0;
    for index in 0..size {
        let page = browser.get(&format!("/audit/entries/{index}")).await;
        assert_harmless(&format!("entry {index}"), &page);
        shown += page.text.matches("⟨U+202E⟩").count();
    }
    assert!(shown > 10, "{shown}");
    // Whoever looks, too.
    world.write_policy("  - {id: lookers, effect: allow, identity: {issuer: corp, globs: {branch: '**'}}, operations: [log.read]}\n");
    world.restart();
    let browser = Browser::of(&world, &token).await;
    assert_harmless("its own name", &browser.get("/audit").await);
    // A search for it comes back as one wrote it, and nowhere else than in the box.
    let query = super::escaped(&format!("principal:oidc:corp:{EVIL}"));
    let page = browser.get(&format!("/audit/search?q={query}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(!page.text.contains("<script>alert") && !page.text.contains("<img"), "{}", page.text);
}
