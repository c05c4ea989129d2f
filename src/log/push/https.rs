//! Batches of lines over HTTPS.

use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use reqwest::redirect::Policy;
use secrecy::ExposeSecret as _;
use url::Url;

use super::{Message, Refused, Sink};
use crate::authorities;
use crate::causes::causes;
use crate::config::{PushConfig, PushFormat, Secret};

/// A receiver that is posted to: a status of 2xx says that it has taken the lines. Redirects are not followed, because the token
/// would go along.
pub(super) struct Https {
    http: reqwest::Client,
    url: Url,
    token: Option<Secret>,
    media_type: &'static str,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Https {
    /// # Errors
    /// Where the authorities' file can not be used.
    pub(super) fn new(config: &PushConfig) -> Result<Self, String> {
        let url = config.url.clone().ok_or("it has no `url`")?;
        let plain = url.scheme() == "http";
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .https_only(!plain)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(config.timeout);
        if plain {
            // This machine: a proxy could not reach it, and there is nobody to be trusted.
            builder = builder.no_proxy().tls_certs_only(Vec::new());
        }
        if let Some(path) = &config.ca_file {
            let roots = authorities::of_file(path).map_err(|error| format!("ca_file: {error}"))?;
            builder = builder.tls_certs_only(roots);
        }
        let media_type = match config.format {
            PushFormat::Json | PushFormat::Ocsf => "application/x-ndjson",
            PushFormat::Cef => "text/plain; charset=utf-8",
        };
        let http = builder.build().map_err(|error| causes(&error))?;
        let token = Secret::either(config.token.clone(), config.token_file.clone());
        Ok(Self { http, url, token, media_type })
    }
}

#[async_trait]
impl Sink for Https {
    async fn send(&self, messages: &[Message]) -> Result<(), Refused> {
        let lines = messages.iter().flat_map(|message| message.text.iter().copied().chain([b'\n']));
        let mut request = self.http.post(self.url.clone()).header(CONTENT_TYPE, self.media_type);
        if let Some(token) = &self.token {
            let token = token.current().map_err(|error| Refused::new(error.to_string()))?;
            request = request.bearer_auth(token.expose_secret());
        }
        let answer = request.body(lines.collect::<Vec<_>>()).send().await;
        // Not the URL: it may hold a secret.
        let answer = answer.map_err(|error| Refused::new(causes(&error.without_url())))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(Refused {
            reason: format!("it answered with {status}"),
            too_large: status == StatusCode::PAYLOAD_TOO_LARGE,
            retry_after: retry_after(answer.headers()),
        })
    }
}

/// In seconds, as most say it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
