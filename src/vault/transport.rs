//! HTTP to one Vault, and to nobody else.

use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Response};
use reqwest::Certificate;
use reqwest::redirect::Policy;
use rustify::errors::ClientError;
use url::Url;

use super::signer::StartError;
use crate::config::VaultConfig;

/// Sends requests to the configured address. Redirects are answers here, never followed, because
/// they would carry the token to another host; proxies from the environment are not used, for the
/// same reason.
///
/// Unlike rustify's own client it hands out every answer, whatever its status, with its headers:
/// `Retry-After` comes with statuses that are errors.
pub(super) struct Transport {
    http: reqwest::Client,
    base: String,
}

/// Vault was silent for so long when a connection was to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes of an answer. A group of 10,000 signatures, Vault's own limit, has about 2 MB.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
#[error("the answer has more than {MAX_ANSWER} bytes")]
struct TooLarge;

impl Transport {
    /// # Errors
    /// Where the address or the authorities' file can not be used.
    pub(super) fn new(config: &VaultConfig) -> Result<Self, StartError> {
        let base = base(&config.address)?;
        let builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(config.request_timeout)
            .tcp_nodelay(true);
        let builder = match &config.ca_file {
            // Reading the system's authorities takes time and memory that plain HTTP has no use for.
            _ if config.address.scheme() == "http" => builder.tls_certs_only(Vec::new()),
            Some(path) => builder.tls_certs_only(authorities(path)?),
            None => builder,
        };
        Ok(Self { http: builder.build()?, base })
    }
}

#[async_trait]
impl rustify::client::Client for Transport {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        let request = reqwest::Request::try_from(request)
            .map_err(|source| ClientError::ReqwestBuildError { source })?;
        let (url, method) = (request.url().to_string(), request.method().to_string());
        let mut answer = self.http.execute(request).await.map_err(|error| ClientError::RequestError {
            source: error.into(),
            url,
            method,
        })?;

        let mut response = Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        while let Some(chunk) =
            answer.chunk().await.map_err(|error| ClientError::ResponseError { source: error.into() })?
        {
            if response.body().len() + chunk.len() > MAX_ANSWER {
                return Err(ClientError::ResponseError { source: TooLarge.into() });
            }
            response.body_mut().extend_from_slice(&chunk);
        }
        Ok(response)
    }

    /// Sends, as above: no status is an error yet.
    async fn execute(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        self.send(request).await
    }

    fn base(&self) -> &str {
        &self.base
    }
}

/// What every path is appended to: the address with the version of the API.
fn base(address: &Url) -> Result<String, StartError> {
    if !matches!(address.scheme(), "http" | "https") || address.host().is_none() {
        return Err(StartError::Address("write it as `https://vault.example.com:8200`"));
    }
    if !address.username().is_empty() || address.password().is_some() {
        return Err(StartError::Address("it may hold no user and no password: URLs end up in logs"));
    }
    if address.query().is_some() || address.fragment().is_some() {
        return Err(StartError::Address("it may hold no `?` and no `#`"));
    }
    Ok(format!("{}/v1", address.as_str().trim_end_matches('/')))
}

fn authorities(path: &std::path::Path) -> Result<Vec<Certificate>, StartError> {
    let problem = |reason: String| StartError::CaFile { path: path.display().to_string(), reason };
    let pem = std::fs::read(path).map_err(|error| problem(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| problem(error.to_string()))?;
    if certificates.is_empty() {
        return Err(problem("it holds no PEM block `CERTIFICATE`".to_owned()));
    }
    Ok(certificates)
}
