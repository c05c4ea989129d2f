//! Rules that make tags immutable or protect them, where they match the tags of signatures: Harbor's, ECR's, GitLab's, ACR's
//! locks. What was signed is in the log and given up, what others attached stays, and once the tags are excluded from the rule
//! the same request attaches what was signed.

use serde_json::json;

use super::{FORMATS, assert_given_up, attempts, sign_numbered};
use crate::support::attached::{digest_of, sig_tag};
use crate::support::proxy::signing_calls;
use crate::support::traps::{TagRules, problem};
use crate::support::world::Settings;
use crate::support::{Fault, World};

/// What each says when a tag is written that it protects.
fn answers() -> [(&'static str, Fault); 6] {
    let harbor = "Failed to process request due to 'team/app:sha256-….sig' configured as immutable.";
    let ecr = "The image tag 'sha256-….sig' already exists in the 'team/app' repository and cannot be overwritten because the tag is immutable.";
    [
        ("Harbor", problem(412, vec![], "PRECONDITION", harbor)),
        ("ECR", problem(400, vec![], "TAG_INVALID", ecr)),
        ("GitLab, immutable", problem(400, vec![], "TAG_IMMUTABLE", "tag is immutable")),
        ("GitLab, protected", problem(403, vec![], "DENIED", "tag \"sha256-….sig\" is protected")),
        ("ACR, locked", problem(405, vec![], "UNSUPPORTED", "The operation is disallowed.")),
        ("without a word", Fault::Answer { status: 409, headers: vec![], body: String::new() }),
    ]
}

#[tokio::test]
async fn an_immutable_tag_takes_one_signature_and_no_second() {
    for (name, refusal) in answers() {
        let world = World::counted().await;
        let rules = TagRules::default();
        rules.make_immutable(refusal);
        let known = rules.clone();
        world.registry_proxy.break_with(move |call| known.refusal(call));
        let image = world.push_image().await;
        let first = sign_numbered(&world, &image, "cosign", 1).await;
        assert_eq!(first.status, 201, "{name}: {first:?}");
        let before = world.tagged(&image, &sig_tag(&image)).await;
        world.take_all_calls();

        let second = sign_numbered(&world, &image, "cosign", 2).await;
        world.assert_problem(&second, 409, "tag-protected");
        for part in [&sig_tag(&image), r"`^sha256-.*\.(sig|att)$`"] {
            assert!(second.detail().contains(part), "{name}: {}", second.detail());
        }
        assert_given_up(&world, &image, "tag-protected").await;
        assert_eq!(world.tagged(&image, &sig_tag(&image)).await, before, "{name}");
        assert_eq!(sign_numbered(&world, &image, "cosign", 1).await.status, 200, "{name}");

        // Nothing is tried again until somebody asks, and then nothing is signed again.
        let waiting = world.searched("/v1/log/entries?kind=outcome").await;
        assert_eq!(waiting.body["entries"].as_array().unwrap().len(), 2);
        rules.exclude_signatures();
        let again = sign_numbered(&world, &image, "cosign", 2).await;
        assert_eq!(again.status, 201, "{name}: {again:?}");
        assert_eq!(world.layers(&image).await.len(), 2, "{name}");
        assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1, "{name}");
        let results: Vec<_> = attempts(&world, &image).await.into_iter().map(|(result, _)| result).collect();
        assert_eq!(results, ["attached", "given-up", "attached"], "{name}");
    }
}

#[tokio::test]
async fn what_the_outbox_meets_at_a_protected_tag_it_gives_up_too() {
    let world = World::counted().await;
    let rules = TagRules::default();
    rules.protect(problem(412, vec![], "PRECONDITION", "configured as immutable"));
    world.registry_proxy.break_with(move |call| rules.refusal(call));
    let image = world.push_image().await;
    let answer =
        world.post_with("/v1/signatures", &[("Prefer", "respond-async")], json!({"image": image})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let given_up = async || (!attempts(&world, &image).await.is_empty()).then_some(());
    world.eventually("the outbox has tried it", given_up).await;
    assert_given_up(&world, &image, "tag-protected").await;
    let answer = world.get(&format!("/v1/signatures/{}", answer.body["id"].as_str().unwrap())).await;
    assert_eq!(answer.body["state"], "failed");
    assert_eq!(attempts(&world, &image).await.len(), 1);
}

#[tokio::test]
async fn an_immutable_fallback_tag_is_said_with_its_own_exclusion() {
    let lines = vec![("registries", "referrers = 'tag'".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let rules = TagRules::default();
    rules.make_immutable(problem(412, vec![], "PRECONDITION", "configured as immutable"));
    let known = rules.clone();
    world.registry_proxy.break_with(move |call| known.refusal(call));
    let image = world.push_image().await;
    assert_eq!(sign_numbered(&world, &image, "bundle", 1).await.status, 201);
    let tag = format!("sha256-{}", digest_of(&image).hex());
    let before = world.tagged(&image, &tag).await;
    let answer = sign_numbered(&world, &image, "bundle", 2).await;
    world.assert_problem(&answer, 409, "tag-protected");
    assert!(answer.detail().contains("`^sha256-[0-9a-f]{64}$`"), "{}", answer.detail());
    assert_eq!(world.tagged(&image, &tag).await, before);
    rules.exclude_signatures();
    assert_eq!(sign_numbered(&world, &image, "bundle", 2).await.status, 201);
    assert_eq!(sign_numbered(&world, &image, "bundle", 1).await.status, 200);
}

/// Rights that are missing come back when somebody gives them: that is worth trying again.
#[tokio::test]
async fn a_refusal_that_does_not_speak_of_the_tag_is_tried_again() {
    for format in FORMATS {
        let world = World::counted().await;
        let image = world.push_image().await;
        world.registry_proxy.break_with(|call| {
            let put = call.method == "PUT" && call.path.contains("/manifests/");
            put.then(|| problem(403, vec![], "DENIED", "requested access to the resource is denied"))
        });
        let answer = sign_numbered(&world, &image, format, 1).await;
        world.assert_problem(&answer, 502, "registry-denied");
        world.registry_proxy.mend();
        let attached = async || (world.signatures(&image).await == 1).then_some(());
        world.eventually("the outbox attaches it", attached).await;
    }
}
