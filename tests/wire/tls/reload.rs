//! Certificates that change while the service runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;

use super::{ask, der, shown, world};
use crate::support::authority::Pair;
use crate::support::{Authority, World};

/// The certificate that a new connection is shown.
async fn served(world: &World, authority: &Authority) -> Vec<u8> {
    let client = authority.builder(None).tls_info(true).build().unwrap();
    shown(&ask(world, &client).await.unwrap())
}

/// Waits until new connections are shown `pair`.
async fn is_served(world: &World, authority: &Authority, pair: &Pair) {
    let expected = der(&pair.cert);
    let new = async || (served(world, authority).await == expected).then_some(());
    world.eventually("the new certificate is served", new).await;
}

/// Puts `pair` where the files are, as Kubernetes does: the files are links into a folder that is a link itself.
fn swap(directory: &Path, pair: &Pair) {
    let version = directory.join(format!("..{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&version).unwrap();
    pair.write(&version);
    std::os::unix::fs::symlink(&version, directory.join("..new")).unwrap();
    std::fs::rename(directory.join("..new"), directory.join("..data")).unwrap();
    for file in ["tls.pem", "tls.key"] {
        let link = directory.join(file);
        if !link.is_symlink() {
            std::fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(Path::new("..data").join(file), link).unwrap();
        }
    }
}

#[tokio::test]
async fn certificates_that_rotate_fail_no_request_and_are_served_to_new_connections() {
    let (world, authority) = world().await;
    let (rotated, answered) = (AtomicBool::new(false), std::sync::atomic::AtomicUsize::new(0));
    let lasting = [authority.trusting_client(None), authority.builder(None).http1_only().build().unwrap()];
    let callers = (0..6).map(|number| {
        let (world, authority, rotated, answered) = (&world, &authority, &rotated, &answered);
        let lasting = lasting.get(number);
        async move {
            while !rotated.load(Ordering::Relaxed) {
                // Half of them on connections that last, half on new ones.
                let client = lasting.cloned().unwrap_or_else(|| authority.trusting_client(None));
                let image = world.post("/v1/verifications", &world.token, "{}");
                let (response, _) = tokio::join!(ask(world, &client), image);
                assert_eq!(response.unwrap().status(), 200);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let rotation = async {
        for _ in 0..3 {
            let pair = authority.server("rotated");
            swap(world.directory.path(), &pair);
            is_served(&world, &authority, &pair).await;
        }
        rotated.store(true, Ordering::Relaxed);
    };
    tokio::join!(join_all(callers), rotation);
    assert!(answered.into_inner() > 20);
    world.logs("new certificates are in force").await;
    assert_eq!(world.metric("signet_tls_reload_refused").await, 0.0);
}

#[tokio::test]
async fn half_of_a_new_pair_is_not_taken_and_is_told() {
    let (world, authority) = world().await;
    let (before, pair) = (served(&world, &authority).await, authority.server("new"));
    let expires = world.metric("signet_tls_certificate_expires_seconds").await;
    std::fs::write(world.directory.path().join("tls.pem"), &pair.cert).unwrap();
    let refused = async || (world.metric("signet_tls_reload_refused").await == 1.0).then_some(());
    world.eventually("the metric says so", refused).await;
    world.logs("this is not the key of the certificate in cert_file").await;
    assert_eq!(served(&world, &authority).await, before);
    assert_eq!(world.metric("signet_tls_certificate_expires_seconds").await, expires);

    std::fs::write(world.directory.path().join("tls.key"), &pair.key).unwrap();
    is_served(&world, &authority, &pair).await;
    let mended = async || (world.metric("signet_tls_reload_refused").await == 0.0).then_some(());
    world.eventually("the metric says that it is mended", mended).await;
}

#[tokio::test]
async fn files_that_go_or_become_nonsense_change_nothing() {
    let (world, authority) = world().await;
    let before = served(&world, &authority).await;
    let file = world.directory.path().join("tls.key");
    std::fs::remove_file(&file).unwrap();
    world.logs("tls.key: No such file").await;
    std::fs::write(&file, "nonsense").unwrap();
    world.logs("it has no private key in PEM").await;
    assert_eq!(served(&world, &authority).await, before);
    assert_eq!(world.metric("signet_tls_reload_refused").await, 1.0);
}

#[tokio::test]
async fn another_client_authority_counts_for_new_connections() {
    let (world, authority) = world().await;
    let other = Arc::new(Authority::new("Other clients"));
    let [old, new] = [authority.client("old"), other.client("new")];
    assert!(ask(&world, &authority.trusting_client(Some(&old))).await.is_ok());
    assert!(ask(&world, &authority.trusting_client(Some(&new))).await.is_err());
    // Whoever resumes a session from before is not let in by it either.
    let lasting = authority.builder(Some(&old)).http1_only().pool_max_idle_per_host(0).build().unwrap();
    assert!(ask(&world, &lasting).await.is_ok());
    std::fs::write(authority.file(), other.pem()).unwrap();
    let in_force = async || ask(&world, &authority.trusting_client(Some(&new))).await.ok().map(drop);
    world.eventually("the other authority's clients are let in", in_force).await;
    assert!(ask(&world, &authority.trusting_client(Some(&old))).await.is_err());
    assert!(ask(&world, &lasting).await.is_err());
}
