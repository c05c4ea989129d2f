//! A session of [WebDriver](https://www.w3.org/TR/webdriver2/): Chromium, its driver, and the calls between.
//!
//! The calls are JSON over HTTP and few, so there is no library for them. The one that is at hand has `serde_json` keep the
//! order of members in every build for tests, that of Signet itself among them, and so tests would run another Signet than
//! the one that is shipped.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use super::servers::{client, path_of};

/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

const START: Duration = Duration::from_secs(60);

/// A browser with a driver of its own. Both end with this value.
pub struct Session {
    client: Client,
    /// `http://127.0.0.1:port/session/id`
    url: String,
    browser: u64,
    _driver: Child,
}

/// What an element goes by in calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element(String);

impl Session {
    /// Starts both. What they write goes below `home`; `zone` is the time zone of their machine.
    pub async fn start(home: &Path, zone: &str, mut capabilities: Value) -> Self {
        let mut driver = tokio::process::Command::new(path_of("/browser/driver"));
        driver.arg("--port=0").env("HOME", home).env("TZ", zone);
        for (name, pointer) in
            [("LD_LIBRARY_PATH", "/browser/libraries"), ("FONTCONFIG_FILE", "/browser/fonts")]
        {
            let value = path_of(pointer);
            if !value.as_os_str().is_empty() {
                driver.env(name, value);
            }
        }
        let driver = driver.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = driver.kill_on_drop(true).spawn().expect("the driver of Chromium can be started");
        let said = BufReader::new(driver.stdout.take().expect("its output was asked for"));
        let port = tokio::time::timeout(START, port(said)).await.expect("the driver says where it listens");

        capabilities["goog:chromeOptions"]["binary"] = json!(path_of("/browser/chromium"));
        let client = client();
        let wanted = json!({"capabilities": {"alwaysMatch": capabilities}});
        let url = format!("http://127.0.0.1:{port}/session");
        let session = call(&client, Method::POST, &url, Some(wanted)).await;
        let session = session.unwrap_or_else(|error| panic!("Chromium does not start: {error}"));
        Self {
            client,
            url: format!("{url}/{}", session["sessionId"].as_str().expect("a session has an id")),
            browser: session["capabilities"]["goog:processID"].as_u64().expect("the driver started it"),
            _driver: driver,
        }
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = call(&self.client, Method::GET, &format!("{}/{path}", self.url), None).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = call(&self.client, Method::POST, &format!("{}/{path}", self.url), Some(body)).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A command of the [DevTools protocol](https://chromedevtools.github.io/devtools-protocol/).
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        let answer =
            call(&self.client, Method::POST, &format!("{}/goog/cdp/execute", self.url), Some(body)).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// What was written to a log since it was last asked for.
    pub async fn log(&self, name: &str) -> Vec<Value> {
        match self.post("se/log", json!({"type": name})).await {
            Value::Array(entries) => entries,
            other => panic!("a log is no {other}"),
        }
    }

    /// The elements that `css` selects now, in the order of the document.
    pub async fn elements(&self, css: &str) -> Vec<Element> {
        let found = self.post("elements", json!({"using": "css selector", "value": css})).await;
        let found = found.as_array().expect("elements are a list");
        found.iter().map(|element| Element(element[ELEMENT].as_str().expect("one").to_owned())).collect()
    }

    /// `None` where it has left the document meanwhile.
    pub async fn text_of(&self, element: &Element) -> Option<String> {
        let url = format!("{}/element/{}/text", self.url, element.0);
        let text = call(&self.client, Method::GET, &url, None).await.ok()?;
        text.as_str().map(str::to_owned)
    }

    pub async fn act_on(&self, element: &Element, action: &str, body: Value) {
        self.post(&format!("element/{}/{action}", element.0), body).await;
    }

    /// Ends the browser in good order.
    pub async fn quit(&self) {
        call(&self.client, Method::DELETE, &self.url, None).await.expect("the browser can be closed");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The driver is killed by its value, and would leave the browser behind. Fails where that was closed before.
        let kill =
            Command::new("kill").args(["-KILL", &self.browser.to_string()]).stderr(Stdio::null()).status();
        kill.expect("kill can be started");
    }
}

/// The port that the driver says; what it says later is read and forgotten.
async fn port(said: BufReader<tokio::process::ChildStdout>) -> u16 {
    let mut lines = said.lines();
    while let Some(line) = lines.next_line().await.expect("it writes text") {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            let port = port.trim_end_matches('.').parse().expect("a port is a number");
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return port;
        }
    }
    panic!("the driver of Chromium has ended")
}

async fn call(client: &Client, method: Method, url: &str, body: Option<Value>) -> Result<Value, String> {
    let mut request = client.request(method, url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let mut body: Value = answer.json().await.map_err(|error| error.to_string())?;
    let value = body["value"].take();
    match status.is_success() {
        true => Ok(value),
        false => Err(format!("{}: {}", value["error"], value["message"])),
    }
}
