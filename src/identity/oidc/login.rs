//! People who log in at an issuer: the authorization code flow with PKCE. The `oauth2` crate speaks it; what comes out is an ID token,
//! which is held to the same rules as any other token of the issuer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, HttpRequest, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    Scope, StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::OidcAuthenticator;
use super::fetch::{Endpoints, FetchError, Provider};
use crate::config::{IssuerConfig, LoginConfig, Secret};
use crate::domain::{Clock, Principal, Timestamp, Workload};
use crate::ports::{LoginBegun, LoginError, LoginPending, LoginProvider};

/// Signet as a client of one of its issuers.
pub struct OidcLogin {
    issuer: IssuerConfig,
    client_id: String,
    secret: Option<Secret>,
    scopes: Vec<String>,
    provider: Arc<Provider>,
    /// What the provider has said last, and when.
    known: Mutex<Option<(Timestamp, Endpoints)>>,
    tokens: Arc<OidcAuthenticator>,
    clock: Arc<dyn Clock>,
}

/// The answer with the ID token, of which nothing is believed before it was verified.
type TokenResponse = StandardTokenResponse<IdToken, BasicTokenType>;

type Client = oauth2::Client<
    BasicErrorResponse,
    TokenResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

#[derive(Clone, Serialize, Deserialize)]
struct IdToken {
    id_token: String,
}

impl ExtraTokenFields for IdToken {}

impl std::fmt::Debug for IdToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdToken(…)")
    }
}

impl OidcLogin {
    /// How long what a provider has said of itself is believed.
    const KNOWN_FOR: Duration = Duration::from_secs(10 * 60);

    /// `tokens` verifies the tokens of `issuer`.
    ///
    /// # Errors
    /// Where a file that the configuration names can not be used.
    pub fn new(
        login: &LoginConfig,
        issuer: &IssuerConfig,
        tokens: Arc<OidcAuthenticator>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        Ok(Self {
            provider: Arc::new(Provider::new(issuer)?),
            issuer: issuer.clone(),
            client_id: login.client_id.clone(),
            secret: login.secret(),
            scopes: login.scopes.clone(),
            known: Mutex::default(),
            tokens,
            clock,
        })
    }

    async fn client(&self, redirect: &Url) -> Result<Client, LoginError> {
        let endpoints = self.endpoints().await?;
        let client = oauth2::Client::<_, TokenResponse, _, _, _>::new(ClientId::new(self.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(endpoints.authorization))
            .set_token_uri(TokenUrl::from_url(endpoints.token))
            .set_redirect_uri(RedirectUrl::from_url(redirect.clone()));
        Ok(match &self.secret {
            None => client,
            Some(secret) => {
                let secret = secret.current().map_err(|error| LoginError::Secret(error.to_string()))?;
                client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
            }
        })
    }

    async fn endpoints(&self) -> Result<Endpoints, LoginError> {
        let now = self.clock.now();
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((since, endpoints)) = &*known
                && since.checked_add(Self::KNOWN_FOR).is_ok_and(|until| now < until)
            {
                return Ok(endpoints.clone());
            }
        }
        let found = self.provider.endpoints().await;
        let found = found.map_err(|error| LoginError::Unreachable(error.to_string()))?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, found.clone()));
        Ok(found)
    }

    /// What an ID token has to say besides what every token of the issuer has to: that it is of this log-in, and for us.
    fn check(&self, workload: &Workload, nonce: &str) -> Result<(), LoginError> {
        let wrong = |what: &str| Err(LoginError::Token(what.to_owned()));
        if workload.issuer != self.issuer.name {
            return wrong("it is another issuer's");
        }
        let text = |name: &str| workload.claims.get(name).and_then(serde_json::Value::as_str);
        let is_nonce = text("nonce").is_some_and(|given| given.as_bytes().ct_eq(nonce.as_bytes()).into());
        if !is_nonce {
            return wrong("it is of another log-in: its `nonce` is not the one that was sent");
        }
        let audience = workload.claims.get("aud");
        let is_for_us = match audience {
            Some(serde_json::Value::String(one)) => *one == self.client_id,
            Some(serde_json::Value::Array(many)) => {
                many.iter().any(|one| one.as_str() == Some(&self.client_id))
            }
            _ => false,
        };
        if !is_for_us {
            return wrong("it is for another client");
        }
        match workload.claims.get("azp") {
            Some(authorized) if authorized.as_str() != Some(&self.client_id) => {
                wrong("another client was authorized")
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl LoginProvider for OidcLogin {
    fn name(&self) -> &str {
        &self.issuer.name
    }

    async fn begin(&self, redirect: &Url) -> Result<LoginBegun, LoginError> {
        let client = self.client(redirect).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let nonce = CsrfToken::new_random_len(32).into_secret();
        let request = client
            .authorize_url(CsrfToken::new_random)
            .add_scopes(self.scopes.iter().cloned().map(Scope::new))
            .add_extra_param("nonce", nonce.clone())
            .set_pkce_challenge(challenge);
        let (url, state) = request.url();
        let verifier = verifier.into_secret().into();
        Ok(LoginBegun { url, pending: LoginPending { state: state.into_secret(), nonce, verifier } })
    }

    async fn finish(
        &self,
        redirect: &Url,
        code: SecretString,
        pending: LoginPending,
        issuer: Option<&str>,
    ) -> Result<Principal, LoginError> {
        if issuer.is_some_and(|issuer| issuer != self.issuer.issuer) {
            return Err(LoginError::Refused("the answer says that another provider has given it".to_owned()));
        }
        let client = self.client(redirect).await?;
        let provider = self.provider.clone();
        let ask = move |request: HttpRequest| {
            let provider = provider.clone();
            async move { provider.send(request).await }
        };
        let answer = client
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.expose_secret().to_owned()))
            .request_async(&ask)
            .await
            .map_err(refused)?;
        let id_token = &answer.extra_fields().id_token;
        let workload = self.tokens.authenticate(id_token).await;
        let workload = workload.map_err(|refusal| LoginError::Token(refusal.to_string()))?;
        self.check(&workload, &pending.nonce)?;
        Ok(Principal::Workload(workload))
    }
}

/// Without what the provider quotes: it may quote the code.
fn refused(error: RequestTokenError<FetchError, BasicErrorResponse>) -> LoginError {
    match error {
        RequestTokenError::ServerResponse(answer) => LoginError::Refused(match answer.error() {
            BasicErrorResponseType::Extension(_) => "with an error that is none of RFC 6749".to_owned(),
            known => known.to_string(),
        }),
        RequestTokenError::Request(error) => LoginError::Unreachable(error.to_string()),
        RequestTokenError::Parse(..) => {
            LoginError::Refused("its answer can not be read, or has no ID token".to_owned())
        }
        RequestTokenError::Other(_) => LoginError::Refused("its answer is not understood".to_owned()),
    }
}
