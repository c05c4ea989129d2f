//! What is so of the provider at which tests log in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use signet::config::IdentityConfig;
use signet::domain::{Clock as _, SystemClock};
use signet::identity::OfflineIssuer;
use url::Url;

use crate::support::OidcProvider;
use crate::support::oidc_provider::Person;
use crate::support::servers::{client, unique};

const BACK: &str = "http://127.0.0.1/audit/callback";
/// At another port than the client is known with.
const BACK_AT_A_PORT: &str = "http://127.0.0.1:4711/audit/callback";

/// One login, as a client sees it.
struct Login {
    state: String,
    nonce: String,
    verifier: String,
}

impl Login {
    fn new() -> Self {
        // Longer than the 43 characters that RFC 7636 asks for.
        Self { state: unique("state"), nonce: unique("nonce"), verifier: unique("verifier") + &unique("-") }
    }

    fn url(&self, endpoint: &str, client_id: &str) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier));
        let parameters = [
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", BACK_AT_A_PORT),
            ("scope", "openid email groups profile unknown"),
            ("state", &self.state),
            ("nonce", &self.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        Url::parse_with_params(endpoint, parameters).unwrap().into()
    }

    /// Logs `person` in, and returns the code.
    async fn code(&self, provider: &OidcProvider, person: &Person) -> String {
        let discovery = discovery(provider).await;
        let endpoint = discovery["authorization_endpoint"].as_str().unwrap();
        let back = provider.log_in(person, &self.url(endpoint, &provider.client_id)).await.unwrap();
        let query = back.strip_prefix(&format!("{BACK_AT_A_PORT}?")).unwrap();
        let mut query = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        let (code, state) = (query.next().unwrap(), query.next().unwrap());
        assert_eq!((code.0.as_str(), state), ("code", ("state".to_owned(), self.state.clone())));
        code.1
    }

    async fn exchange(&self, provider: &OidcProvider, code: &str) -> Result<Value, Value> {
        let discovery = discovery(provider).await;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("grant_type", "authorization_code"),
                ("client_id", &provider.client_id),
                ("code", code),
                ("redirect_uri", BACK_AT_A_PORT),
                ("code_verifier", &self.verifier),
            ])
            .finish();
        let mut request = client().post(discovery["token_endpoint"].as_str().unwrap()).body(form);
        request = request.header("Content-Type", "application/x-www-form-urlencoded");
        if let Some(secret) = &provider.client_secret {
            request = request.basic_auth(&provider.client_id, Some(secret));
        }
        let answer = request.send().await.unwrap();
        let succeeded = answer.status().is_success();
        let body = answer.json().await.unwrap();
        if succeeded { Ok(body) } else { Err(body) }
    }
}

#[tokio::test]
async fn a_person_logs_in_and_signet_believes_the_token() {
    for provider in [OidcProvider::start(BACK).await, OidcProvider::start_public(BACK).await] {
        let person = provider.person("Ada <b>", &["auditors", "security"]).await;
        let login = Login::new();
        let code = login.code(&provider, &person).await;
        let tokens = login.exchange(&provider, &code).await.unwrap();
        let token = tokens["id_token"].as_str().unwrap();

        let config = format!(
            "audience = '{}'\n[[issuers]]\nname = 'people'\nissuer = '{}'\nalgorithms = ['RS256']\njwks_file = 'keys'\n",
            provider.client_id, provider.issuer
        );
        let config: IdentityConfig = toml::from_str(&config).unwrap();
        let discovery = discovery(&provider).await;
        let keys = client().get(discovery["jwks_uri"].as_str().unwrap()).send().await.unwrap();
        let issuer = OfflineIssuer::new(&config, &config.issuers[0], &keys.bytes().await.unwrap()).unwrap();
        let workload = issuer.verify(token, SystemClock.now()).unwrap();
        assert_eq!(workload.name, person.subject);

        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["iss"], *provider.issuer);
        assert_eq!(claims["aud"], *provider.client_id);
        assert_eq!(claims["nonce"], *login.nonce);
        assert_eq!((&claims["name"], &claims["email"]), (&person.name.into(), &person.email.into()));
        let mut groups: Vec<String> = serde_json::from_value(claims["groups"].clone()).unwrap();
        groups.sort();
        assert_eq!(groups, person.groups);

        // A code is good for one exchange.
        assert_eq!(login.exchange(&provider, &code).await.unwrap_err()["error"], "invalid_grant");
    }
}

#[tokio::test]
async fn a_wrong_verifier_is_refused_and_uses_the_code_up() {
    let provider = OidcProvider::start(BACK).await;
    let person = provider.person("Ada", &[]).await;
    let login = Login::new();
    let code = login.code(&provider, &person).await;
    let wrong = Login { verifier: Login::new().verifier, ..Login::new() };
    assert_eq!(wrong.exchange(&provider, &code).await.unwrap_err()["error"], "invalid_grant");
    assert_eq!(login.exchange(&provider, &code).await.unwrap_err()["error"], "invalid_grant");
}

#[tokio::test]
async fn nobody_is_sent_back_to_a_stranger() {
    let provider = OidcProvider::start("https://signet.example.com/audit/callback").await;
    let person = provider.person("Ada", &[]).await;
    let endpoint = discovery(&provider).await["authorization_endpoint"].as_str().unwrap().to_owned();
    let url = Login::new().url(&endpoint, &provider.client_id);
    assert_eq!(provider.log_in(&person, &url).await.unwrap_err()["error"], "invalid_redirect_uri");
}

/// The provider's discovery document, which has to be its own.
async fn discovery(provider: &OidcProvider) -> Value {
    let url = format!("{}/.well-known/openid-configuration", provider.issuer);
    let document: Value = client().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["issuer"], *provider.issuer);
    document
}
