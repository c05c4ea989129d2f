//! Getting what an issuer publishes: its discovery document and its keys.

use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, CACHE_CONTROL, HeaderMap};
use serde::Deserialize;
use url::Url;

use crate::config::{IssuerConfig, is_trustworthy};
use crate::input;
use crate::{authorities, causes};

/// Where an issuer's keys come from.
pub(super) enum Source {
    File(Box<Path>),
    Uri {
        http: reqwest::Client,
        keys: Url,
    },
    /// OpenID Connect Discovery 1.0.
    Discovery {
        http: reqwest::Client,
        document: Url,
        issuer: String,
    },
}

/// What was found, and for how long its owner says that it is good.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    pub(super) fresh_for: Option<Duration>,
}

/// Why nothing was found. Says whom was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{path}: {reason}")]
    File { path: String, reason: String },
    #[error("{url}: {reason}")]
    Unreachable { url: Url, reason: String },
    #[error("{url} answered with {status}{}", if status.is_redirection() { ", and redirects are not followed" } else { "" })]
    Status { url: Url, status: StatusCode },
    #[error("{from} has more than {} bytes", Source::MAX)]
    TooLarge { from: String },
    #[error("the discovery document {url} {problem}")]
    Discovery { url: Url, problem: String },
}

impl Source {
    /// Bytes of a document.
    const MAX: usize = 1024 * 1024;

    const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

    /// For one document.
    const TIMEOUT: Duration = Duration::from_secs(10);

    /// # Errors
    /// Where the file of authorities can not be used.
    pub(super) fn new(config: &IssuerConfig) -> Result<Self, String> {
        if let Some(path) = &config.jwks_file {
            return Ok(Self::File(path.as_path().into()));
        }
        if let Some(keys) = &config.jwks_uri {
            return Ok(Self::Uri { http: client(config, keys)?, keys: keys.clone() });
        }
        let document = document_of(config)?;
        Ok(Self::Discovery { http: client(config, &document)?, document, issuer: config.issuer.clone() })
    }

    /// Whether looking costs nobody anything, so that it can be done often.
    pub(super) const fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The key set as it is now. Takes at most twice [`Source::TIMEOUT`].
    pub(super) async fn keys(&self) -> Result<Found, FetchError> {
        match self {
            Self::File(path) => file(path).await,
            Self::Uri { http, keys } => get(http, keys).await,
            Self::Discovery { http, document, issuer } => {
                let found = get(http, document).await?;
                get(http, &discovered(document, issuer, &found.bytes)?).await
            }
        }
    }
}

/// An issuer at which people log in, asked for where they do, and for tokens.
pub(super) struct Provider {
    http: reqwest::Client,
    document: Url,
    issuer: String,
}

/// Where a provider wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoints {
    pub(super) authorization: Url,
    pub(super) token: Url,
}

impl Provider {
    /// # Errors
    /// Where the file of authorities can not be used.
    pub(super) fn new(config: &IssuerConfig) -> Result<Self, String> {
        let document = document_of(config)?;
        Ok(Self { http: client(config, &document)?, document, issuer: config.issuer.clone() })
    }

    /// What the discovery document says. The token's endpoint may be on another host than the issuer, as with some large providers: the document
    /// came from the issuer itself.
    pub(super) async fn endpoints(&self) -> Result<Endpoints, FetchError> {
        let found = get(&self.http, &self.document).await?;
        endpoints(&self.document, &self.issuer, &found.bytes)
    }

    /// One request to one of the endpoints, and its answer as it is.
    pub(super) async fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, FetchError> {
        let (parts, body) = request.into_parts();
        let problem = |reason: String| FetchError::Discovery { url: self.document.clone(), problem: reason };
        let url = Url::parse(&parts.uri.to_string()).map_err(|error| problem(error.to_string()))?;
        let sent =
            self.http.request(parts.method, url.clone()).headers(parts.headers).body(body).send().await;
        let mut answer =
            sent.map_err(|error| FetchError::Unreachable { url: url.clone(), reason: causes(error) })?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = bytes_of(&mut answer, &url).await?;
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// # Errors
/// Where the document is another issuer's, or sends people or secrets where somebody could read along.
fn endpoints(document: &Url, issuer: &str, bytes: &[u8]) -> Result<Endpoints, FetchError> {
    #[derive(Deserialize)]
    struct Document {
        issuer: String,
        authorization_endpoint: Url,
        token_endpoint: Url,
    }
    let problem = |problem: String| FetchError::Discovery { url: document.clone(), problem };
    let found: Document =
        input::from_json(bytes).map_err(|error| problem(format!("can not be read: {error}")))?;
    if found.issuer != issuer {
        return Err(problem(OTHER_ISSUER.to_owned()));
    }
    for (name, url) in
        [("authorization_endpoint", &found.authorization_endpoint), ("token_endpoint", &found.token_endpoint)]
    {
        if !is_trustworthy(url) {
            let url = super::refusal::quoted(url.as_str());
            return Err(problem(format!("has the `{name}` {url}, which is not safe: https:// is needed")));
        }
    }
    Ok(Endpoints { authorization: found.authorization_endpoint, token: found.token_endpoint })
}

/// Of another issuer's document.
const OTHER_ISSUER: &str =
    "is that of another issuer: its `issuer` is not the configured one, character by character";

/// Where an issuer's discovery document is.
fn document_of(config: &IssuerConfig) -> Result<Url, String> {
    let document = format!("{}/.well-known/openid-configuration", config.issuer.trim_end_matches('/'));
    Url::parse(&document).map_err(|error| format!("`issuer`: {error}"))
}

/// Where the discovery document says that the keys are.
///
/// # Errors
/// Where the document is another issuer's, or sends us to a host that the configuration does not name.
fn discovered(document: &Url, issuer: &str, bytes: &[u8]) -> Result<Url, FetchError> {
    #[derive(Deserialize)]
    struct Document {
        issuer: String,
        jwks_uri: Url,
    }
    let problem = |problem: String| FetchError::Discovery { url: document.clone(), problem };
    let found: Document =
        input::from_json(bytes).map_err(|error| problem(format!("can not be read: {error}")))?;
    if found.issuer != issuer {
        return Err(problem(OTHER_ISSUER.to_owned()));
    }
    let keys = found.jwks_uri;
    if !is_trustworthy(&keys) || keys.origin() != document.origin() {
        return Err(problem(format!(
            "says that the keys are at {}, which is not the issuer's own host and port: name that in `jwks_uri`, if it is right",
            super::refusal::quoted(keys.as_str())
        )));
    }
    Ok(keys)
}

async fn file(path: &Path) -> Result<Found, FetchError> {
    let problem = |error: std::io::Error| FetchError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let metadata = tokio::fs::metadata(path).await.map_err(problem)?;
    if metadata.len() > Source::MAX as u64 {
        return Err(FetchError::TooLarge { from: path.display().to_string() });
    }
    let bytes = tokio::fs::read(path).await.map_err(problem)?;
    Ok(Found { bytes, fresh_for: None })
}

async fn get(http: &reqwest::Client, url: &Url) -> Result<Found, FetchError> {
    let unreachable = |error| FetchError::Unreachable { url: url.clone(), reason: causes(error) };
    let request = http.get(url.clone()).header(ACCEPT, "application/json");
    let mut response = request.send().await.map_err(unreachable)?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status { url: url.clone(), status: response.status() });
    }
    let fresh_for = max_age(response.headers());
    Ok(Found { bytes: bytes_of(&mut response, url).await?, fresh_for })
}

/// The body, where it is not too large.
async fn bytes_of(response: &mut reqwest::Response, url: &Url) -> Result<Vec<u8>, FetchError> {
    let too_large = || FetchError::TooLarge { from: url.to_string() };
    // What is announced as too large is not waited for.
    if response.content_length().is_some_and(|length| length > Source::MAX as u64) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let unreachable = |error| FetchError::Unreachable { url: url.clone(), reason: causes(error) };
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > Source::MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// `Cache-Control: max-age` (RFC 9111).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get(CACHE_CONTROL)?.to_str().ok()?.split(',');
    let mut ages = directives.filter_map(|directive| directive.trim().strip_prefix("max-age="));
    ages.next()?.parse().ok().map(Duration::from_secs)
}

fn client(config: &IssuerConfig, url: &Url) -> Result<reqwest::Client, String> {
    let plain = url.scheme() == "http";
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .https_only(!plain)
        .connect_timeout(Source::CONNECT_TIMEOUT)
        .timeout(Source::TIMEOUT)
        // It is asked once in a long while.
        .pool_max_idle_per_host(0);
    if plain {
        // This machine: a proxy could not reach it, and there is nobody to be trusted.
        builder = builder.no_proxy().tls_certs_only(Vec::new());
    }
    if let Some(path) = &config.ca_file {
        let roots = authorities::of_file(path).map_err(|error| format!("`ca_file`: {error}"))?;
        builder = builder.tls_certs_only(roots);
    }
    builder.build().map_err(causes)
}

/// What went wrong, down to the first cause.
fn causes(error: reqwest::Error) -> String {
    causes::causes(&error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discovery_document_leads_to_keys_on_the_issuers_own_host_alone() {
        let document: Url = "https://ci.example.com/x/.well-known/openid-configuration".parse().unwrap();
        let issuer = "https://ci.example.com/x";
        let read =
            |text: &str| discovered(&document, issuer, text.as_bytes()).map_err(|error| error.to_string());
        let with = |issuer: &str, keys: &str| {
            read(&format!(r#"{{"issuer":"{issuer}","jwks_uri":"{keys}","more":1}}"#))
        };
        let keys = "https://ci.example.com/keys?v=1";
        assert_eq!(with(issuer, keys).unwrap().as_str(), keys);
        assert_eq!(
            with(issuer, "https://ci.example.com:443/keys").unwrap().as_str(),
            "https://ci.example.com/keys"
        );
        for (issuer, keys, reason) in [
            ("https://ci.example.com/x/", keys, "another issuer"),
            ("https://CI.example.com/x", keys, "another issuer"),
            (issuer, "http://ci.example.com/keys", "own host"),
            (issuer, "https://ci.example.com:8443/keys", "own host"),
            (issuer, "https://ci.example.com.evil.example/keys", "own host"),
            (issuer, "https://user@ci.example.com/keys", "own host"),
            (issuer, "file:///etc/passwd", "own host"),
            (issuer, "/keys", "can not be read"),
        ] {
            let said = with(issuer, keys).unwrap_err();
            assert!(said.contains(reason), "{issuer} {keys}: {said}");
        }
        assert!(read(r#"{"issuer":"a","issuer":"b","jwks_uri":"https://ci.example.com/"}"#).is_err());
    }

    #[test]
    fn people_and_codes_are_sent_where_nobody_can_read_along() {
        let document: Url = "https://login.example.com/.well-known/openid-configuration".parse().unwrap();
        let read = |issuer: &str, people: &str, codes: &str| {
            let text = format!(
                r#"{{"issuer":"{issuer}","authorization_endpoint":"{people}","token_endpoint":"{codes}","more":[]}}"#
            );
            endpoints(&document, "https://login.example.com", text.as_bytes())
                .map_err(|error| error.to_string())
        };
        let issuer = "https://login.example.com";
        let found = read(issuer, "https://login.example.com/go", "https://tokens.example.net/t").unwrap();
        assert_eq!(found.token.as_str(), "https://tokens.example.net/t");
        assert!(read(issuer, "http://127.0.0.1:8200/ui", "http://localhost:8200/token").is_ok());
        for (issuer, people, codes, reason) in [
            ("https://other.example.com", "https://a.example/", "https://a.example/", "another issuer"),
            (issuer, "http://login.example.com/go", "https://a.example/", "authorization_endpoint"),
            (issuer, "https://a.example/", "http://login.example.com/t", "token_endpoint"),
            (issuer, "javascript:alert(1)", "https://a.example/", "authorization_endpoint"),
            (issuer, "/go", "https://a.example/", "can not be read"),
        ] {
            let said = read(issuer, people, codes).unwrap_err();
            assert!(said.contains(reason), "{people} {codes}: {said}");
        }
    }

    #[test]
    fn how_long_keys_are_fresh_is_read_from_cache_control() {
        let age = |value: &str| max_age(&HeaderMap::from_iter([(CACHE_CONTROL, value.parse().unwrap())]));
        assert_eq!(age("public, max-age=300, must-revalidate"), Some(Duration::from_secs(300)));
        assert_eq!(age("max-age=0"), Some(Duration::ZERO));
        for none in ["no-store", "max-age=x", "s-maxage=5", "max-age=-1"] {
            assert_eq!(age(none), None, "{none}");
        }
    }
}
