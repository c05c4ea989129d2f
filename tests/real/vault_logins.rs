//! How Vault lets Signet in: each method against the real Vault, and what becomes of the tokens.

use std::path::PathBuf;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem_rfc7468::LineEnding;
use reqwest::Method;
use serde_json::{Value, json};
use signet::domain::{Clock as _, SystemClock};

use crate::private_ca::{self, Authority, ROOT_TOKEN};
use crate::registries::world;
use crate::support::World;
use crate::support::servers::{self, unique};

/// An auth method of one test's own in a Vault that others use too.
pub struct AuthMount {
    path: String,
}

impl AuthMount {
    pub async fn enable(world: &World, kind: &str) -> Self {
        let path = unique(kind);
        world.vault_call(Method::POST, &format!("sys/auth/{path}"), json!({"type": kind})).await;
        Self { path }
    }

    pub async fn write(&self, world: &World, path: &str, body: Value) -> Value {
        world.vault_call(Method::POST, &format!("auth/{}/{path}", self.path), body).await
    }

    /// Revokes every token that came from here.
    pub async fn revoke_all(&self, world: &World) {
        let path = format!("sys/leases/revoke-prefix/auth/{}", self.path);
        world.vault_call(Method::POST, &path, json!({})).await;
    }

    /// An AppRole `signet` whose tokens may do what Signet needs, and `settings`. Its role id.
    pub async fn approle(&self, world: &World, settings: Value) -> String {
        let mut role = json!({"token_policies": [policy(world)], "token_no_default_policy": true});
        role.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        self.write(world, "role/signet", role).await;
        let path = format!("auth/{}/role/signet/role-id", self.path);
        let answer = world.vault_call(Method::GET, &path, Value::Null).await;
        answer["data"]["role_id"].as_str().unwrap().to_owned()
    }

    pub async fn secret_id(&self, world: &World) -> String {
        let answer = self.write(world, "role/signet/secret-id", json!({})).await;
        answer["data"]["secret_id"].as_str().unwrap().to_owned()
    }

    /// A response-wrapping token around a secret id.
    async fn wrapped_secret_id(&self, world: &World) -> String {
        let url = format!("{}/v1/auth/{}/role/signet/secret-id", world.vault.address, self.path);
        let request = world.client.post(url).header("X-Vault-Token", &world.vault.root_token);
        let answer = request.header("X-Vault-Wrap-TTL", "60").send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["wrap_info"]["token"].as_str().unwrap().to_owned()
    }

    /// Starts the world's Signet again with this way in. `settings` are lines of `[vault.auth]`.
    pub fn lead_to(&self, world: &mut World, method: &str, settings: &[&str]) {
        let lines = format!("method = '{method}'\nmount = '{}'\n{}\n", self.path, settings.join("\n"));
        use_auth(world, &lines);
    }

    /// How often Signet logged in here.
    fn logins(&self, world: &World) -> usize {
        let path = format!("/v1/auth/{}/login", self.path);
        world.vault_proxy.calls().iter().filter(|call| call.path == path).count()
    }
}

/// What [`World`] made for its key: all of `config/vault-policy.hcl`, for that key.
fn policy(world: &World) -> String {
    servers::policy_name(&world.key, 0)
}

fn use_auth(world: &mut World, lines: &str) {
    world.reconfigure(|text| {
        let changed = text.replace("method = 'token'\ntoken_file = 'vault-token'\n", lines);
        assert_ne!(changed, text);
        changed
    });
}

fn write(world: &World, file: &str, content: &str) -> PathBuf {
    let path = world.directory.path().join(file);
    std::fs::write(&path, content).unwrap();
    path
}

async fn signs(world: &World) {
    let image = world.push_image().await;
    let answer = world.sign_image(&image).await;
    assert_eq!(answer.status, 201, "{answer:?}\n{:#?}", world.signet.log_lines());
}

async fn is_denied(world: &World) {
    let image = world.push_image().await;
    let answer = world.sign_image(&image).await;
    world.assert_problem(&answer, 502, "vault-denied");
}

/// What was written is noticed soon, and not at once.
async fn signs_soon(world: &World) {
    let image = world.push_image().await;
    world.eventually("it signs", async || (world.sign_image(&image).await.status == 201).then_some(())).await;
}

fn calls(world: &World, part_of_path: &str) -> usize {
    world.vault_proxy.calls().iter().filter(|call| call.path.contains(part_of_path)).count()
}

#[tokio::test]
async fn approle_lets_signet_in_and_a_revoked_token_costs_no_request() {
    let mut world = world("ociregistry").await;
    let mount = AuthMount::enable(&world, "approle").await;
    let role_id = mount.approle(&world, json!({"token_ttl": "1h"})).await;
    write(&world, "secret-id", &mount.secret_id(&world).await);
    mount.lead_to(
        &mut world,
        "approle",
        &[&format!("role_id = '{role_id}'"), "secret_id_file = 'secret-id'"],
    );
    signs(&world).await;
    for _ in 0..3 {
        mount.revoke_all(&world).await;
        signs(&world).await;
    }
    assert_eq!(mount.logins(&world), 4);
    assert_eq!(world.readiness().await.status, 200);
    let expires = world.metric("signet_vault_token_expires_seconds").await;
    #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
    let left = expires - SystemClock.now().as_second() as f64;
    assert!((3500.0..=3600.0).contains(&left), "{left}");
}

#[tokio::test]
async fn a_wrapped_secret_id_is_unwrapped_once_and_each_start_needs_another() {
    let mut world = world("ociregistry").await;
    let mount = AuthMount::enable(&world, "approle").await;
    let role_id = mount.approle(&world, json!({"token_ttl": "1h"})).await;
    write(&world, "secret-id", &mount.wrapped_secret_id(&world).await);
    let lines = [&*format!("role_id = '{role_id}'"), "secret_id_file = 'secret-id'", "wrapped = true"];
    mount.lead_to(&mut world, "approle", &lines);
    signs(&world).await;
    mount.revoke_all(&world).await;
    signs(&world).await;
    assert_eq!((calls(&world, "/sys/wrapping/unwrap"), mount.logins(&world)), (1, 2));

    world.restart();
    is_denied(&world).await;
    world.logs("somebody has used it").await;
    write(&world, "secret-id", &mount.wrapped_secret_id(&world).await);
    signs_soon(&world).await;
}

#[tokio::test]
async fn a_secret_id_that_is_gone_is_denied_and_does_not_lock_the_role_for_the_next_one() {
    let mut world = world("ociregistry").await;
    let mount = AuthMount::enable(&world, "approle").await;
    let role_id = mount.approle(&world, json!({"token_ttl": "1h"})).await;
    let secret_id = mount.secret_id(&world).await;
    write(&world, "secret-id", &secret_id);
    mount.lead_to(
        &mut world,
        "approle",
        &[&format!("role_id = '{role_id}'"), "secret_id_file = 'secret-id'"],
    );
    signs(&world).await;
    mount.write(&world, "role/signet/secret-id/destroy", json!({"secret_id": secret_id})).await;
    mount.revoke_all(&world).await;
    for _ in 0..10 {
        is_denied(&world).await;
    }
    assert_eq!(world.readiness().await.status, 503);
    assert_eq!(mount.logins(&world), 2, "Vault counts to five");
    write(&world, "secret-id", &mount.secret_id(&world).await);
    signs_soon(&world).await;
    world.logs("can not log in to Vault").await;
    let log = world.signet.log_lines().concat();
    assert!(!log.contains(&secret_id), "{log}");
}

/// Signs JWTs as some issuer does.
struct Issuer(EcdsaKeyPair);

impl Issuer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn public_key(&self) -> String {
        let der = self.0.public_key().as_der().unwrap();
        pem_rfc7468::encode_string("PUBLIC KEY", LineEnding::LF, der.as_ref()).unwrap()
    }

    /// For one minute from `now` on.
    fn jwt(&self, now: i64) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims =
            json!({"iss": "test", "aud": "vault", "sub": "signet", "iat": now, "nbf": now, "exp": now + 60});
        let text = format!("{}.{}", part(json!({"alg": "ES256", "typ": "JWT"})), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[tokio::test]
async fn a_jwt_lets_signet_in_and_is_read_anew_at_each_login() {
    let mut world = world("ociregistry").await;
    let (mount, issuer) = (AuthMount::enable(&world, "jwt").await, Issuer::new());
    mount.write(&world, "config", json!({"jwt_validation_pubkeys": [issuer.public_key()]})).await;
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_ttl": "1h",
        "token_policies": [policy(&world)], "token_no_default_policy": true,
    });
    mount.write(&world, "role/signet", role).await;
    let now = SystemClock.now().as_second();
    write(&world, "jwt", &issuer.jwt(now));
    mount.lead_to(&mut world, "jwt", &["role = 'signet'", "jwt_file = 'jwt'"]);
    signs(&world).await;

    // What is in the file expires, and is good for no other login.
    write(&world, "jwt", &issuer.jwt(now - 3600));
    signs(&world).await;
    mount.revoke_all(&world).await;
    is_denied(&world).await;
    write(&world, "jwt", &issuer.jwt(now));
    signs_soon(&world).await;
}

/// Vault itself makes the certificates, and checks them.
#[tokio::test]
async fn a_certificate_lets_signet_in() {
    let mut world = world("ociregistry").await;
    let authority = Authority::start(&world).await;
    let client = authority.client().unwrap();
    let call = async |method: Method, path: &str, body: Value| {
        let request = client.request(method, format!("{}/v1/{path}", authority.address));
        let answer = request.header("X-Vault-Token", ROOT_TOKEN).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json::<Value>().await.unwrap_or_default()
    };
    call(Method::POST, "sys/mounts/pki", json!({"type": "pki"})).await;
    let ca = call(
        Method::POST,
        &["pki", "root", "generate", "internal"].join("/"),
        json!({"common_name": "clients"}),
    )
    .await;
    call(Method::POST, "pki/roles/client", json!({"allow_any_name": true, "ttl": "1h"})).await;
    let issue = async || {
        let issued = call(Method::POST, "pki/issue/client", json!({"common_name": "signet"})).await;
        let text = |field: &str| issued["data"][field].as_str().unwrap().to_owned();
        (text("certificate"), text("private_key"))
    };
    call(Method::POST, "sys/auth/cert", json!({"type": "cert"})).await;
    // The role that the configuration names may sign, the other one may not.
    for (name, policies) in [("signet", json!([policy(&world)])), ("another", json!(["default"]))] {
        let role =
            json!({"certificate": ca["data"]["certificate"], "token_policies": policies, "token_ttl": "1h"});
        call(Method::POST, &format!("auth/cert/certs/{name}"), role).await;
    }

    let (certificate, key) = issue().await;
    write(&world, "client.pem", &certificate);
    write(&world, "client.key", &key);
    let lines = "method = 'cert'\ncert_file = 'client.pem'\nkey_file = 'client.key'\nrole = 'signet'\n";
    let ca_file = format!("ca_file = '{}'", authority.path("vault-ca.pem").display());
    private_ca::use_vault(&mut world, &authority, &ca_file).await;
    use_auth(&mut world, lines);
    signs(&world).await;

    // The next login shows the certificate that is there then.
    let (certificate, key) = issue().await;
    write(&world, "client.pem", &certificate);
    write(&world, "client.key", &key);
    call(Method::POST, "sys/leases/revoke-prefix/auth/cert", json!({})).await;
    signs(&world).await;
    let logins = || {
        let lines = world.signet.log_lines();
        lines.iter().filter(|line| line.contains("logged in to Vault")).count()
    };
    world.eventually("it has logged in twice", async || (logins() == 2).then_some(())).await;

    // One that does not fit its key is no certificate to show.
    write(&world, "client.key", &issue().await.1);
    call(Method::POST, "sys/leases/revoke-prefix/auth/cert", json!({})).await;
    is_denied(&world).await;
    world.logs("vault.auth.key_file").await;
    write(&world, "client.key", &key);
    signs_soon(&world).await;
}

#[tokio::test]
async fn tokens_that_end_soon_are_renewed_or_replaced_and_no_request_fails() {
    // Settings of the role, and what Vault is to be asked for.
    let cases = [
        (json!({"token_type": "batch", "token_ttl": "2s"}), "/login"),
        (json!({"token_ttl": "2s", "token_max_ttl": "5s"}), "/login"),
        (json!({"token_period": "2s"}), "/auth/token/renew-self"),
        (json!({"token_ttl": "1h", "token_num_uses": 7}), "/login"),
    ];
    let work = cases.into_iter().map(async |(settings, asked)| {
        let mut world = world("ociregistry").await;
        let mount = AuthMount::enable(&world, "approle").await;
        let role_id = mount.approle(&world, settings.clone()).await;
        write(&world, "secret-id", &mount.secret_id(&world).await);
        let lines = [&*format!("role_id = '{role_id}'"), "secret_id_file = 'secret-id'"];
        mount.lead_to(&mut world, "approle", &lines);
        while calls(&world, asked) < 4 {
            signs(&world).await;
        }
        let (logins, renewals) = (mount.logins(&world), calls(&world, "/auth/token/renew-self"));
        assert_eq!(settings["token_period"].is_string(), logins == 1, "{settings}: {logins} and {renewals}");
    });
    futures::future::join_all(work).await;
}

#[tokio::test]
async fn a_policy_that_is_too_narrow_is_no_storm_of_logins() {
    let mut world = world("ociregistry").await;
    let mount = AuthMount::enable(&world, "approle").await;
    // It may look itself up, and nothing else.
    let role_id =
        mount.approle(&world, json!({"token_policies": ["default"], "token_no_default_policy": false})).await;
    write(&world, "secret-id", &mount.secret_id(&world).await);
    // The keys are known from before.
    let image = world.push_image().await;
    mount.lead_to(
        &mut world,
        "approle",
        &[&format!("role_id = '{role_id}'"), "secret_id_file = 'secret-id'"],
    );
    let requests = (0..50).map(|_| world.sign_image(&image));
    for answer in futures::future::join_all(requests).await {
        world.assert_problem(&answer, 502, "vault-denied");
    }
    assert_eq!(mount.logins(&world), 1);
}

#[tokio::test]
async fn a_token_in_the_configuration_is_renewed() {
    let mut world = world("ociregistry").await;
    let token = json!({"policies": [policy(&world)], "period": "2s", "no_parent": true});
    let made = world.vault_call(Method::POST, "auth/token/create", token).await;
    let token = made["auth"]["client_token"].as_str().unwrap();
    use_auth(&mut world, &format!("method = 'token'\ntoken = '{token}'\n"));
    while calls(&world, "/auth/token/renew-self") < 3 {
        signs(&world).await;
    }
    signs(&world).await;
}
