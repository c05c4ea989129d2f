//! Vault revokes our token, is sealed, or is restarted, while requests are under way: they fail while it is down, and
//! at no other time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::own_vault::OwnVault;
use crate::registries::world;
use crate::support::{Fault, Proxy, World};
use crate::vault_logins::AuthMount;

/// Requests that are under way at any moment.
const CALLERS: usize = 8;

/// A world whose Signet logs in by AppRole to a Vault of its own.
struct Outage {
    world: World,
    vault: OwnVault,
    mount: AuthMount,
}

/// One request to sign an image that nobody has signed.
#[derive(Debug)]
struct Request {
    begun: Instant,
    ended: Instant,
    status: u16,
    code: String,
}

/// When Vault could not be asked: from before the first call that made it so until it said that it is active.
struct Down {
    from: Instant,
    until: Instant,
}

impl Outage {
    async fn prepare(token: serde_json::Value) -> Self {
        let mut world = world("ociregistry").await;
        let vault = OwnVault::start().await;
        vault.lead_to(&mut world).await;
        let mount = AuthMount::enable(&world, "approle").await;
        let role_id = mount.approle(&world, token).await;
        let path = world.directory.path().join("secret-id");
        std::fs::write(path, mount.secret_id(&world).await).unwrap();
        let lines = [&*format!("role_id = '{role_id}'"), "secret_id_file = 'secret-id'"];
        mount.lead_to(&mut world, "approle", &lines);
        Self { world, vault, mount }
    }

    /// Signs all the time while `trouble` goes on, and until everybody has succeeded after it.
    async fn under_load(
        &mut self,
        trouble: impl AsyncFnOnce(&World, &mut OwnVault, &AuthMount) -> Down,
    ) -> (Vec<Request>, Down) {
        let Self { world, vault, mount } = self;
        let (requests, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        let caller = async || {
            loop {
                let last = over.load(Ordering::SeqCst);
                let image = world.push_image().await;
                let begun = Instant::now();
                let answer = world.sign_image(&image).await;
                let (status, code) = (answer.status.as_u16(), answer.code().to_owned());
                requests.lock().unwrap().push(Request { begun, ended: Instant::now(), status, code });
                if last {
                    return;
                }
            }
        };
        let succeeded = || requests.lock().unwrap().iter().filter(|request| request.status == 201).count();
        let troubling = async {
            // Everybody is at work.
            world.eventually("some are signed", async || (succeeded() >= 5 * CALLERS).then_some(())).await;
            let down = trouble(world, vault, mount).await;
            let before = succeeded();
            world
                .eventually("some are signed again", async || {
                    (succeeded() >= before + 5 * CALLERS).then_some(())
                })
                .await;
            over.store(true, Ordering::SeqCst);
            down
        };
        let (_, down) = tokio::join!(join_all((0..CALLERS).map(|_| caller())), troubling);
        (requests.into_inner().unwrap(), down)
    }
}

/// Prints the figures, and asserts that nobody failed who had not met Vault while it was down.
fn assert_failed_only_while_down(name: &str, requests: &[Request], down: &Down) {
    let failed: Vec<_> = requests.iter().filter(|request| request.status != 201).collect();
    let recovery = requests
        .iter()
        .filter(|request| request.status == 201 && request.ended > down.until)
        .map(|request| request.ended - down.until)
        .min()
        .unwrap();
    println!(
        "{name}: down {:?}, {} requests, {} failed, the first success {recovery:?} after Vault was back",
        down.until - down.from,
        requests.len(),
        failed.len(),
    );
    for request in failed {
        let met = request.begun < down.until && request.ended > down.from;
        assert!(
            met,
            "{} {} from {:?} to {:?} after Vault was back",
            request.status,
            request.code,
            request.begun - down.until,
            request.ended - down.until
        );
        // What Vault has signed is kept back while it does not sign the checkpoint that covers it.
        assert!(request.code.starts_with("vault-") || request.code == "log-unavailable", "{request:?}");
    }
}

#[tokio::test]
async fn a_revoked_token_fails_no_request() {
    let mut outage = Outage::prepare(json!({"token_ttl": "1h"})).await;
    let (requests, down) = outage
        .under_load(async |world, _, mount| {
            let from = Instant::now();
            for _ in 0..10 {
                mount.revoke_all(world).await;
                let image = world.push_image().await;
                assert_eq!(world.sign_image(&image).await.status, 201);
            }
            // One after another, so that the next token dies as it comes.
            for _ in 0..5 {
                mount.revoke_all(world).await;
            }
            Down { from, until: Instant::now() }
        })
        .await;
    assert_failed_only_while_down("revoked", &requests, &down);
    assert!(requests.iter().all(|request| request.status == 201));
    // The lines of the last logins may be on their way.
    let log = outage.world.signet.log_lines();
    assert!(log.iter().filter(|line| line.contains("logged in to Vault")).count() >= 10, "{log:#?}");
}

#[tokio::test]
async fn a_vault_that_is_sealed_for_a_while_fails_requests_for_that_while() {
    // One has a token that outlasts the seal, the other's ends in it.
    for (name, token) in [
        ("sealed", json!({"token_ttl": "1h"})),
        ("sealed, and the token ends", json!({"token_ttl": "3s", "token_max_ttl": "3s"})),
    ] {
        let mut outage = Outage::prepare(token).await;
        let (requests, down) = outage
            .under_load(async |_, vault, _| {
                let from = Instant::now();
                vault.seal().await;
                sleep(Duration::from_secs(5)).await;
                vault.unseal().await;
                Down { from, until: Instant::now() }
            })
            .await;
        assert_failed_only_while_down(name, &requests, &down);
        assert!(requests.iter().any(|request| request.code == "vault-sealed"));
    }
}

#[tokio::test]
async fn a_vault_that_is_restarted_fails_requests_while_it_is_away() {
    let mut outage = Outage::prepare(json!({"token_ttl": "1h"})).await;
    let (requests, down) = outage
        .under_load(async |_, vault, _| {
            let from = Instant::now();
            vault.kill();
            // Long enough for more than the second try of a call.
            sleep(Duration::from_secs(1)).await;
            vault.restart().await;
            Down { from, until: Instant::now() }
        })
        .await;
    assert_failed_only_while_down("restarted", &requests, &down);
    assert!(requests.iter().any(|request| request.code == "vault-unavailable"));
}

/// Standbys forward, unless they are told not to; then they redirect.
#[tokio::test]
async fn a_standby_that_redirects_is_followed_to_configured_nodes() {
    let mut world = world("ociregistry").await;
    let active = OwnVault::start().await;
    active.lead_to(&mut world).await;
    let standby = active.standby().await;
    let proxy = Proxy::start(&standby.vault.address).await;
    proxy.break_with(|_| Some(Fault::AddHeader("x-vault-no-request-forwarding", "true")));

    let image = world.push_image().await;
    let (before, after) = (format!("'{}'\n", active.vault.address), format!("'{}'\n", proxy.url()));
    world.reconfigure(|text| text.replace(&before, &after));
    let answer = world.sign_image(&image).await;
    world.assert_problem(&answer, 503, "vault-unavailable");
    world.logs(&format!("a redirect to {}, which is neither", active.vault.address)).await;

    let nodes =
        format!("{after}node_addresses = ['{}', '{}']\n", active.vault.address, standby.vault.address);
    world.reconfigure(|text| text.replace(&after, &nodes));
    assert_eq!(world.sign_image(&image).await.status, 201);
}
