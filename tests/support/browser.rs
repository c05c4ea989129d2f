//! A browser for one test: Chromium as a person uses it, and what only a machine sees of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::servers::path_of;
use super::webdriver::{Element, Session};

/// How long a page may take to come to what a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What axe-core checks: WCAG 2.1 at level AA, and what is good practice beside it.
const RULES: [&str; 5] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];

/// A browser with a profile of its own, and nothing in its cache ever. It ends with this value, by [`Browser::end`].
pub struct Browser {
    session: Session,
    javascript: bool,
    /// Profile, home and downloads.
    home: TempDir,
    taken: Mutex<Vec<PathBuf>>,
    network: Mutex<Network>,
    ended: bool,
}

/// Whose browser it is.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether pages may run scripts. Nothing here depends on it.
    pub javascript: bool,
    /// Whether the person prefers dark pages.
    pub dark: bool,
    /// A phone with a touch screen of 390 × 844, in place of a window of 1280 × 900.
    pub phone: bool,
    /// `de-DE`
    pub language: &'static str,
    /// `Europe/Berlin`
    pub zone: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cookie {
    pub name: String,
    pub value: String,
    pub path: String,
    pub domain: String,
    pub secure: bool,
    pub http_only: bool,
    /// `Strict`, `Lax` or `None`
    pub same_site: String,
    /// Seconds of Unix time; `None` for one that ends with the browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Tab,
    BackTab,
    Enter,
    Escape,
    Space,
    Down,
    Up,
}

/// What pages have loaded, by the document that did.
#[derive(Debug, Default)]
struct Network {
    /// By request.
    under_way: HashMap<String, String>,
    bytes: HashMap<String, u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { javascript: true, dark: false, phone: false, language: "en-GB", zone: "UTC" }
    }
}

impl Browser {
    pub async fn start(options: Options) -> Self {
        let home = tempfile::tempdir().expect("a folder can be made");
        let downloads = home.path().join("downloads");
        std::fs::create_dir(&downloads).expect("the folder is new");
        let session = Session::start(home.path(), options.zone, capabilities(options, home.path())).await;
        let scheme = if options.dark { "dark" } else { "light" };
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        session.devtools("Emulation.setEmulatedMedia", scheme).await;
        session.devtools("Network.setCacheDisabled", json!({"cacheDisabled": true})).await;
        let browser = Self {
            session,
            javascript: options.javascript,
            home,
            taken: Mutex::default(),
            network: Mutex::default(),
            ended: false,
        };
        browser.allow_scripts(options.javascript).await;
        browser
    }

    /// The folder of its profile, which its processes name.
    pub fn profile(&self) -> String {
        self.home.path().join("profile").display().to_string()
    }

    /// Opens a page, and waits until it has loaded.
    pub async fn goto(&self, url: &str) {
        self.session.post("url", json!({"url": url})).await;
    }

    /// Goes where a link on the current page would lead. Unlike one that a person types, such an address may be of another
    /// site than what asks for it, and then it is not sent cookies that are `SameSite=Strict`.
    pub async fn follow(&self, url: &str) {
        self.evaluate(&format!("void (location.href = {})", json!(url))).await;
        // Answered once the page to which that leads has loaded.
        self.title().await;
    }

    pub async fn back(&self) {
        self.session.post("back", json!({})).await;
    }

    pub async fn reload(&self) {
        self.session.post("refresh", json!({})).await;
    }

    pub async fn url(&self) -> String {
        text(self.session.get("url").await)
    }

    pub async fn title(&self) -> String {
        text(self.session.get("title").await)
    }

    /// The document as it is now, as HTML.
    pub async fn source(&self) -> String {
        text(self.session.get("source").await)
    }

    /// The status with which the page was answered.
    pub async fn status(&self) -> u64 {
        let status = self.evaluate("performance.getEntriesByType('navigation')[0].responseStatus").await;
        status.as_u64().expect("a page has a status")
    }

    /// What can be read in the first element that `css` selects. Waits for it.
    pub async fn text(&self, css: &str) -> String {
        self.element_with_text(css).await.1
    }

    /// What can be read in each that is there now.
    pub async fn all_texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.session.elements(css).await {
            texts.extend(self.session.text_of(&element).await);
        }
        texts
    }

    /// How many there are now.
    pub async fn count(&self, css: &str) -> usize {
        self.session.elements(css).await.len()
    }

    /// The value of an attribute, as it stands in the document. Waits for the element.
    pub async fn attribute(&self, css: &str, name: &str) -> Option<String> {
        self.wait_for(css).await;
        let value = self
            .evaluate(&format!("document.querySelector({}).getAttribute({})", json!(css), json!(name)))
            .await;
        value.as_str().map(str::to_owned)
    }

    /// Waits until `css` selects something.
    pub async fn wait_for(&self, css: &str) {
        self.element(css).await;
    }

    /// Waits until the first element that `css` selects can be read to say `words`.
    pub async fn wait_for_text(&self, css: &str, words: &str) {
        let says = async || {
            let element = self.session.elements(css).await.into_iter().next()?;
            self.session.text_of(&element).await.filter(|text| text.contains(words))
        };
        self.eventually(&format!("{css} says {words:?}"), says).await;
    }

    /// Waits until the address of the page begins with `prefix`.
    pub async fn wait_for_url(&self, prefix: &str) {
        let is_there = async || self.url().await.starts_with(prefix).then_some(());
        self.eventually(prefix, is_there).await;
    }

    /// Puts `text` into a field, in place of what is there. Waits for the field.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.element(css).await;
        self.session.act_on(&field, "clear", json!({})).await;
        self.session.act_on(&field, "value", json!({"text": text})).await;
    }

    /// Clicks on what `css` selects first, and waits for the page to which that may lead. Waits for the element.
    pub async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.session.act_on(&element, "click", json!({})).await;
    }

    /// Presses a key, for whatever has the focus.
    pub async fn press_key(&self, key: Key) {
        let keys = match key {
            Key::Tab => &["\u{e004}"][..],
            Key::BackTab => &["\u{e008}", "\u{e004}"],
            Key::Enter => &["\u{e007}"],
            Key::Escape => &["\u{e00c}"],
            Key::Space => &[" "],
            Key::Down => &["\u{e015}"],
            Key::Up => &["\u{e013}"],
        };
        let down = keys.iter().map(|key| json!({"type": "keyDown", "value": key}));
        let up = keys.iter().rev().map(|key| json!({"type": "keyUp", "value": key}));
        let steps = down.chain(up).collect::<Vec<_>>();
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": steps}]});
        self.session.post("actions", actions).await;
    }

    /// What has the focus: `input#query`, `input[name=token]`, or `a Log out` with what can be read in it.
    pub async fn focused(&self) -> String {
        let script = "(() => {
            const element = document.activeElement ?? document.body, tag = element.localName;
            if (element.id) return `${tag}#${element.id}`;
            if (element.name) return `${tag}[name=${element.name}]`;
            return element === document.body ? tag : `${tag} ${element.innerText.trim()}`;
        })()";
        text(self.evaluate(script).await)
    }

    /// Those that the current page is sent.
    pub async fn cookies(&self) -> Vec<Cookie> {
        serde_json::from_value(self.session.get("cookie").await).expect("cookies as WebDriver describes them")
    }

    /// Sets a cookie of the current page's host.
    pub async fn set_cookie(&self, cookie: &Cookie) {
        self.session.post("cookie", json!({"cookie": cookie})).await;
    }

    /// Waits for the next file that is downloaded, and returns its name and its bytes.
    pub async fn downloaded(&self) -> (String, Vec<u8>) {
        let complete = async || {
            let files = std::fs::read_dir(self.home.path().join("downloads")).expect("the folder is there");
            let files = files.map(|file| file.expect("it can be read").path()).collect::<Vec<_>>();
            // What is under way has another name, or a second file beside it.
            let under_way = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                name.ends_with(".crdownload") || name.starts_with('.')
            };
            if files.iter().any(under_way) {
                return None;
            }
            let mut taken = self.taken.lock().unwrap();
            let file = files.into_iter().find(|path| !taken.contains(path))?;
            taken.push(file.clone());
            Some(file)
        };
        let file = self.eventually("a file is downloaded", complete).await;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name, std::fs::read(&file).expect("the file is there"))
    }

    /// Writes a picture (PNG) of the whole page, also of what is below the window, down to `height`: a pixel for each CSS
    /// pixel, on every screen.
    pub async fn screenshot(&self, path: &Path, height: u32) {
        let metrics = self.session.devtools("Page.getLayoutMetrics", json!({})).await;
        let size = &metrics["cssContentSize"];
        let height = size["height"].as_f64().expect("a page has a height").min(height.into());
        // The picture has no scroll bar, so that the page is as wide as the window.
        let window = self.evaluate("[innerWidth, devicePixelRatio]").await;
        let number = |value: &Value| value.as_f64().expect("a length is a number");
        let width = number(&size["width"]).max(number(&window[0]));
        let clip =
            json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1.0 / number(&window[1])});
        let wanted = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.session.devtools("Page.captureScreenshot", wanted).await;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).expect("the folder can be made");
        }
        std::fs::write(path, decoded(&picture["data"])).expect("the picture can be written");
    }

    /// The page as a printer gets it, as PDF.
    pub async fn pdf(&self) -> Vec<u8> {
        decoded(&self.session.post("print", json!({"background": true})).await)
    }

    /// How far the page can be scrolled to the side, in CSS pixels: 0 where all of it fits.
    pub async fn overhang(&self) -> i64 {
        let script = "document.scrollingElement.scrollWidth - document.documentElement.clientWidth";
        self.evaluate(script).await.as_i64().expect("widths are whole numbers")
    }

    /// What axe-core finds wrong with the page, a line for each element. What it can not decide by itself is left out.
    pub async fn violations(&self) -> Vec<String> {
        let axe = path_of("/browser/axe");
        let source =
            std::fs::read_to_string(&axe).unwrap_or_else(|error| panic!("{}: {error}", axe.display()));
        // axe-core waits by timers, which do not run where scripts are off. The page's own are not made up for.
        self.allow_scripts(true).await;
        let found = self
            .evaluate(&format!(
                "(async () => {{
                    {source};
                    const found = await axe.run(document, {{runOnly: {}, resultTypes: ['violations']}});
                    return found.violations.flatMap(rule => rule.nodes.map(node =>
                        `${{rule.id}} (${{rule.impact}}): ${{rule.help}}: ${{node.target.join(' ')}}: ${{node.failureSummary}}`));
                }})()",
                json!(RULES)
            ))
            .await;
        self.allow_scripts(self.javascript).await;
        let found: Vec<String> = serde_json::from_value(found).expect("a list of lines");
        found.into_iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// What the browser has complained about since it was last asked: warnings and errors on the console, violations of the
    /// Content-Security-Policy, and what could not be loaded, also pages of status 400 and above. Without `/favicon.ico`,
    /// which the browser looks for by itself, sooner or later.
    pub async fn complaints(&self) -> Vec<String> {
        // Answered after everything that the page has said so far.
        self.evaluate("0").await;
        let entries = self.session.log("browser").await.into_iter();
        let bad = entries.filter(|entry| matches!(entry["level"].as_str(), Some("WARNING" | "SEVERE")));
        let lines =
            bad.map(|entry| format!("{} {}", text(entry["level"].clone()), text(entry["message"].clone())));
        lines.filter(|line| !line.contains("/favicon.ico - Failed to load resource")).collect()
    }

    /// The bytes that the current page and all that it has loaded took on the network: headers and bodies, as they were
    /// encoded, and redirects. Waits for what is still under way.
    pub async fn transferred(&self) -> u64 {
        let tree = self.session.devtools("Page.getFrameTree", json!({})).await;
        let document = text(tree["frameTree"]["frame"]["loaderId"].clone());
        let complete = async || {
            let entries = self.session.log("performance").await;
            let mut network = self.network.lock().unwrap();
            entries.iter().for_each(|entry| network.note(entry));
            if network.under_way.values().any(|other| *other == document) {
                return None;
            }
            network.bytes.get(&document).copied()
        };
        self.eventually("all that the page needs has come", complete).await
    }

    /// From when the page was asked for until it had loaded.
    pub async fn load_time(&self) -> Duration {
        let time = self.evaluate("performance.getEntriesByType('navigation')[0].duration").await;
        Duration::from_secs_f64(time.as_f64().expect("a number of milliseconds") / 1000.0)
    }

    /// What a script has to say about the page: an expression, or a promise of one. It runs apart from the page's own
    /// scripts, sees the same document, and is bound by no Content-Security-Policy.
    pub async fn evaluate(&self, script: &str) -> Value {
        let tree = self.session.devtools("Page.getFrameTree", json!({})).await;
        let world = json!({"frameId": tree["frameTree"]["frame"]["id"], "worldName": "test"});
        let world = self.session.devtools("Page.createIsolatedWorld", world).await;
        let call = json!({
            "expression": script,
            "contextId": world["executionContextId"],
            "awaitPromise": true,
            "returnByValue": true,
        });
        let mut answer = self.session.devtools("Runtime.evaluate", call).await;
        assert!(answer["exceptionDetails"].is_null(), "{}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// Ends the browser.
    ///
    /// # Panics
    /// Where it has [complained](Self::complaints).
    pub async fn end(mut self) {
        self.ended = true;
        let complaints = self.complaints().await;
        self.session.quit().await;
        assert!(complaints.is_empty(), "the browser complained:\n{}", complaints.join("\n"));
    }

    async fn element(&self, css: &str) -> Element {
        let find = async || self.session.elements(css).await.into_iter().next();
        self.eventually(&format!("{css} is on the page"), find).await
    }

    async fn element_with_text(&self, css: &str) -> (Element, String) {
        let read = async || {
            let element = self.session.elements(css).await.into_iter().next()?;
            let text = self.session.text_of(&element).await?;
            Some((element, text))
        };
        self.eventually(&format!("{css} is on the page"), read).await
    }

    /// Asks until it is answered.
    async fn eventually<T>(&self, what: &str, question: impl AsyncFn() -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            if tokio::time::Instant::now() > deadline {
                let (url, texts) = (self.url().await, self.all_texts("body").await);
                panic!("it did not happen in {PATIENCE:?}: {what}\nat {url}:\n{}", texts.join("\n"));
            }
            pause.tick().await;
        }
    }

    async fn allow_scripts(&self, allowed: bool) {
        self.session.devtools("Emulation.setScriptExecutionDisabled", json!({"value": !allowed})).await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let forgotten = !self.ended && !std::thread::panicking();
        assert!(
            !forgotten,
            "a test ends its browser with `end`, which looks at what the browser complained about"
        );
    }
}

impl Network {
    /// Takes an entry of the log of the DevTools protocol.
    fn note(&mut self, entry: &Value) {
        let message: Value =
            serde_json::from_str(entry["message"].as_str().unwrap_or_default()).expect("an event is JSON");
        let (event, said) = (&message["message"]["method"], &message["message"]["params"]);
        let request = said["requestId"].as_str().unwrap_or_default().to_owned();
        match event.as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                let document = said["loaderId"].as_str().unwrap_or_default().to_owned();
                let redirect = said["redirectResponse"]["encodedDataLength"].as_f64().unwrap_or_default();
                *self.bytes.entry(document.clone()).or_default() += whole(redirect);
                self.under_way.insert(request, document);
            }
            "Network.loadingFinished" => {
                if let Some(document) = self.under_way.remove(&request) {
                    let length = said["encodedDataLength"].as_f64().unwrap_or_default();
                    *self.bytes.entry(document).or_default() += whole(length);
                }
            }
            "Network.loadingFailed" => {
                self.under_way.remove(&request);
            }
            _ => {}
        }
    }
}

fn capabilities(options: Options, home: &Path) -> Value {
    let mut arguments = vec![
        "--headless=new".to_owned(),
        // Tests run as root, and in containers with little shared memory.
        "--no-sandbox".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-gpu".to_owned(),
        // Nothing but the pages of the test is asked for, and past every proxy.
        "--no-proxy-server".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        "--window-size=1280,900".to_owned(),
        format!("--lang={}", options.language),
        format!("--accept-lang={}", options.language),
    ];
    arguments.push(format!("--user-data-dir={}", home.join("profile").display()));
    let mut chromium = json!({
        "args": arguments,
        "prefs": {"download.default_directory": home.join("downloads")},
        "perfLoggingPrefs": {"enableNetwork": true, "enablePage": false},
    });
    if options.phone {
        let screen = json!({"width": 390, "height": 844, "pixelRatio": 2, "touch": true, "mobile": true});
        chromium["mobileEmulation"] = json!({"deviceMetrics": screen});
    }
    json!({
        "browserName": "chrome",
        // The authorities of tests are known to nobody.
        "acceptInsecureCerts": true,
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        "goog:chromeOptions": chromium,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of bytes")]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => panic!("{other} is no text"),
    }
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().expect("base64 is text")).expect("it is base64")
}
