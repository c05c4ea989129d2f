//! Who is answered: a walk along everything that the document of the API has.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Answer, World};

/// The operations that anybody may call. Whoever adds one says so here.
const PUBLIC: [&str; 9] = [
    "GET /.well-known/signet/log-keys",
    "GET /.well-known/signet/keys.json",
    "GET /log/checkpoint",
    "GET /log/tile/{level}/{number}",
    "GET /schemas/log-entry-v1.json",
    "GET /v1/keys",
    "GET /v1/keys/{name}",
    "GET /v1/keys/{name}/public-keys",
    "GET /v1/keys/{name}/versions/{version}/public-key",
];

/// What is served beside the document's operations to anybody: the document and its page.
const BESIDE: [&str; 2] = ["/openapi.json", "/docs/"];

/// How somebody is answered whom no rule names, with a request that is right otherwise.
struct Outsider {
    body: Value,
    status: u16,
    code: &'static str,
}

/// Each operation that is not public. One that is missing here fails the test.
async fn protected(world: &World) -> BTreeMap<&'static str, Outsider> {
    let image = world.push_image().await;
    let predicate = json!({"any": "thing"});
    let refused = |body: Value| Outsider { body, status: 403, code: "forbidden" };
    BTreeMap::from([
        ("POST /v1/signatures", refused(json!({"image": image}))),
        // An answer for each: see below.
        (
            "POST /v1/signatures:batch",
            Outsider {
                body: json!({"requests": [{"image": image}, {"image": image}]}),
                status: 200,
                code: "",
            },
        ),
        // Whether there is such a signature is not told either.
        ("GET /v1/signatures/{id}", Outsider { body: Value::Null, status: 404, code: "signature-not-found" }),
        (
            "POST /v1/attestations",
            refused(json!({"image": image, "predicate_type": "custom", "predicate": predicate})),
        ),
        ("POST /v1/blobs", refused(json!({"digest": format!("sha256:{}", "ab".repeat(32))}))),
        ("POST /v1/verifications", refused(json!({"image": image, "key": world.key}))),
        ("GET /v1/log/entries", refused(Value::Null)),
        ("GET /v1/log/export", refused(Value::Null)),
        ("GET /log/tile/entries/{number}", refused(Value::Null)),
        ("GET /v1/log/entries/{index}", refused(Value::Null)),
        ("GET /v1/log/counts", refused(Value::Null)),
        ("GET /v1/log/signatures", refused(Value::Null)),
        // They may ask what they may do: nothing.
        ("POST /v1/policy/decisions", Outsider { body: json!({"image": image}), status: 200, code: "" }),
    ])
}

#[tokio::test]
async fn every_operation_answers_whom_it_should_and_nobody_else() {
    let mut world = World::counted().await;
    let expired = "a-token-that-was-good-once";
    let digest = hex::encode(Sha256::digest(expired));
    world.reconfigure(|text| {
        format!(
            "{text}\n[[identity.tokens]]\nname = 'expired'\nsha256 = '{digest}'\nexpires = '2026-01-01T00:00:00Z'\n"
        )
    });
    // The expired one could do everything.
    world.write_policy(&format!(
        "  - id: expired\n    effect: allow\n    identity: {{token: expired}}\n    repositories: ['{}']\n    keys: ['{}']\n    operations: [sign, attest, blob, verify, log.read]\n",
        world.repository, world.key
    ));
    world.restart();
    let image = world.push_image().await;
    let signed = world.sign_image(&image).await;
    assert_eq!(signed.status, 201, "{signed:?}");
    let id = signed.body["id"].as_str().unwrap().to_owned();
    let mut protected = protected(&world).await;
    let mut public = PUBLIC.to_vec();
    world.take_all_calls();

    let document = world.get("/openapi.json").await.body;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let filled = path
            .replace("{name}", &world.key)
            .replace("{version}", "1")
            .replace("{level}", "0")
            .replace("{number}", "000.p/1")
            .replace("{index}", "0")
            .replace("{id}", &id);
        assert!(!filled.contains('{'), "{path}: this test does not know its parameters");
        for (method, operation) in operations.as_object().unwrap() {
            let name = format!("{} {path}", method.to_uppercase());
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let says_so = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
            if let Some(place) = public.iter().position(|public| *public == name) {
                public.remove(place);
                assert!(!says_so, "{name} asks for credentials in the document");
                let answer = ask(&world, method, &filled, None, &Value::Null).await;
                assert_eq!(answer.status, 200, "{name}: {answer:?}");
                continue;
            }
            let outsider = protected.remove(name.as_str());
            let Outsider { body, status, code } =
                outsider.unwrap_or_else(|| panic!("{name} is new: say in this test who is answered"));
            assert!(says_so, "{name} asks for no credentials in the document");
            let nobody = ask(&world, method.clone(), &filled, None, &body).await;
            world.assert_problem(&nobody, 401, "unauthenticated");
            for token in [expired, "no-such-token", ""] {
                let answer = ask(&world, method.clone(), &filled, Some(token), &body).await;
                world.assert_problem(&answer, 401, "unauthenticated");
                assert_eq!(answer.body["detail"], nobody.body["detail"], "why is nobody's business: {name}");
            }
            let answer = ask(&world, method, &filled, Some(&world.outsider), &body).await;
            match code {
                "" => assert_eq!(answer.status, status, "{name}: {answer:?}"),
                code => world.assert_problem(&answer, status, code),
            }
            match name.as_str() {
                "POST /v1/signatures:batch" => {
                    let results = answer.body["results"].as_array().unwrap();
                    assert!(results.iter().all(|result| result["status"] == 403), "{answer:?}");
                }
                "POST /v1/policy/decisions" => assert_eq!(answer.body["decision"], "deny", "{answer:?}"),
                _ => {}
            }
        }
    }
    assert!(
        public.is_empty() && protected.is_empty(),
        "not in the document: {public:?} {:?}",
        protected.keys()
    );
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    for path in BESIDE {
        let answer = ask(&world, Method::GET, path, None, &Value::Null).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    world.assert_untouched();
}

async fn ask(world: &World, method: Method, path: &str, token: Option<&str>, body: &Value) -> Answer {
    let mut request = world.client.request(method, format!("{}{path}", world.signet.api));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    Answer::read(request.send().await.unwrap()).await
}
