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
/// The lines of a registry's section with that user and a password from a file.
const PASSWORD_FILE: [&str; 3] = ["plain_http = true", "username = 'signet'", "password_file = 'password'"];
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
    let (mut world, registry, clients) = with_login(binary).await;
    write(&world, "password", FIRST);
    use_registry(&mut world, &registry.host, &PASSWORD_FILE.map(str::to_owned));
    signs_and_verifies(&world, &clients).await;
}

#[tokio::test]
async fn a_docker_configuration_lets_signet_in() {
    let (mut world, registry, clients) = with_login("distribution-3").await;
    // What `crane auth login` wrote.
    let file = world.directory.path().join("home/.docker/config.json");
    let login = ["plain_http = true".to_owned(), format!("docker_config_file = '{}'", file.display())];
    use_registry(&mut world, &registry.host, &login);
    signs_and_verifies(&world, &clients).await;
}

#[tokio::test]
async fn a_password_that_became_wrong_is_registry_denied_until_its_file_changes() {
    let (mut world, registry, clients) = with_login("distribution-3").await;
    write(&world, "password", "not-the-password");
    use_registry(&mut world, &registry.host, &PASSWORD_FILE.map(str::to_owned));
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

/// A registry that knows the first password, and clients that are logged in. The world's Signet does not know it yet.
async fn with_login(binary: &str) -> (World, OwnRegistry, Clients) {
    let world = world("distribution-2.8").await;
    let registry = OwnRegistry::start(binary, |directory| {
        let file = directory.join("htpasswd");
        std::fs::write(&file, FIRST_LINE).unwrap();
        (String::new(), format!("auth:\n  htpasswd: {{realm: test, path: '{}'}}\n", file.display()))
    })
    .await;
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
            service.host,
            jwks.display()
        );
        (String::new(), token)
    })
    .await;
    write(&world, "password", FIRST);
    let mut login = PASSWORD_FILE.map(str::to_owned).to_vec();
    if allowed {
        login.push(format!("token_hosts = ['{}']", service.host));
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
