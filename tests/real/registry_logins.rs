//! Registries that want to know who is calling.

use std::path::Path;

use serde_json::json;

use crate::clients::{Clients, Layout};
use crate::own_registry::{OwnRegistry, use_registry};
use crate::registries::world;
use crate::support::proxy::signing_calls;
use crate::support::{Answer, World};
use crate::token_service::TokenService;
use crate::upstream::digest_of;

const USER: &str = "signet";
const FIRST: &str = "first-password";
const SECOND: &str = "second-password";
/// The passwords, hashed with bcrypt.
const FIRST_LINE: &str = "signet:$2y$05$abcdefghijklmnopqrstuuM3sQey8DZviRRkMjmk7wGr.7zlb4loC\n";
const SECOND_LINE: &str = "signet:$2y$05$abcdefghijklmnopqrstuuQQ3svipWaDLu5Kgwa3hvLrUP0FshBnK\n";

#[tokio::test]
async fn a_user_name_and_a_password_file_let_signet_into_distribution_2_8() {
    a_password_file_lets_signet_in("distribution-2.8").await;
}

#[tokio::test]
async fn a_user_name_and_a_password_file_let_signet_into_distribution_3() {
    a_password_file_lets_signet_in("distribution-3").await;
}

async fn a_password_file_lets_signet_in(binary: &str) {
    let (world, _registry, clients) = with_login(binary, FIRST).await;
    signs_and_verifies(&world, &clients).await;
}

#[tokio::test]
async fn a_password_that_became_wrong_is_registry_denied_until_its_file_changes() {
    let (world, registry, clients) = with_login("distribution-3", "not-the-password").await;
    let image = clients.push_image(&world.repository).await;
    let is_denied = async || {
        let answer = sign(&world, &image, Layout::Cosign).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (502, "registry-denied"), "{answer:?}");
        assert!(answer.headers.contains_key("retry-after"));
        assert!(!answer.body.to_string().contains("password"), "{answer:?}");
    };
    is_denied().await;
    write(&world, "password", FIRST);
    assert_eq!(sign(&world, &image, Layout::Cosign).await.status, 201);

    std::fs::write(registry.directory.path().join("htpasswd"), SECOND_LINE).unwrap();
    is_denied().await;
    write(&world, "password", SECOND);
    assert_eq!(sign(&world, &image, Layout::Cosign).await.status, 200);
    assert_eq!(signing_calls(&world.vault_proxy.calls()).len(), 1);
}

#[tokio::test]
async fn a_docker_configuration_lets_signet_in() {
    let (mut world, registry, clients) = with_login("distribution-3", FIRST).await;
    // What `crane auth login` wrote.
    let file = world.directory.path().join("home/.docker/config.json");
    let settings = ["plain_http = true".to_owned(), format!("docker_config_file = '{}'", file.display())];
    let section = settings.join("\n");
    let config = world.directory.path().join("signet.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let (before, after) = text.split_once("plain_http = true\n").unwrap();
    let (_, after) = after.split_once("password_file = 'password'\n").unwrap();
    std::fs::write(&config, format!("{before}{section}\n{after}")).unwrap();
    world.restart();
    assert!(world.repository.starts_with(&registry.host));
    signs_and_verifies(&world, &clients).await;
}

#[tokio::test]
async fn a_token_service_lets_signet_in_and_is_asked_once() {
    let (world, service, _registry, clients) = with_tokens(true).await;
    signs_and_verifies(&world, &clients).await;
    let of_signet = service.scopes_of(USER);
    assert_eq!(of_signet.len(), 1, "{of_signet:?}");
    let (_, name) = world.repository.split_once('/').unwrap();
    assert_eq!(of_signet[0], [format!("repository:{name}:pull,push")]);
}

#[tokio::test]
async fn a_token_service_that_is_not_configured_never_sees_the_password() {
    let (world, service, _registry, clients) = with_tokens(false).await;
    let image = clients.push_image(&world.repository).await;
    let answer = sign(&world, &image, Layout::Cosign).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (502, "registry-denied"), "{answer:?}");
    assert!(service.scopes_of(USER).is_empty());
    assert!(signing_calls(&world.vault_proxy.calls()).is_empty());
}

/// A registry that knows the first password, a Signet with `password`, and clients that are logged in.
async fn with_login(binary: &str, password: &str) -> (World, OwnRegistry, Clients) {
    let mut world = world("distribution-2.8").await;
    let registry = OwnRegistry::start(binary, |directory| {
        let file = directory.join("htpasswd");
        std::fs::write(&file, FIRST_LINE).unwrap();
        (String::new(), format!("auth:\n  htpasswd: {{realm: test, path: '{}'}}\n", file.display()))
    })
    .await;
    write(&world, "password", password);
    let login = ["plain_http = true", "username = 'signet'", "password_file = 'password'"];
    use_registry(&mut world, &registry.host, &login.map(str::to_owned));
    let clients = Clients::of(&world);
    clients.crane(&["auth", "login", &registry.host, "-u", USER, "-p", FIRST]).await;
    (world, registry, clients)
}

/// A registry that takes the tokens of a service, a Signet that may ask it or not, and clients that are logged in by
/// another name.
async fn with_tokens(allowed: bool) -> (World, TokenService, OwnRegistry, Clients) {
    let mut world = world("distribution-2.8").await;
    let service = TokenService::start(FIRST).await;
    let registry = OwnRegistry::start("distribution-3", |directory| {
        let jwks = directory.join("jwks.json");
        std::fs::write(&jwks, service.jwks.to_string()).unwrap();
        let token = format!(
            "auth:\n  token: {{realm: 'http://{}/token', service: test, issuer: test, jwks: '{}', signingalgorithms: [ES256]}}\n",
            service.address,
            jwks.display()
        );
        (String::new(), token)
    })
    .await;
    write(&world, "password", FIRST);
    let mut login = vec![
        "plain_http = true".to_owned(),
        format!("username = '{USER}'"),
        "password_file = 'password'".to_owned(),
    ];
    if allowed {
        login.push(format!("token_hosts = ['{}']", service.address));
    }
    use_registry(&mut world, &registry.host, &login);
    let clients = Clients::of(&world);
    clients.crane(&["auth", "login", &registry.host, "-u", "someone", "-p", FIRST]).await;
    (world, service, registry, clients)
}

async fn signs_and_verifies(world: &World, clients: &Clients) {
    let pem = world.public_key(1).await;
    for layout in Layout::ALL {
        let image = clients.push_image(&world.repository).await;
        assert_eq!(sign(world, &image, layout).await.status, 201);
        assert_eq!(sign(world, &image, layout).await.status, 200);
        clients.assert_verified(layout, &pem, &image, &[]).await;
    }
}

async fn sign(world: &World, image: &str, layout: Layout) -> Answer {
    world.sign(json!({"image": world.image(digest_of(image)), "format": layout.name()})).await
}

fn write(world: &World, file: &str, content: &str) {
    let path: &Path = world.directory.path();
    std::fs::write(path.join(file), format!("{content}\n")).unwrap();
}
