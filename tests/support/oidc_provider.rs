//! Vault as a provider of OpenID Connect, at which people log in. The stand-in is none.
//!
//! What is so of Vault 1.21, seen in `tests/browser/provider.rs`:
//! - the authorization endpoint that it publishes is a page of its interface, `/ui/vault/identity/oidc/provider/NAME/authorize`.
//!   Behind that page is `GET /v1/identity/oidc/provider/NAME/authorize` with the person's token, which answers with JSON;
//! - a public client has to use PKCE, with a challenge of at least 43 characters, and has no secret;
//! - a redirect to a loopback address is compared without its port (RFC 8252), any other character by character;
//! - a code is good for one exchange, and a wrong `code_verifier` uses it up;
//! - `sub` is the entity's id, `aud` the client's id, and claims come with the scopes that the provider supports and the
//!   client asks for: here `email`, `groups` and `profile`;
//! - a scope that it does not support is ignored, and `response_type` has to be `code`.
//!
//! The provider is on `localhost` while tests reach Signet at `127.0.0.1`: two sites, as in production, so that a browser
//! withholds cookies that are `SameSite=Strict` when it comes back from the one to the other.

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::servers::{self, Vault, client, unique};

/// A provider with one client. What it is made of stays in the Vault of the tests, under names that nobody else uses.
pub struct OidcProvider {
    /// `http://localhost:port/v1/identity/oidc/provider/…`
    pub issuer: String,
    pub client_id: String,
    /// `None` for a public client.
    pub client_secret: Option<String>,
    name: String,
    accessor: String,
    vault: Vault,
    client: reqwest::Client,
}

/// Somebody who can log in.
#[derive(Debug, Clone)]
pub struct Person {
    pub name: String,
    pub email: String,
    /// As the provider names them in `groups`.
    pub groups: Vec<String>,
    /// The claim `sub`.
    pub subject: String,
    login: String,
    password: String,
}

impl OidcProvider {
    /// With a client that has a secret. `redirect_uri` is where people may be sent back to; on a loopback address, at any
    /// port.
    pub async fn start(redirect_uri: &str) -> Self {
        Self::with_client("confidential", redirect_uri).await
    }

    /// As [`OidcProvider::start`], with a client that has none.
    pub async fn start_public(redirect_uri: &str) -> Self {
        Self::with_client("public", redirect_uri).await
    }

    async fn with_client(client_type: &str, redirect_uri: &str) -> Self {
        assert!(
            servers::are_real(),
            "the stand-in is no provider of OpenID Connect: these tests need `tests/run`"
        );
        let (vault, name) = (servers::vault(), unique("provider"));
        let base = vault.address.replace("127.0.0.1", "localhost");
        let mut provider = Self {
            issuer: format!("{base}/v1/identity/oidc/provider/{name}"),
            client_id: String::new(),
            client_secret: None,
            name,
            accessor: String::new(),
            vault,
            client: client(),
        };
        let name = provider.name.clone();
        provider.post(&format!("sys/auth/{name}"), json!({"type": "userpass"})).await;
        let mount = provider.get(&format!("sys/auth/{name}")).await;
        provider.accessor = mount["accessor"].as_str().expect("a mount has an accessor").to_owned();
        // The same for all tests, because clients ask for scopes by these names.
        for (scope, template) in [
            ("email", r#"{"email": {{identity.entity.metadata.email}}}"#),
            ("groups", r#"{"groups": {{identity.entity.groups.names}}}"#),
            ("profile", r#"{"name": {{identity.entity.metadata.name}}}"#),
        ] {
            provider.post(&format!("identity/oidc/scope/{scope}"), json!({"template": template})).await;
        }
        let key = json!({"allowed_client_ids": "*", "algorithm": "RS256"});
        provider.post(&format!("identity/oidc/key/{name}"), key).await;
        let client = json!({
            "key": name,
            "redirect_uris": [redirect_uri],
            "assignments": ["allow_all"],
            "client_type": client_type,
            "id_token_ttl": "10m",
            "access_token_ttl": "10m",
        });
        provider.post(&format!("identity/oidc/client/{name}"), client).await;
        let client = provider.get(&format!("identity/oidc/client/{name}")).await;
        provider.client_id = client["client_id"].as_str().expect("a client has an id").to_owned();
        provider.client_secret = client["client_secret"].as_str().map(str::to_owned);
        let own = json!({
            "issuer": base,
            "allowed_client_ids": [provider.client_id],
            "scopes_supported": ["email", "groups", "profile"],
        });
        provider.post(&format!("identity/oidc/provider/{name}"), own).await;
        provider
    }

    /// What a group goes by that this test calls `group`: names of groups are one for the whole Vault.
    pub fn group(&self, group: &str) -> String {
        format!("{group}-{}", self.name)
    }

    /// Somebody new, who is in these groups of this test's.
    pub async fn person(&self, name: &str, groups: &[&str]) -> Person {
        let (login, password) = (unique("person"), unique("password"));
        let email = format!("{login}@example.com");
        let user = json!({"password": password, "token_ttl": "10m"});
        self.post(&format!("auth/{}/users/{login}", self.name), user).await;
        let entity = json!({"name": login, "metadata": {"name": name, "email": email}});
        let entity = self.post("identity/entity", entity).await;
        let subject = entity["id"].as_str().expect("an entity has an id").to_owned();
        let alias = json!({"name": login, "canonical_id": subject, "mount_accessor": self.accessor});
        self.post("identity/entity-alias", alias).await;
        let groups = groups.iter().map(|group| self.group(group)).collect::<Vec<_>>();
        for group in &groups {
            let path = format!("identity/group/name/{group}");
            let (_, known) = self.call(Method::GET, &path, Value::Null).await;
            let mut members = known["data"]["member_entity_ids"].as_array().cloned().unwrap_or_default();
            members.push(json!(subject));
            self.post(&path, json!({"member_entity_ids": members})).await;
        }
        Person { name: name.to_owned(), email, groups, subject, login, password }
    }

    /// Does what `person` does who was sent to `authorization_url`: logs in, and agrees. Where the browser is sent then.
    ///
    /// # Errors
    /// What the provider says where it refuses.
    pub async fn log_in(&self, person: &Person, authorization_url: &str) -> Result<String, Value> {
        let asked = Url::parse(authorization_url).expect("the authorization URL is one");
        let path = asked.path().strip_prefix("/ui/vault/").expect("the endpoint that Vault publishes");
        assert_eq!(path, format!("identity/oidc/provider/{}/authorize", self.name));
        let path = format!("{path}?{}", asked.query().unwrap_or_default());

        let login = format!("auth/{}/login/{}", self.name, person.login);
        let login = self.post_for(&login, json!({"password": person.password})).await;
        let token = login["auth"]["client_token"].as_str().expect("a login gives a token");
        let request = self.client.get(format!("{}/v1/{path}", self.vault.address));
        let answer = request.header("X-Vault-Token", token).send().await.expect("Vault answers");
        let said: Value = answer.json().await.expect("Vault answers with JSON");
        let Some(code) = said["code"].as_str() else { return Err(said) };

        let asked_for = |name| asked.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
        let back = asked_for("redirect_uri").expect("Vault has compared it");
        let mut back = Url::parse(&back).expect("Vault has compared it");
        back.query_pairs_mut().append_pair("code", code);
        if let Some(state) = said["state"].as_str().filter(|state| !state.is_empty()) {
            back.query_pairs_mut().append_pair("state", state);
        }
        Ok(back.into())
    }

    async fn get(&self, path: &str) -> Value {
        let (succeeded, mut answer) = self.call(Method::GET, path, Value::Null).await;
        assert!(succeeded, "{path}: {answer}");
        answer["data"].take()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.post_for(path, body).await["data"].take()
    }

    async fn post_for(&self, path: &str, body: Value) -> Value {
        let (succeeded, answer) = self.call(Method::POST, path, body).await;
        assert!(succeeded, "{path}: {answer}");
        answer
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (bool, Value) {
        let mut request = self.client.request(method, format!("{}/v1/{path}", self.vault.address));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.header("X-Vault-Token", &self.vault.root_token).send().await;
        let answer = answer.expect("Vault answers");
        (answer.status().is_success(), answer.json().await.unwrap_or_default())
    }
}
