//! Each reading step meets each answer that is none: what could not be told is never taken for absent, so that nothing is
//! signed and nothing is written.

use futures::future::join_all;
use serde_json::{Value, json};
use signet::format::dsse::{IN_TOTO, pre_authentication_encoding};

use crate::support::attached::{digest_of, sig_tag};
use crate::support::proxy::Call;
use crate::support::traps::{self, is_referrers, no_such_page, problem};
use crate::support::world::Settings;
use crate::support::{Fault, World};

/// What is read on the way to a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Image,
    SigTag,
    Referrers,
    FallbackIndex,
    BundleManifest,
    BundleBlob,
}

/// What the image has already. Our log knows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    Nothing,
    Cosign,
    Bundle,
}

/// Which step is met on the way to which signature. Another annotation wants a signature that is not there.
const CASES: [(Step, Has, Option<&str>, bool); 17] = [
    (Step::Image, Has::Nothing, None, false),
    (Step::Image, Has::Cosign, None, false),
    (Step::Image, Has::Bundle, Some("bundle"), false),
    (Step::SigTag, Has::Nothing, None, false),
    (Step::SigTag, Has::Cosign, Some("cosign"), false),
    (Step::SigTag, Has::Cosign, None, true),
    (Step::SigTag, Has::Nothing, Some("bundle"), false),
    (Step::Referrers, Has::Nothing, None, false),
    (Step::Referrers, Has::Cosign, Some("cosign"), true),
    (Step::Referrers, Has::Bundle, None, false),
    (Step::Referrers, Has::Bundle, Some("bundle"), true),
    (Step::FallbackIndex, Has::Nothing, None, false),
    (Step::FallbackIndex, Has::Cosign, Some("cosign"), true),
    (Step::FallbackIndex, Has::Bundle, Some("bundle"), true),
    (Step::FallbackIndex, Has::Nothing, Some("bundle"), false),
    (Step::BundleManifest, Has::Bundle, None, false),
    (Step::BundleBlob, Has::Bundle, Some("bundle"), false),
];

impl Step {
    /// Whether `call` is this step for the image of `case`.
    fn is(self, call: &Call, case: &Case) -> bool {
        let reads = call.method == "GET" || call.method == "HEAD";
        let reference = traps::reference(call).unwrap_or_default();
        reads
            && match self {
                Self::Image => reference == digest_of(&case.image).to_string(),
                Self::SigTag => reference == sig_tag(&case.image),
                Self::Referrers => is_referrers(call),
                Self::FallbackIndex => traps::fallback_digest(reference).is_some(),
                Self::BundleManifest => {
                    reference.contains(':') && reference != digest_of(&case.image).to_string()
                }
                Self::BundleBlob => call.path.contains("/blobs/sha256:"),
            }
    }
}

/// An image in a repository of its own.
struct Case {
    step: Step,
    name: String,
    image: String,
    request: Value,
    before: Vec<Value>,
}

#[tokio::test]
async fn what_could_not_be_read_leads_to_no_signature_and_to_no_write() {
    let challenge = vec![("www-authenticate", "Basic realm=\"r\"".to_owned())];
    let answers = [
        ("401", problem(401, challenge, "UNAUTHORIZED", "no"), 502, "registry-denied"),
        ("403", problem(403, vec![], "DENIED", "no"), 502, "registry-denied"),
        ("404 that is a refusal", problem(404, vec![], "DENIED", "no"), 502, "registry-denied"),
        ("429", Fault::status(429), 503, "registry-unavailable"),
        ("404 of too many", problem(404, vec![], "TOOMANYREQUESTS", "no"), 503, "registry-unavailable"),
        ("500", Fault::status(500), 502, "registry-unavailable"),
        ("502", Fault::status(502), 502, "registry-unavailable"),
        ("503", Fault::status(503), 502, "registry-unavailable"),
        ("504", Fault::status(504), 502, "registry-unavailable"),
        ("408", Fault::status(408), 502, "registry-unavailable"),
        ("cut", Fault::Cut, 502, "registry-unavailable"),
        ("cut in the middle", Fault::CutAnswer, 502, "registry-unavailable"),
        ("nothing", Fault::Hang, 504, "timeout"),
    ];
    let lines = [("registries", "request_timeout = '2s'"), ("vault", "key_poll = '1h'")];
    let lines = lines.map(|(section, line)| (section, line.to_owned())).to_vec();
    for world in World::in_each_registry(Settings { lines, ..Settings::default() }).await {
        world.public_key(1).await;
        let cases =
            join_all(CASES.iter().enumerate().map(|(number, case)| prepare(&world, number, *case))).await;
        let cases: std::sync::Arc<[Case]> = cases.into();
        for (what, fault, status, code) in &answers {
            let (fault, known) = (fault.clone(), cases.clone());
            world.registry_proxy.break_with(move |call| {
                let case = known.iter().find(|case| call.path.contains(&format!("/{}/", case.name)))?;
                if case.step.is(call, case) {
                    return Some(fault.clone());
                }
                (case.step == Step::FallbackIndex && is_referrers(call)).then(no_such_page)
            });
            world.take_all_calls();
            let answers = join_all(cases.iter().map(|case| world.sign(case.request.clone()))).await;
            for (case, answer) in cases.iter().zip(&answers) {
                let name = format!("{}, {:?}, {}: {what}", world.registry.name, case.step, case.request);
                assert_eq!((answer.status.as_u16(), answer.code()), (*status, *code), "{name}: {answer:?}");
                world.assert_problem(answer, *status, code);
            }
            assert!(world.vault_proxy.take_calls().is_empty(), "{}: {what}", world.registry.name);
            let calls = world.registry_proxy.take_calls();
            let writes: Vec<_> =
                calls.iter().filter(|call| call.method != "GET" && call.method != "HEAD").collect();
            assert!(writes.is_empty(), "{}: {what}: {writes:?}", world.registry.name);
            world.registry_proxy.mend();
        }
        for case in cases.iter() {
            assert_eq!(attached(&world, &case.image).await, case.before, "{:?}", case.step);
            assert!(world.entries(&format!("digest={}", digest_of(&case.image))).await.is_empty());
        }
    }
}

async fn prepare(
    world: &World,
    number: usize,
    (step, has, format, other): (Step, Has, Option<&str>, bool),
) -> Case {
    let name = format!("case-{number}");
    let image = world.push_image_below(&name).await;
    match has {
        Has::Nothing => {}
        Has::Cosign => {
            let payload = world.payload(&image, &[]);
            let signature = world.vault_signature(&payload).await;
            world.plant_layers(&image, &payload, &[signature]).await;
        }
        Has::Bundle => {
            let statement = world.statement(&image, &[]);
            let signature = world
                .vault_signature(&pre_authentication_encoding(IN_TOTO, &statement.clone().into()).to_bytes())
                .await;
            world.plant_bundle(&image, &statement, &signature).await;
        }
    }
    let mut request = json!({"image": image});
    if let Some(format) = format {
        request["format"] = json!(format);
    }
    if other {
        request["annotations"] = json!({"another": "signature"});
    }
    let before = attached(world, &image).await;
    Case { step, name, image, request, before }
}

/// All that hangs on the image.
async fn attached(world: &World, image: &str) -> Vec<Value> {
    let bundles = world.bundles(image).await.into_iter().map(|bundle| json!(bundle));
    world.layers(image).await.into_iter().chain(bundles).collect()
}
