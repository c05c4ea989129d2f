//! What holds for every page: what it may load, who may frame it, whence forms may come, and that problems are pages, too.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Request;
use axum::http::header::{CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use tower_http::set_header::SetResponseHeaderLayer;
use url::Url;

use super::page::{Frame, Section, html_with};
use super::parts::plain;
use super::session::Found;
use crate::domain::RequestId;
use crate::http::ApiState;
use crate::http::problem::Problem;

/// Pages load what Signet serves, and nothing else; nothing in a page runs that is not a file of ours.
const CONTENT_SECURITY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
    // Other sites learn nothing, and forms still say whence they come.
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Puts it around `pages`.
pub fn around(pages: Router<ApiState>) -> Router<ApiState> {
    let guarded = pages.layer(from_fn(problems_are_pages));
    HEADERS.into_iter().fold(guarded, |pages, (name, value)| {
        pages.layer(SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value)))
    })
}

/// Whether a form was sent from one of our own pages (Fetch Metadata, and `Origin`). A browser that says neither is not believed.
///
/// # Errors
/// `forbidden`, with what to do.
pub fn from_our_own_page(headers: &HeaderMap, public_url: Option<&Url>) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let is_ours = match (site, text(ORIGIN)) {
        (Some("same-origin"), _) => true,
        (Some(_), _) | (None, None) => false,
        (None, Some(origin)) => is_own_origin(origin, text(HOST), public_url),
    };
    if is_ours { Ok(()) } else { Err(Problem::from_elsewhere()) }
}

fn is_own_origin(origin: &str, host: Option<&str>, public_url: Option<&Url>) -> bool {
    if let Some(url) = public_url {
        return url.origin().ascii_serialization() == origin;
    }
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    authority.is_some() && authority == host
}

/// A problem, as people read it.
#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    status: u16,
    title: &'static str,
    detail: String,
    code: &'static str,
    request_id: String,
}

async fn problems_are_pages(mut request: Request, next: Next) -> Response {
    let found = Found::default();
    request.extensions_mut().insert(Arc::clone(&found));
    let request_id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let status = problem.status();
    let page = ProblemPage {
        frame: Frame::new(title_of(status.as_u16()), Section::Elsewhere, found.get()),
        status: status.as_u16(),
        title: title_of(status.as_u16()),
        detail: plain(problem.detail()),
        code: problem.code(),
        request_id: request_id.map(|id| id.to_string()).unwrap_or_default(),
    };
    let headers = std::mem::take(response.headers_mut());
    let Ok(mut page) = html_with(status, &page) else { return response };
    if let Some(seconds) = problem.retry_after_seconds() {
        page.headers_mut().insert(axum::http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    for (name, value) in &headers {
        page.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    page
}

const fn title_of(status: u16) -> &'static str {
    match status {
        400 => "This question can not be understood",
        403 => "Not for you",
        404 => "Nothing here",
        405 => "Not like this",
        410 => "In the archive",
        413 => "Too much at once",
        429 | 503 => "Not now",
        502 | 504 => "Somebody else did not answer",
        _ => "This did not work",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_come_from_our_own_pages_alone() {
        let url: Url = "https://signet.example.com/".parse().unwrap();
        let asks = |headers: &[(&'static str, &str)], url: Option<&Url>| {
            let headers = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            from_our_own_page(&headers, url).is_ok()
        };
        assert!(asks(&[("sec-fetch-site", "same-origin"), ("origin", "null")], None));
        assert!(asks(&[("origin", "https://signet.example.com")], Some(&url)));
        assert!(asks(&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], None));
        for headers in [
            &[][..],
            &[("host", "127.0.0.1:8080")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://signet.example.com")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "null"), ("host", "null")],
            &[("origin", "https://signet.example.com.evil.example")],
            &[("origin", "https://evil.example"), ("host", "signet.example.com")],
        ] {
            assert!(!asks(headers, Some(&url)), "{headers:?}");
            assert!(!asks(headers, None), "{headers:?}");
        }
    }
}
