//! Why something was refused.

use serde_json::json;

use super::Browser;
use crate::support::World;

#[tokio::test]
async fn a_refusal_tells_of_the_nearest_rule_and_of_the_condition_that_was_missing() {
    let mut world = World::start().await;
    let repository = world.repository.clone();
    world.write_policy(&format!(
        "  - {{id: near, effect: allow, identity: {{token: outsider}}, repositories: ['{repository}'], keys: ['{}'], operations: [sign], annotations: {{ticket: 'T-*'}}}}\n  \
        - {{id: never, effect: deny, identity: {{token: outsider}}, repositories: ['{repository}/secret'], operations: [sign]}}\n",
        world.key
    ));
    world.restart();
    let image = world.push_image().await;
    let secret = world.push_image_below("secret").await;
    for image in [&image, &secret] {
        let answer = world.post("/v1/signatures", &world.outsider, json!({"image": image}).to_string()).await;
        world.assert_problem(&answer, 403, "forbidden");
        assert!(
            !answer.body.to_string().contains("ticket"),
            "whoever was refused learns nothing of the rules"
        );
    }
    let refusals = async || {
        let found = world.entries("kind=refusal&operation=sign").await;
        (found.len() == 2).then_some(found)
    };
    let refusals = world.eventually("the refusals are logged", refusals).await;
    let of = |rule: &serde_json::Value| refusals.iter().find(|entry| entry["rule"] == *rule).unwrap();
    let missing = &of(&serde_json::Value::Null)["missing"];
    assert_eq!(missing[0]["rule"], "near", "{missing}");
    assert!(missing[0]["condition"].as_str().unwrap().contains("ticket"), "{missing}");
    assert!(missing.as_array().unwrap().len() <= 3);
    assert_eq!(of(&json!("never")).get("missing"), None, "a rule has spoken");

    let browser = Browser::of(&world, &world.token).await;
    let page = browser.get("/audit/refusals?q=token:outsider").await;
    assert_eq!(page.status, 200);
    for words in
        ["<dt><bdi>near</bdi></dt>", "ticket", "<bdi>never</bdi></strong> denies it", "token:outsider"]
    {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
}
