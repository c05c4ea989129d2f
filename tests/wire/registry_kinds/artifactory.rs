//! Artifactory, where it is old: it takes manifests of Docker's media types alone.

use super::{FORMATS, assert_given_up, sign_numbered};
use crate::support::proxy::signing_calls;
use crate::support::traps::problem;
use crate::support::{Fault, World};

#[tokio::test]
async fn a_registry_without_oci_manifests_is_said_and_what_is_signed_waits_for_its_upgrade() {
    let without_a_word = Fault::Answer { status: 415, headers: vec![], body: String::new() };
    for refusal in [problem(400, vec![], "MANIFEST_INVALID", "manifest invalid"), without_a_word] {
        for format in FORMATS {
            let world = World::counted().await;
            let image = world.push_image().await;
            let refusal = refusal.clone();
            world.registry_proxy.break_with(move |call| {
                let put = call.method == "PUT" && call.path.contains("/manifests/");
                let is_oci = put && call.headers["content-type"].to_str().unwrap().contains("vnd.oci");
                is_oci.then(|| refusal.clone())
            });
            let answer = sign_numbered(&world, &image, format, 1).await;
            world.assert_problem(&answer, 400, "format-unsupported");
            assert!(answer.detail().contains("OCI manifests"), "{}", answer.detail());
            assert_given_up(&world, &image, "format-unsupported").await;
            assert_eq!(world.signatures(&image).await, 0);
            world.registry_proxy.mend();
            let answer = sign_numbered(&world, &image, format, 1).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            assert_eq!(world.signatures(&image).await, 1);
            assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1);
        }
    }
}
