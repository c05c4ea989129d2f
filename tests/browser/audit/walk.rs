//! An auditor's walk through the pages, the same with and without scripts.

use std::path::Path;
use std::process::Output;

use serde_json::json;
use signet::domain::{Clock as _, Digest, SystemClock};
use tokio::process::Command;

use super::{indexed, log_in, open, search};
use crate::support::browser::{Browser, Options};
use crate::support::servers::path_of;
use crate::support::world::Settings;
use crate::support::{Answer, Fault, World};

/// A log with something of each sort.
struct Log {
    world: World,
    /// Signed in the layout of tags, with annotations that would like to be markup.
    tagged: Answer,
    /// Signed in a bundle.
    bundled: Answer,
    file: Answer,
    attestation: Answer,
}

impl Log {
    async fn new() -> Self {
        let lines =
            vec![("attach", "look_again = []".to_owned()), ("vault", "key_poll = '100ms'".to_owned())];
        let world = World::with(Settings { lines, ..Settings::default() }).await;
        let (one, other) = (world.push_image().await, world.push_image().await);
        let annotations = json!({"note": "<script>document.title = 'ran'</script>", "turned": "a\u{202e}b"});
        let tagged = world.sign(json!({"image": one, "annotations": annotations})).await;
        let annotations = json!({"build": "it's 7"});
        let bundled =
            world.sign(json!({"image": other, "format": "bundle", "annotations": annotations})).await;
        world.rotate().await;
        let digest = Digest::of(b"file").to_string();
        let is_known = async || world.public_key(2).await.contains("BEGIN").then_some(());
        world.eventually("Signet knows the new version", is_known).await;
        let file = world.sign_blob(json!({"digest": digest, "name": "values.yaml"})).await;
        assert_eq!(file.body["key"]["version"], 2, "{file:?}");
        let statement =
            json!({"image": one, "predicate_type": "https://example.com/test/v1", "predicate": {"n": 1}});
        let attestation = world.attest(statement).await;
        for answer in [&tagged, &bundled, &attestation] {
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        let refused = world.post("/v1/signatures", &world.outsider, json!({"image": one}).to_string()).await;
        assert_eq!(refused.status, 403);
        let is_logged = async || (!world.entries("kind=refusal").await.is_empty()).then_some(());
        world.eventually("the refusal is logged", is_logged).await;
        indexed(&world).await;
        Self { world, tagged, bundled, file, attestation }
    }
}

/// What is so with and without scripts.
async fn walk(javascript: bool) {
    let log = Log::new().await;
    let world = &log.world;
    let browser = Browser::start(Options { javascript, ..Options::default() }).await;
    logs_in(&browser, world).await;
    overlooks(&browser, &log).await;
    searches(&browser, &log).await;
    reads_a_story(&browser, &log).await;
    checks_the_proof_offline(&browser, world).await;
    verifies_with_cosign(&browser, &log).await;
    looks_where_it_is(&browser, &log).await;
    looks_at_keys(&browser, &log).await;
    asks_why_something_was_refused(&browser, world).await;
    exports(&browser, world).await;
    logs_out(&browser, world).await;
    browser.end().await;
}

#[tokio::test]
async fn an_auditor_finds_everything_with_scripts() {
    walk(true).await;
}

#[tokio::test]
async fn an_auditor_finds_everything_without_scripts() {
    walk(false).await;
}

async fn logs_in(browser: &Browser, world: &World) {
    open(browser, world, "/audit/search?q=token:ci").await;
    browser.wait_for_url(&format!("{}/audit/login", world.signet.api)).await;
    browser.fill("#token", "a-wrong-token").await;
    browser.click("main form button").await;
    browser.wait_for_text("[role=alert]", "token is not known").await;
    let complaints = browser.complaints().await;
    assert!(complaints.len() == 1 && complaints[0].contains("401"), "{complaints:?}");
    browser.fill("#token", &world.token).await;
    browser.click("main form button").await;
    // Where they wanted to go.
    browser.wait_for_url(&format!("{}/audit/search?q=token:ci", world.signet.api)).await;
    browser.wait_for_text("form.who bdi", "token:ci").await;
    let cookies = browser.cookies().await;
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    let cookie = &cookies[0];
    assert!(cookie.name.starts_with("__Host-") && cookie.secure && cookie.http_only, "{cookie:?}");
    assert_eq!((cookie.same_site.as_str(), cookie.path.as_str(), cookie.expiry), ("Strict", "/", None));
}

async fn overlooks(browser: &Browser, log: &Log) {
    browser.click("a.brand").await;
    browser.wait_for_text("h1", "30 days").await;
    let figures = browser.all_texts(".figures li .figure").await;
    assert_eq!(figures[..3], ["4", "1", "0"], "signatures, refusals and failures");
    let bars = browser.all_texts(".bars li a").await;
    assert_eq!(bars, [log.world.repository.as_str()]);
    browser.click("main details summary").await;
    browser.wait_for_text(".plain-table tbody tr:first-child", &today()).await;
    assert_eq!(browser.all_texts(".plain-table tbody tr:first-child td").await, ["4", "1", "0"]);
}

async fn searches(browser: &Browser, log: &Log) {
    let world = &log.world;
    let image = log.tagged.body["image"].as_str().unwrap();
    let digest = image.rsplit_once('@').unwrap().1;
    let request = log.tagged.headers["x-request-id"].to_str().unwrap();
    let (repository, key) = (&world.repository, &world.key);
    for (line, sort, rows) in [
        // Intent, outcome and attachment of a signature and of an attestation, and the refusal.
        (digest, "the digest", 7),
        (image, "the image", 7),
        (&format!("{repository}*"), "repositories that fit", 10),
        ("token:outsider", "the principal", 1),
        (&format!("{key} v1"), "the key's version", 7),
        (request, "the request", 3),
    ] {
        search(browser, line).await;
        browser.wait_for_text(".meaning", sort).await;
        let found = browser.count("table.rows tbody tr").await;
        assert_eq!(found, rows, "{line}: {:?}", browser.all_texts("table.rows tbody tr").await);
        browser.wait_for_text(".complete", "Complete").await;
    }
    search(browser, "0").await;
    browser.wait_for_url(&format!("{}/audit/entries/0", world.signet.api)).await;
    browser.wait_for_text("h1", "Entry 0").await;
    search(browser, "<script>document.title = 'ran'</script>").await;
    browser.wait_for_text("[role=alert]", "/").await;
    assert_eq!(browser.status().await, 400);
    assert_ne!(browser.title().await, "ran");
    let complaints = browser.complaints().await;
    assert!(complaints.len() == 1 && complaints[0].contains("400"), "{complaints:?}");

    let rows = async || browser.count("table.rows tbody tr").await;
    open(browser, world, "/audit/search").await;
    browser.click("#kind option:nth-child(2)").await;
    browser.click("main form.filters button").await;
    browser.wait_for_url(&format!("{}/audit/search?", world.signet.api)).await;
    assert_eq!((rows().await, browser.text("table.rows .badge").await), (1, "refusal".to_owned()));
    open(browser, world, "/audit/search?kind=outcome").await;
    assert_eq!(rows().await, 4);
    browser.click("#decision option[value=deny]").await;
    browser.click("main form.filters button").await;
    browser.wait_for(".empty").await;
    for (from, to, expected) in [(today(), today(), 4), ("2020-01-01".to_owned(), "2020-12-31".to_owned(), 0)]
    {
        open(browser, world, "/audit/search?kind=outcome").await;
        let fill = "(id, day) => { document.getElementById(id).value = day }";
        browser
            .evaluate(&format!(
                "[['from', '{from}'], ['to', '{to}']].forEach(([id, day]) => ({fill})(id, day))"
            ))
            .await;
        browser.click("main form.filters button").await;
        browser.wait_for_url(&format!("{}/audit/search?q=&kind=outcome", world.signet.api)).await;
        assert_eq!(rows().await, expected, "{from}");
    }
}

async fn reads_a_story(browser: &Browser, log: &Log) {
    browser.click("nav a[href='/audit/signatures']").await;
    let id = log.tagged.body["id"].as_str().unwrap();
    browser.click(&format!("a[href='/audit/signatures/{id}']")).await;
    browser.wait_for_text("h1", log.tagged.body["image"].as_str().unwrap()).await;
    let who = browser.text("section[aria-labelledby=who-title]").await;
    assert!(who.contains("token:ci") && who.contains("everything"), "{who}");
    let steps = browser.all_texts(".timeline li strong").await;
    assert_eq!(steps, ["intent", "outcome", "attach"]);
    let annotations = browser.all_texts("section[aria-labelledby=what-title] .claims dd").await;
    assert_eq!(annotations, ["<script>document.title = 'ran'</script>", "a⟨U+202E⟩b"]);
    assert!(!browser.source().await.contains('\u{202e}'));
    assert_ne!(browser.title().await, "ran");
    browser.wait_for_text(".presence .answer", "There").await;
    // Paper has all of it.
    let paper = browser.pdf().await;
    let pages = paper.windows(12).filter(|bytes| *bytes == b"/Type /Page\n").count();
    assert!(pages > 1, "{pages} pages of {} bytes", paper.len());
}

/// What can be downloaded from the story holds without Signet.
async fn checks_the_proof_offline(browser: &Browser, world: &World) {
    assert_eq!(browser.count(".verdicts li.good").await, 2);
    assert_eq!(browser.count(".verdicts li.bad").await, 0);
    browser.click("section[aria-labelledby=proof-title] details summary").await;
    browser.wait_for_text(".steps tbody", "entries").await;
    let steps = browser.all_texts(".steps tbody tr td:last-child code").await;
    let roots = browser.all_texts("section[aria-labelledby=proof-title] details p code").await;
    assert_eq!(roots.len(), 2);
    assert!(roots.iter().all(|root| Some(root) == steps.last()), "{roots:?} after {steps:?}");

    let folder = tempfile::tempdir().unwrap();
    for file in ["bytes", "proof"] {
        browser.click(&format!("main a[href$='/{file}']")).await;
        let (name, bytes) = browser.downloaded().await;
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    std::fs::write(folder.path().join("log.keys"), world.log_keys().await).unwrap();
    let command = command(browser, "signet log verify ").await;
    let verified = paste(folder.path(), &command).await;
    assert!(verified.status.success(), "{command}: {verified:?}");
    let entry = command.rsplit(' ').next().unwrap();
    let text = std::fs::read_to_string(folder.path().join(entry)).unwrap();
    std::fs::write(folder.path().join(entry), text.replace("token:ci", "token:me")).unwrap();
    assert!(!paste(folder.path(), &command).await.status.success(), "another entry passes");
}

async fn verifies_with_cosign(browser: &Browser, log: &Log) {
    let world = &log.world;
    let folder = tempfile::tempdir().unwrap();
    for (made, version, begins) in
        [(&log.bundled, 1, "cosign verify "), (&log.attestation, 2, "cosign verify-attestation ")]
    {
        open(browser, world, &format!("/audit/signatures/{}", made.body["id"].as_str().unwrap())).await;
        std::fs::write(
            folder.path().join(format!("{}-v{version}.pub", world.key)),
            world.public_key(version).await,
        )
        .unwrap();
        let command = command(browser, begins).await;
        let verified = paste(folder.path(), &command).await;
        assert!(verified.status.success(), "{command}: {verified:?}");
    }
    open(browser, world, &format!("/audit/signatures/{}", log.file.body["id"].as_str().unwrap())).await;
    browser.wait_for_text(".presence .answer", "Nowhere to look").await;
}

/// The registry's three answers.
async fn looks_where_it_is(browser: &Browser, log: &Log) {
    let world = &log.world;
    open(browser, world, &format!("/audit/signatures/{}", log.tagged.body["id"].as_str().unwrap())).await;
    browser.wait_for_text(".presence .answer", "There").await;
    let digest = log.tagged.body["image"].as_str().unwrap().rsplit_once("@sha256:").unwrap().1;
    let manifests = format!("{}/manifests", world.upstream());
    let manifest = world.client.get(format!("{manifests}/sha256-{digest}.sig"));
    let manifest = manifest.header("Accept", crate::support::image::MANIFEST).send().await.unwrap();
    let manifest = Digest::of(&manifest.bytes().await.unwrap());
    assert!(
        world.client.delete(format!("{manifests}/{manifest}")).send().await.unwrap().status().is_success()
    );
    browser.reload().await;
    browser.wait_for_text(".presence .answer", "Not there").await;
    world.registry_proxy.break_with(|_| Some(Fault::status(500)));
    browser.reload().await;
    browser.wait_for_text(".presence .answer", "Could not tell").await;
    world.registry_proxy.mend();
}

async fn looks_at_keys(browser: &Browser, log: &Log) {
    browser.click("nav a[href='/audit/keys']").await;
    browser.click(&format!("main a[href='/audit/keys/{}']", log.world.key)).await;
    let versions = browser.all_texts("table[aria-label=Versions] tbody tr td:first-child").await;
    assert_eq!(versions, ["v2", "v1"]);
    browser.click("a[href*='version=1']").await;
    let fill = "(id) => { document.getElementById(id).value = day }";
    browser.evaluate(&format!("(day => ['from', 'to'].forEach({fill}))('{}')", today())).await;
    browser.click("#radius form button").await;
    browser
        .wait_for_url(&format!(
            "{}/audit/keys/{}?version=1&from={}",
            log.world.signet.api,
            log.world.key,
            today()
        ))
        .await;
    browser.wait_for_text("#radius .complete", "Complete").await;
    let hrefs =
        "[...document.querySelectorAll('#radius table a')].map(link => link.getAttribute('href')).sort()";
    let mut made = [&log.tagged, &log.bundled]
        .map(|made| format!("/audit/signatures/{}", made.body["id"].as_str().unwrap()));
    made.sort();
    assert_eq!(browser.evaluate(hrefs).await, json!(made));
    browser.click("#version option[value='2']").await;
    browser.click("#radius form button").await;
    browser.wait_for_url(&format!("{}/audit/keys/{}?version=2", log.world.signet.api, log.world.key)).await;
    assert_eq!(browser.count("#radius table tbody tr").await, 2);
}

async fn asks_why_something_was_refused(browser: &Browser, world: &World) {
    browser.click("nav a[href='/audit/refusals']").await;
    browser.fill("#q", "token:outsider").await;
    browser.click("main form.filters button").await;
    browser.wait_for_text(".refusals li h2", "token:outsider").await;
    assert_eq!(browser.count(".refusals > li").await, 1);
    let refusal = browser.text(".refusals li").await;
    assert!(refusal.contains(&world.repository), "{refusal}");
    let rules = browser.all_texts(".missing dt").await;
    assert_eq!(rules[0], "everything");
    let missing = browser.text(".missing dd").await;
    assert!(missing.starts_with("identity.token: ") && missing.contains("\"ci\""), "{missing}");
}

/// What the buttons give is what the API gives.
async fn exports(browser: &Browser, world: &World) {
    for format in ["csv", "ndjson"] {
        open(browser, world, "/audit/search?kind=outcome&q=token:ci").await;
        let button = format!("main a[href*='format={format}']");
        let href = browser.attribute(&button, "href").await.unwrap();
        browser.click(&button).await;
        let (name, bytes) = browser.downloaded().await;
        assert!(name.ends_with(&format!(".{format}")), "{name}");
        let url = format!("{}{}", world.signet.api, href.replace("/audit/", "/v1/log/"));
        let answer = world.client.get(url).bearer_auth(&world.token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let (shown, same) = (String::from_utf8(bytes).unwrap(), answer.text().await.unwrap());
        // Each export is an entry itself, so that the log that the last line tells of is longer.
        let entries = |text: &str| {
            text.lines().filter(|line| line.contains("outcome")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!((entries(&shown).len() >= 4, entries(&shown)), (true, entries(&same)));
    }
}

async fn logs_out(browser: &Browser, world: &World) {
    open(browser, world, "/audit/keys").await;
    browser.click("form.who button").await;
    let login = format!("{}/audit/login", world.signet.api);
    browser.wait_for_url(&login).await;
    browser.wait_for_text("[role=status]", "logged out").await;
    assert!(browser.cookies().await.is_empty());
    browser.back().await;
    browser.wait_for_url(&login).await;
    assert_eq!(browser.count("form.who").await, 0);
    open(browser, world, "/audit/keys").await;
    browser.wait_for_url(&login).await;
    log_in(browser, world, &world.token).await;
}

/// The command on the page that begins so.
async fn command(browser: &Browser, begins: &str) -> String {
    let commands = browser.all_texts("code.command").await;
    let command = commands.iter().find(|command| command.starts_with(begins));
    command.unwrap_or_else(|| panic!("{begins} is not among {commands:?}")).clone()
}

/// Runs a line in a shell in `folder`, with Signet and cosign in the path.
async fn paste(folder: &Path, line: &str) -> Output {
    let of = |file: &Path| file.parent().unwrap().display().to_string();
    let (signet, cosign) = (of(Path::new(env!("CARGO_BIN_EXE_signet"))), of(&path_of("/cosign/3.1.3")));
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(folder).env("HOME", folder);
    // Nothing but the servers of the test is asked.
    shell.env("HTTPS_PROXY", "http://127.0.0.1:9").env("HTTP_PROXY", "http://127.0.0.1:9").kill_on_drop(true);
    shell.env("PATH", format!("{signet}:{cosign}:/usr/bin:/bin")).output().await.unwrap()
}

fn today() -> String {
    SystemClock.now().strftime("%Y-%m-%d").to_string()
}
