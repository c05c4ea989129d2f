//! The policy follows its file, and no request fails because of it.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::support::World;

/// A world that reads its policy this often.
async fn world(poll: &str) -> World {
    let mut world = World::start().await;
    world.reconfigure(|text| text.replace("[policy]\n", &format!("[policy]\npoll = '{poll}'\n")));
    world
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_file_is_replaced_again_and_again() {
    let world = Arc::new(world("500ms").await);
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers = (0..4).map(|_| {
        let (world, image, stop, answered) = (world.clone(), image.clone(), stop.clone(), answered.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let answer = world.sign_image(&image).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let callers: Vec<_> = callers.collect();

    let path = world.directory.path().join("policy.yaml");
    let rules = std::fs::read_to_string(&path).unwrap();
    let applied = "signet_policy_reloads_total{outcome=\"applied\"}";
    for round in 0..20 {
        // In front of what allows, a rule that says nothing about anybody here: without its end, the file is a policy that denies.
        let before = format!(
            "version: 1\nrules:\n  - {{id: round-{round}, effect: deny, identity: {{token: nobody}}, operations: [log.read]}}\n"
        );
        let after = rules.replace("version: 1\nrules:\n", "");
        if round % 2 == 0 {
            replace(&path, &(before.clone() + &after));
        } else {
            let mut file = std::fs::File::create(&path).unwrap();
            for half in [&before, &after] {
                file.write_all(half.as_bytes()).unwrap();
            }
        }
        if round % 5 == 4 {
            let (seen, many) = (answered.load(Ordering::Relaxed), world.metric(applied).await);
            world
                .eventually("requests go on, and the policy is a new one", async || {
                    let went_on = answered.load(Ordering::Relaxed) > seen + 20;
                    (went_on && (world.metric(applied).await > many || many >= 4.0)).then_some(())
                })
                .await;
        }
    }
    // The last of them lets in who was never let in before.
    assert_eq!(
        world.post("/v1/signatures", &world.outsider, json!({"image": image}).to_string()).await.status,
        403
    );
    replace(&path, &rules.replace("{token: ci}", "{token: [ci, outsider]}"));
    world
        .eventually("the new rules are in force", async || {
            let request = json!({"image": image}).to_string();
            (world.post("/v1/signatures", &world.outsider, request).await.status == 200).then_some(())
        })
        .await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(world.metric(applied).await >= 4.0, "{}", world.metrics().await);
    assert!(answered.load(Ordering::Relaxed) > 80);
}

#[tokio::test]
async fn a_bad_file_keeps_the_rules_before_it_in_force_and_is_told_of_once() {
    let world = world("20ms").await;
    let image = world.push_image().await;
    assert_eq!(world.metric("signet_policy_rules").await, 2.0);
    let path = world.directory.path().join("policy.yaml");
    let right = std::fs::read_to_string(&path).unwrap();
    replace(&path, &right.replace("effect: allow", "effect: alow"));
    world.logs("the policy before it stays in force").await;
    assert_eq!(world.metric("signet_policy_rejected").await, 1.0);
    assert_eq!(world.sign_image(&image).await.status, 201);
    replace(&path, &right);
    world.logs("the policy file is again what is in force").await;
    assert_eq!(world.metric("signet_policy_rejected").await, 0.0);
    assert_eq!(world.sign_image(&image).await.status, 200);

    let lines = world.signet.log_lines();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("stays in force")).collect();
    assert!(told.len() == 1 && told[0].contains("did you mean") && told[0].contains("line 4"), "{told:?}");
}
