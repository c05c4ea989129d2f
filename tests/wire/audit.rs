//! The auditor's pages, attacked: as browsers speak to them, and as browsers never would.

mod export;
mod forms;
mod login;
mod markup;
mod parameters;
mod provider;
mod reach;
mod refusals;
mod sessions;
mod switched_off;

use std::cell::RefCell;
use std::collections::BTreeMap;

use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, RETRY_AFTER, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder};
use sha2::{Digest as _, Sha256};

use crate::support::{World, servers};

const SESSION: &str = "__Host-signet-session";

/// A browser: it keeps cookies, and says whence its forms come.
struct Browser {
    client: Client,
    api: String,
    cookies: RefCell<BTreeMap<String, String>>,
}

/// A page, or whatever else was answered.
struct Page {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Browser {
    fn new(world: &World) -> Self {
        Self { client: servers::client(), api: world.signet.api.clone(), cookies: RefCell::default() }
    }

    /// One that has logged in with `token`.
    async fn of(world: &World, token: &str) -> Self {
        let browser = Self::new(world);
        let page = browser.log_in(token, "").await;
        assert_eq!((page.status, page.location()), (303, "/audit"), "{}", page.text);
        browser
    }

    async fn log_in(&self, token: &str, next: &str) -> Page {
        self.post("/audit/login", &[("token", token), ("next", next)]).await
    }

    async fn get(&self, path: &str) -> Page {
        self.send(self.request(Method::GET, path).header("Sec-Fetch-Site", "same-origin")).await
    }

    /// Sends a form from a page of ours.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let request = self.request(Method::POST, path).header("Sec-Fetch-Site", "same-origin");
        self.send(request.header("Origin", &self.api).with_form(form)).await
    }

    /// With the cookies that are there.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.api));
        let cookies = self.cookies.borrow();
        let line: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if line.is_empty() { request } else { request.header(COOKIE, line.join("; ")) }
    }

    /// Sends it, and keeps what cookies it is told to.
    async fn send(&self, request: RequestBuilder) -> Page {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let page = Page { status, headers, text: response.text().await.unwrap() };
        page.assert_guarded();
        for line in page.headers.get_all(SET_COOKIE) {
            let (name, value, is_over) = checked_cookie(line.to_str().unwrap());
            match is_over {
                true => self.cookies.borrow_mut().remove(&name),
                false => self.cookies.borrow_mut().insert(name, value),
            };
        }
        page
    }

    fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    /// What the form to log out carries.
    async fn csrf(&self) -> String {
        let page = self.get("/audit").await;
        let (_, rest) = page.text.split_once("name=\"csrf\" value=\"").expect("a form to log out");
        rest.split_once('"').unwrap().0.to_owned()
    }

    /// Whether somebody is logged in: who is not, is sent to where one logs in.
    async fn is_logged_in(&self) -> bool {
        let page = self.get("/audit").await;
        if page.status == 303 {
            assert!(page.location().starts_with("/audit/login"), "{}", page.location());
            return false;
        }
        assert_eq!(page.status, 200, "{}", page.text);
        true
    }
}

/// The cookie's name and value, and whether it is to be forgotten.
#[track_caller]
fn checked_cookie(line: &str) -> (String, String, bool) {
    let (pair, flags) = line.split_once(';').expect("flags");
    let (name, value) = pair.split_once('=').unwrap();
    let flags: Vec<_> = flags.split(';').map(str::trim).collect();
    assert!(name.starts_with("__Host-"), "{line}");
    let same_site = if name == SESSION { "SameSite=Strict" } else { "SameSite=Lax" };
    for flag in ["Path=/", "Secure", "HttpOnly", same_site] {
        assert!(flags.contains(&flag), "{line}");
    }
    assert!(!flags.iter().any(|flag| flag.to_ascii_lowercase().starts_with("domain")), "{line}");
    (name.to_owned(), value.to_owned(), flags.contains(&"Max-Age=0"))
}

impl Page {
    #[track_caller]
    fn location(&self) -> &str {
        self.headers[LOCATION].to_str().unwrap()
    }

    /// What holds for every answer below `/audit`, whatever it is.
    #[track_caller]
    fn assert_guarded(&self) {
        let header = |name: &str| self.headers.get(name).map(|value| value.to_str().unwrap());
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            ),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(header(name), Some(value), "{}: {name} {:?}", self.status, self.headers);
        }
        assert!(header("x-request-id").is_some(), "{:?}", self.headers);
        if header("cache-control") != Some("public, max-age=31536000, immutable") {
            assert_eq!(self.headers[CACHE_CONTROL], "no-store", "{:?}", self.headers);
        }
        assert!(self.status < 500 || self.status == 502, "{} {}", self.status, self.text);
        if self.status >= 400 {
            assert_eq!(
                self.headers[CONTENT_TYPE], "text/html; charset=utf-8",
                "{} {}",
                self.status, self.text
            );
        }
    }

    /// A page about a problem, which says what to do and has the request's id.
    #[track_caller]
    fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(&format!("{status} <code>{code}</code>")), "{}", self.text);
        let id = self.headers["x-request-id"].to_str().unwrap();
        assert!(self.text.contains(&format!("request <code>{id}</code>")), "{}", self.text);
        let (_, rest) = self.text.split_once("<p class=\"lead\">").expect("what is wrong");
        let detail = rest.split_once("</p>").unwrap().0;
        assert!(detail.ends_with('.') && detail.split(' ').count() >= 4, "{detail}");
        assert_eq!(self.headers.contains_key(RETRY_AFTER), matches!(status, 429 | 502), "{:?}", self.headers);
    }

    /// The text without the request's id, which is all that differs from one request of a session to the next.
    fn without_id(&self) -> String {
        self.text.replace(self.headers["x-request-id"].to_str().unwrap(), "…")
    }
}

/// A form as browsers send it.
trait WithForm {
    fn with_form(self, form: &[(&str, &str)]) -> Self;
}

impl WithForm for RequestBuilder {
    fn with_form(self, form: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
    }
}

/// As it stands in a path or a query, every byte that could mean something escaped.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

/// A section that makes `token` known by `name`.
fn token_section(name: &str, token: &str) -> String {
    let digest = hex::encode(Sha256::digest(token));
    format!("[[identity.tokens]]\nname = '{name}'\nsha256 = '{digest}'\n")
}
