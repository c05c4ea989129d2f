//! The `signet` command with a Signet that has a certificate of a private authority.

use std::process::Output;

use tokio::process::Command;

use super::{refused_principal, world};
use crate::support::{Authority, World};

async fn run(variables: &[(&str, String)], arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
    command.args(arguments).env_clear().envs(variables.iter().map(|(name, value)| (*name, value)));
    let output =
        tokio::time::timeout(std::time::Duration::from_secs(60), command.kill_on_drop(true).output());
    let Output { status, stdout, stderr } = output.await.unwrap().unwrap();
    (
        status.code().unwrap(),
        format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)),
    )
}

fn variables(world: &World, authority: &Authority) -> Vec<(&'static str, String)> {
    vec![("SIGNET_URL", world.signet.api.clone()), ("SIGNET_CA_FILE", authority.file().display().to_string())]
}

#[tokio::test]
async fn an_authority_that_is_named_is_trusted_and_no_other() {
    let (world, authority) = world().await;
    let image = world.push_image().await;
    let mut variables = variables(&world, &authority);
    variables.push(("SIGNET_TOKEN", world.token.clone()));
    let (code, words) = run(&variables, &["sign", &image]).await;
    assert_eq!(code, 0, "{words}");
    assert_eq!(world.signatures(&image).await, 1);
    let stranger = Authority::new("Private authority");
    let ca_file = stranger.file().display().to_string();
    let (code, words) = run(&variables, &["sign", &image, "--ca-file", &ca_file]).await;
    assert_eq!(code, 3, "{words}");
}

#[tokio::test]
async fn a_certificate_is_shown_in_place_of_a_token() {
    let (world, authority) = world().await;
    let image = world.push_image().await;
    let directory = tempfile::tempdir().unwrap();
    authority.client("release").write(directory.path());
    let file = |name: &str| directory.path().join(name).display().to_string();
    let mut variables = variables(&world, &authority);
    assert_eq!(run(&variables, &["sign", &image]).await.0, 2, "there is nothing to show");
    variables.push(("SIGNET_CLIENT_CERT", file("tls.pem")));
    assert_eq!(run(&variables, &["sign", &image]).await.0, 2, "the key is missing");
    variables.push(("SIGNET_CLIENT_KEY", file("tls.key")));
    // It is known who calls, and no rule speaks of it.
    let (code, words) = run(&variables, &["sign", &image]).await;
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("forbidden"), "{words}");
    assert_eq!(refused_principal(&world, &image).await, "certificate:CN=release");
    // The token counts where there is one.
    variables.push(("SIGNET_TOKEN", world.token.clone()));
    assert_eq!(run(&variables, &["sign", &image]).await.0, 0);
    variables.retain(|(name, _)| *name != "SIGNET_CLIENT_KEY");
    variables.push(("SIGNET_CLIENT_KEY", file("no-such.key")));
    let (code, words) = run(&variables, &["sign", &image]).await;
    assert!(code == 2 && words.contains("no-such.key"), "{code}: {words}");
}

#[tokio::test]
async fn healthcheck_asks_over_tls_where_health_is_behind_tls() {
    let (mut world, authority) = world().await;
    let port = crate::support::servers::free_port();
    world.reconfigure(|text| {
        let address = format!("admin_listen = '0.0.0.0:{port}'\npublic_url = 'https://localhost:8443'");
        text.replace("admin_listen = '127.0.0.1:0'", &address)
    });
    let config = world.directory.path().join("signet.toml").display().to_string();
    let check = ["healthcheck", "--config", &config, "--live"];
    let ca_file = authority.file().display().to_string();
    let (code, words) = run(&[("SIGNET_CA_FILE", ca_file)], &check).await;
    assert!(code == 0 && words.contains("ok"), "{code}: {words}");
    // The machine's own authorities do not know this one.
    let (code, words) = run(&[], &check).await;
    assert_eq!(code, 3, "{words}");
    // No certificate is asked for, and none is needed.
    let url = format!("https://localhost:{port}/livez");
    let answer = authority.trusting_client(None).get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(world.client.get(format!("http://localhost:{port}/livez")).send().await.is_err());
}
