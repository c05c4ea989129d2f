//! One registry: its HTTP client, the way in, and what is remembered of it.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::answer::Answer;
use super::auth::Auth;
use super::credentials::Credentials;
use super::empty::EmptyBlobs;
use super::failure::{Host, causes};
use super::location::is_home;
use super::realm::{Realms, is_loopback};
use super::retry::{Pauses, Retry};
use super::support::Support;
use super::transport::{Call, Transport};
use super::written::Written;
use crate::authorities;
use crate::config::{ReferrersMode, RegistryConfig};
use crate::domain::RegistryHost;
use crate::metrics::Metrics;
use crate::ports::{RegistryError, RegistrySettings};

/// The client of one registry. What it can do stands in the files beside this one: `manifest`,
/// `blob`, `upload`, `attach`, `referrers`, `push`.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) host: Host,
    pub(super) settings: RegistrySettings,
    pub(super) retry: Retry,
    pub(super) referrers: ReferrersMode,
    /// Which repositories have the referrers API.
    pub(super) support: Support,
    /// What was written at which tags.
    pub(super) written: Written,
    /// Which repositories have the empty blob.
    pub(super) empty_blobs: EmptyBlobs,
    /// A [`super::upload::SingleRequest`].
    pub(super) single_request: AtomicU8,
    /// `https://host/v2/`
    base: Url,
    transport: Transport,
    auth: Auth,
}

impl Client {
    /// # Errors
    /// Where something in `config` can not be used. The sentence names the setting or the file.
    pub(super) fn new(
        config: &RegistryConfig,
        metrics: Arc<Metrics>,
        pauses: Pauses,
    ) -> Result<Self, String> {
        let base = base_url(config)?;
        let credentials = Credentials::from_config(config)?;
        let realms = Realms::new(token_hosts(config), config.plain_http)?;
        let host = Host::new(config.host.clone());
        Ok(Self {
            settings: RegistrySettings {
                default_format: config.format,
                allow_mixed_layouts: config.allow_mixed_layouts,
                max_signatures: config.max_signatures_per_image,
            },
            retry: Retry::new(pauses, config.request_timeout, rand::random),
            referrers: config.referrers,
            support: Support::default(),
            written: Written::default(),
            empty_blobs: EmptyBlobs::default(),
            single_request: AtomicU8::default(),
            transport: Transport {
                http: http_client(config, &base)?,
                host: host.clone(),
                metrics,
                timeout: config.request_timeout,
            },
            auth: Auth::new(credentials, realms),
            base,
            host,
        })
    }

    /// `/v2/<repository>/<rest>` on this registry. `rest` is a path without a query.
    pub(super) fn url(&self, repository: &str, rest: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{repository}/{rest}"));
        url
    }

    /// As [`Client::ask`].
    ///
    /// # Errors
    /// [`Answer::refusal`] says which answers are errors whatever was asked.
    pub(super) async fn send(&self, repository: &str, call: &Call) -> Result<Answer, RegistryError> {
        let answer = self.ask(repository, call).await?;
        match answer.refusal(&self.host) {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }

    /// Sends `call` about `repository`, with credentials where it goes to this registry, and once
    /// more where it is challenged. An answer of any status is an answer.
    pub(super) async fn ask(&self, repository: &str, call: &Call) -> Result<Answer, RegistryError> {
        if !is_home(&self.base, &call.url) {
            return self.transport.transmit(call, None).await;
        }
        let authorization = self.auth.authorization(&self.transport, repository).await?;
        let header = authorization.as_ref().map(|authorization| &authorization.header);
        let answer = self.transport.transmit(call, header).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let better = self.auth.after_refusal(&self.transport, repository, authorization.as_ref(), &answer);
        match better.await? {
            Some(better) => self.transport.transmit(call, Some(&better.header)).await,
            None => Ok(answer),
        }
    }
}

fn base_url(config: &RegistryConfig) -> Result<Url, String> {
    let scheme = if config.plain_http { "http" } else { "https" };
    // Docker Hub's images are named after a host that does not speak the protocol.
    let host = match config.host.as_str() {
        RegistryHost::DOCKER_HUB => "registry-1.docker.io",
        host => host,
    };
    Url::parse(&format!("{scheme}://{host}/v2/"))
        .ok()
        .filter(|url| url.path() == "/v2/" && url.username().is_empty() && url.query().is_none())
        .ok_or_else(|| "`host` is written as in image references: `host` or `host:port`".to_owned())
}

fn token_hosts(config: &RegistryConfig) -> Vec<String> {
    let mut hosts = config.token_hosts.clone();
    hosts.push(config.host.clone());
    if config.host == RegistryHost::DOCKER_HUB {
        hosts.push("auth.docker.io".to_owned());
    }
    hosts
}

fn http_client(config: &RegistryConfig, base: &Url) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Transport::CONNECT_TIMEOUT)
        .timeout(config.request_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE);
    // A proxy could not reach this machine under the name that it has for itself.
    if base.host().is_some_and(|host| is_loopback(&host)) {
        builder = builder.no_proxy();
    }
    if let Some(path) = &config.ca_file {
        let roots = authorities::of_file(path).map_err(|error| format!("the CA file {error}"))?;
        builder = builder.tls_certs_only(roots);
    } else if config.plain_http && config.token_hosts.is_empty() {
        // Nothing is ever asked over TLS, so the platform's roots need not be read.
        builder = builder.tls_certs_only(Vec::new());
    }
    builder.build().map_err(causes)
}

/// Shorter than what servers and load balancers commonly allow, so that it is we who hang up.
const IDLE: Duration = Duration::from_secs(50);
const MAX_IDLE: usize = 32;
