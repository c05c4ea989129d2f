//! Docker Hub: pull limits hit signers too. Asking with HEAD is free there, and reading is not.

use super::{FORMATS, sign_numbered, writes};
use crate::support::World;
use crate::support::traps::problem;

#[tokio::test]
async fn a_pull_limit_is_passed_on_and_leads_to_no_signature() {
    let world = World::counted().await;
    for format in FORMATS {
        let image = world.push_image().await;
        assert_eq!(sign_numbered(&world, &image, format, 1).await.status, 201);
        world.take_all_calls();
        world.registry_proxy.break_with(|call| {
            let limit = || {
                let headers = vec![("retry-after", "300".to_owned())];
                problem(429, headers, "TOOMANYREQUESTS", "You have reached your pull rate limit.")
            };
            (call.method == "GET").then(limit)
        });
        for number in [1, 2] {
            let answer = sign_numbered(&world, &image, format, number).await;
            world.assert_problem(&answer, 503, "registry-unavailable");
            assert_eq!(answer.retry_after(), Some(300));
        }
        assert!(world.vault_proxy.take_calls().is_empty());
        assert!(writes(&world.registry_proxy.take_calls()).is_empty());
        world.registry_proxy.mend();
        assert_eq!(sign_numbered(&world, &image, format, 1).await.status, 200);
    }
}
