//! The kinds of entries that no signature makes: what the service tells of itself, and who reads and verifies.

use serde_json::{Value, json};

use crate::support::World;
use crate::support::attached::digest_of;
use crate::support::issuer::{AUDIENCE, Issuer, SigningKey};
use crate::support::world::Settings;

/// Waits until there are `count` entries of a kind, and gives them.
async fn of_kind(world: &World, kind: &str, count: usize) -> Vec<Value> {
    world
        .eventually(&format!("{count} entries of kind {kind}"), async || {
            let entries = world.entries(&format!("kind={kind}")).await;
            assert!(entries.len() <= count, "{entries:?}");
            (entries.len() == count).then_some(entries)
        })
        .await
}

/// Everything that is in the log is as the schema says that Signet serves.
async fn assert_schema(world: &World) {
    let schema = world.get("/schemas/log-entry-v1.json").await;
    assert_eq!(schema.headers["content-type"], "application/schema+json");
    let validator = jsonschema::draft202012::new(&schema.body).unwrap();
    for entry in world.entries("limit=1000").await {
        let errors: Vec<_> = validator.iter_errors(&entry).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{entry}: {errors:?}");
    }
}

#[tokio::test]
async fn starts_and_stops_are_in_the_log_and_a_crash_is_a_start_without_a_stop() {
    let mut world = World::start().await;
    let first = of_kind(&world, "start", 1).await;
    assert_eq!(first[0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&first[0]["principal"], &first[0]["operation"]), (&json!("signet"), &Value::Null));
    world.signet.terminate();
    assert!(world.signet.wait().await.success());
    world.serve();
    let starts = of_kind(&world, "start", 2).await;
    let stops = of_kind(&world, "stop", 1).await;
    assert_eq!(stops[0]["instance"], first[0]["instance"]);
    assert_ne!(starts[1]["instance"], first[0]["instance"]);
    let kinds: Vec<_> = world.entries("").await.iter().map(|entry| entry["kind"].clone()).collect();
    let place = |kind: &str| kinds.iter().rposition(|found| found == kind);
    assert!(place("stop") < place("start"), "{kinds:?}");

    world.restart();
    of_kind(&world, "start", 3).await;
    of_kind(&world, "stop", 1).await;
    assert_schema(&world).await;
}

#[tokio::test]
async fn another_configuration_is_logged_once_with_the_sections_that_changed_and_no_secret() {
    let mut world = World::start().await;
    let first = of_kind(&world, "configuration", 1).await;
    assert_eq!(first[0]["previous"], Value::Null);
    world.restart();
    of_kind(&world, "start", 2).await;
    of_kind(&world, "policy", 2).await;
    of_kind(&world, "configuration", 1).await;
    world.reconfigure(|text| text.replace("[limits]", "[limits]\nqueue = 77"));
    let both = of_kind(&world, "configuration", 2).await;
    assert_eq!(both[1]["previous"], both[0]["configuration_digest"]);
    assert_ne!(both[1]["configuration_digest"], both[0]["configuration_digest"]);
    assert_eq!(both[1]["changed"], json!(["limits"]));
    assert_schema(&world).await;
}

#[tokio::test]
async fn the_policy_in_force_and_one_that_was_refused_are_in_the_log() {
    let world =
        World::with(Settings { lines: vec![("policy", "poll = '20ms'".to_owned())], ..Settings::default() })
            .await;
    let first = of_kind(&world, "policy", 1).await;
    assert_eq!((&first[0]["rules"], &first[0]["previous"]), (&json!(2), &Value::Null));
    let image = world.push_image().await;
    world.write_policy("  - {id: more, effect: deny, identity: {token: nobody}, operations: [log.read]}\n");
    let both = of_kind(&world, "policy", 2).await;
    assert_eq!((&both[1]["rules"], &both[1]["previous"]), (&json!(3), &first[0]["policy_digest"]));
    world.write_policy("password: hunter2\n");
    let refused = of_kind(&world, "policy-refused", 1).await;
    assert_eq!(refused[0]["in_force"], both[1]["policy_digest"]);
    assert!(!refused[0].to_string().contains("hunter2"), "{refused:?}");
    assert_eq!(world.sign_image(&image).await.status, 201);
    let outcome = &world.entries("kind=outcome").await[0];
    assert_eq!(outcome["policy"], both[1]["policy_digest"], "an entry names the policy that decided");
    assert_schema(&world).await;
}

#[tokio::test]
async fn each_version_of_a_key_is_logged_once() {
    let mut world = World::with(Settings {
        lines: vec![("vault", "key_poll = '100ms'".to_owned())],
        ..Settings::default()
    })
    .await;
    let versions = format!("key-version&key={}", world.key);
    let first = of_kind(&world, &versions, 1).await;
    assert_eq!((&first[0]["key"], &first[0]["key_version"]), (&json!(world.key), &json!(1)));
    world.rotate().await;
    let both = of_kind(&world, &versions, 2).await;
    assert_eq!(both[1]["key_version"], 2);
    assert_ne!(both[0]["fingerprint"], both[1]["fingerprint"]);
    world.restart();
    world.public_key(2).await;
    of_kind(&world, "start", 2).await;
    assert_eq!(of_kind(&world, &versions, 2).await, both);
    assert_schema(&world).await;
}

async fn verify(world: &World, image: &str) -> crate::support::Answer {
    world.post("/v1/verifications", &world.token, json!({"image": image, "key": world.key}).to_string()).await
}

#[tokio::test]
async fn who_was_told_whether_an_image_is_signed_is_in_the_log_where_the_operator_wants_it() {
    let mut world = World::start().await;
    let (signed, unsigned) = (world.push_image().await, world.push_image().await);
    assert_eq!(world.sign_image(&signed).await.status, 201);
    for image in [&signed, &unsigned] {
        assert_eq!(verify(&world, image).await.status, 200);
    }
    let entries = of_kind(&world, "verification", 2).await;
    for (entry, image) in entries.iter().zip([&signed, &unsigned]) {
        assert_eq!(entry["digest"], digest_of(image).to_string());
        assert_eq!((&entry["repository"], &entry["key"]), (&json!(world.repository), &json!(world.key)));
        assert_eq!((&entry["principal"], &entry["rule"]), (&json!("token:ci"), &json!("everything")));
        assert_eq!(entry["signed"], image == &signed);
    }
    assert_eq!((&entries[0]["key_version"], &entries[1]["key_version"]), (&json!(1), &Value::Null));
    assert_schema(&world).await;

    world.reconfigure(|text| text.replace("[log]", "[log]\nverifications = 'off'"));
    assert_eq!(verify(&world, &signed).await.status, 200);
    of_kind(&world, "start", 2).await;
    of_kind(&world, "verification", 2).await;

    world.reconfigure(|text| text.replace("'off'", "'required'"));
    let lock = |world: &World| {
        let connection = rusqlite::Connection::open(world.directory.path().join("signet.db")).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection
    };
    of_kind(&world, "policy", 3).await;
    let held = lock(&world);
    world.assert_problem(&verify(&world, &signed).await, 503, "log-unavailable");
    drop(held);
    assert_eq!(verify(&world, &signed).await.status, 200);
    of_kind(&world, "verification", 3).await;

    world.reconfigure(|text| text.replace("'required'", "'on'"));
    of_kind(&world, "policy", 4).await;
    let held = lock(&world);
    assert_eq!(verify(&world, &signed).await.status, 200, "nobody's answer waits for the log");
    drop(held);
}

#[tokio::test]
async fn reading_the_log_is_in_the_log_and_can_not_fill_it() {
    let world = World::counted().await;
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    for page in 0..30 {
        let path = format!("/v1/log/entries?digest={}&after={page}&limit=1", digest_of(&image));
        assert_eq!(world.get(&path).await.status, 200);
    }
    let of_digest = async || {
        let reads = world.entries("kind=read&limit=1000").await;
        reads.into_iter().filter(|read| read["query"]["digest"] == digest_of(&image).to_string()).collect()
    };
    let reads: Vec<Value> = world
        .eventually("the reading is logged", async || {
            let reads: Vec<Value> = of_digest().await;
            (!reads.is_empty()).then_some(reads)
        })
        .await;
    assert_eq!(reads.len(), 1, "{reads:?}");
    assert_eq!((&reads[0]["principal"], &reads[0]["operation"]), (&json!("token:ci"), &json!("log.read")));
    assert_eq!((&reads[0]["rule"], &reads[0]["query"]["after"]), (&json!("reads"), &json!("0")));
    for page in (1..=30).rev() {
        let path = format!("/v1/log/entries?digest={}&order=newest&before={page}&limit=1", digest_of(&image));
        assert_eq!(world.get(&path).await.status, 200);
    }
    let reads: Vec<Value> = world
        .eventually("the reading from the newest down is logged", async || {
            let reads: Vec<Value> = of_digest().await;
            (reads.len() > 1).then_some(reads)
        })
        .await;
    assert_eq!(reads.len(), 2, "{reads:?}");
    let query = &reads[1]["query"];
    assert_eq!((&query["order"], &query["before"]), (&json!("newest"), &json!("30")));
    for index in 0..30 {
        world.get(&format!("/v1/log/entries/{index}")).await;
    }
    let all = world.entries("kind=read&limit=1000").await;
    assert!(all.len() <= 5, "{all:?}");
    assert_schema(&world).await;
}

/// What is known of a caller is much; what the log keeps is what decided.
#[tokio::test]
async fn of_a_tokens_claims_the_log_keeps_those_that_the_rule_looked_at_and_no_others() {
    let issuer = Issuer::start().await;
    let key = SigningKey::rsa("k");
    issuer.publish([key.jwk()]);
    let lines =
        vec![("identity", format!("audience = '{AUDIENCE}'")), ("policy", "poll = '20ms'".to_owned())];
    let sections = issuer.section("ci", "");
    let mut world = World::with(Settings { lines, sections, ..Settings::default() }).await;
    world.write_policy(&format!(
        "  - id: branch\n    effect: allow\n    identity: {{issuer: ci, claims: {{branch: main}}}}\n    repositories: ['{}']\n    keys: ['{}']\n    operations: [sign, verify, log.read]\n",
        world.repository, world.key
    ));
    world.restart();
    let mut claims = issuer.claims();
    claims["branch"] = json!("main");
    claims["user_email"] = json!("jane@example.com");
    claims["name"] = json!({"given": "Jane"});
    let token = key.sign(&claims);
    let image = world.push_image().await;
    let signed = world
        .eventually("the issuer's keys are there", async || {
            let answer = world.post("/v1/signatures", &token, json!({"image": image}).to_string()).await;
            (answer.status != 401).then_some(answer)
        })
        .await;
    assert_eq!(signed.status, 201, "{signed:?}");
    let body = json!({"image": image, "key": world.key}).to_string();
    assert_eq!(world.post("/v1/verifications", &token, body).await.status, 200);
    assert_eq!(world.get_as(&token, "/v1/log/entries?limit=1").await.status, 200);
    claims["branch"] = json!("feature");
    let refused = key.sign(&claims);
    let answer = world.post("/v1/signatures", &refused, json!({"image": image}).to_string()).await;
    world.assert_problem(&answer, 403, "forbidden");

    of_kind(&world, "refusal", 1).await;
    of_kind(&world, "verification", 1).await;
    let text = json!(world.entries("limit=1000").await).to_string();
    assert!(!text.contains("jane") && !text.contains("Jane") && !text.contains("user_email"), "{text}");
    for kind in ["intent", "outcome", "attach", "verification", "read"] {
        let entries = world.entries(&format!("kind={kind}")).await;
        assert_eq!(entries[0]["rule"], "branch", "{entries:?}");
        assert_eq!(entries[0]["claims"], json!({"branch": "main"}), "{entries:?}");
    }
    assert_schema(&world).await;
}
