//! Client certificates in place of tokens.

use rcgen::{ExtendedKeyUsagePurpose, SanType};
use serde_json::json;
use signet::domain::{Clock as _, SystemClock};

use super::{ask, refused_principal, sign, world};
use crate::support::authority::{Pair, client};
use crate::support::{Answer, Authority, World};

const WORKLOAD: &str = "spiffe://prod.example.com/ns/ci/sa/release";

fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().unwrap())
}

#[tokio::test]
async fn callers_are_known_by_their_certificates_over_http_1_and_http_2() {
    let (world, authority) = world().await;
    for (pair, principal) in [
        (authority.workload(WORKLOAD), format!("certificate:{WORKLOAD}")),
        (authority.client("release"), "certificate:CN=release".to_owned()),
    ] {
        for builder in [authority.builder(Some(&pair)), authority.builder(Some(&pair)).http1_only()] {
            let image = world.push_image().await;
            // Nothing in the policy speaks of certificates.
            let answer = sign(&world, &builder.build().unwrap(), &image).await;
            world.assert_problem(&answer, 403, "forbidden");
            assert_eq!(refused_principal(&world, &image).await, json!(principal));
        }
    }
}

#[tokio::test]
async fn a_workload_signs_what_a_rule_names_for_its_spiffe_id_and_nothing_else() {
    let (mut world, authority) = world().await;
    world.write_policy(&format!(
        "  - id: workload\n    effect: allow\n    identity: {{certificate: {{spiffe_id: \"{WORKLOAD}\"}}}}\n    repositories: ['{}']\n    keys: ['{}']\n",
        world.repository, world.key
    ));
    world.restart();
    let workload = authority.trusting_client(Some(&authority.workload(WORKLOAD)));
    let image = world.push_image().await;
    let answer = sign(&world, &workload, &image).await;
    assert_eq!((answer.status.as_u16(), &answer.body["state"]), (201, &json!("attached")), "{answer:?}");
    let signed = world.entries("kind=intent").await;
    assert_eq!(signed[0]["principal"], format!("certificate:{WORKLOAD}"));
    assert_eq!(signed[0]["rule"], "workload", "{signed:?}");

    let below = world.push_image_below("secret").await;
    world.assert_problem(&sign(&world, &workload, &below).await, 403, "forbidden");
    for other in [
        authority.workload("spiffe://prod.example.com/ns/ci/sa/release-2"),
        authority.workload("spiffe://other.example.com/ns/ci/sa/release"),
        authority.client(WORKLOAD),
    ] {
        let answer = sign(&world, &authority.trusting_client(Some(&other)), &image).await;
        world.assert_problem(&answer, 403, "forbidden");
    }
}

#[tokio::test]
async fn a_certificate_that_leads_to_no_known_authority_does_not_even_connect() {
    let (world, authority) = world().await;
    let stranger = Authority::new("Private authority");
    let mut expired = client("release");
    expired.not_after = rcgen::date_time_ymd(2026, 1, 1);
    let mut not_yet = client("release");
    not_yet.not_before = rcgen::date_time_ymd(3000, 1, 1);
    let mut for_servers = client("release");
    for_servers.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let cases: [(&str, Pair); 4] = [
        ("of another authority", stranger.client("release")),
        ("expired", authority.sign(&expired)),
        ("not yet valid", authority.sign(&not_yet)),
        ("for servers", authority.sign(&for_servers)),
    ];
    for (name, pair) in cases {
        let answer = ask(&world, &authority.trusting_client(Some(&pair))).await;
        assert!(answer.is_err(), "{name}: {answer:?}");
    }
    assert!(ask(&world, &authority.trusting_client(Some(&authority.client("release")))).await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_names_nobody_is_401() {
    let (world, authority) = world().await;
    let image = world.push_image().await;
    for names in [
        vec![uri(WORKLOAD), uri("spiffe://prod.example.com/ns/ci/sa/other")],
        vec![uri(WORKLOAD), uri("https://example.com")],
        vec![uri("spiffe://prod.example.com/ns/../sa/release")],
        vec![uri("spiffe://PROD.example.com/ns/ci")],
        vec![uri("spiffe://prod.example.com")],
    ] {
        let mut params = client("release");
        params.subject_alt_names = names;
        let pair = authority.sign(&params);
        let answer = sign(&world, &authority.trusting_client(Some(&pair)), &image).await;
        world.assert_problem(&answer, 401, "unauthenticated");
    }
    world.logs("the client certificate is not taken").await;
}

#[tokio::test]
async fn without_a_certificate_and_without_a_token_it_is_401() {
    let (world, authority) = world().await;
    let answer = sign(&world, &authority.trusting_client(None), &world.push_image().await).await;
    world.assert_problem(&answer, 401, "unauthenticated");
}

#[tokio::test]
async fn where_a_token_is_shown_it_decides_alone() {
    let (world, authority) = world().await;
    let client = authority.trusting_client(Some(&authority.workload(WORKLOAD)));
    let image = world.push_image().await;
    let with = async |authorizations: &[String]| {
        let mut request = client.post(format!("{}/v1/signatures", world.signet.api));
        for authorization in authorizations {
            request = request.header("Authorization", authorization);
        }
        Answer::read(request.json(&json!({"image": image})).send().await.unwrap()).await
    };
    let right = format!("Bearer {}", world.token);
    for wrong in [
        vec!["Bearer wrong".to_owned()],
        vec!["Bearer ".to_owned()],
        vec![String::new()],
        vec![format!("Basic {}", world.token)],
        vec![right.clone(), right.clone()],
    ] {
        world.assert_problem(&with(&wrong).await, 401, "unauthenticated");
    }
    let answer = with(&[right]).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let signed = world.entries("kind=intent").await;
    assert_eq!(signed.len(), 1, "{signed:?}");
    assert_eq!(signed[0]["principal"], "token:ci");
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_certificate() {
    let (world, authority) = world().await;
    let mut params = client("release");
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    // Whole seconds: it is valid for at least two.
    let end = u64::try_from(SystemClock.now().as_second() + 3).unwrap();
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(end);
    let client = authority.trusting_client(Some(&authority.sign(&params)));
    let image = world.push_image().await;
    world.assert_problem(&sign(&world, &client, &image).await, 403, "forbidden");
    // A new connection would end with its handshake, and be no answer.
    let refused = async || {
        let answer = sign(&world, &client, &image).await;
        (answer.status == 401).then_some(answer)
    };
    let answer = world.eventually("the certificate has expired", refused).await;
    world.assert_problem(&answer, 401, "unauthenticated");
}

#[tokio::test]
async fn a_listener_without_tls_knows_no_certificates() {
    let world = World::start().await;
    let image = world.push_image().await;
    let request = world.client.post(format!("{}/v1/signatures", world.signet.api));
    // What proxies write for servers that believe them.
    let request = request
        .header("X-Forwarded-Client-Cert", format!("By=x;URI={WORKLOAD}"))
        .header("X-SSL-Client-Verify", "SUCCESS")
        .header("X-SSL-Client-S-DN", "CN=release");
    let answer = Answer::read(request.json(&json!({"image": image})).send().await.unwrap()).await;
    world.assert_problem(&answer, 401, "unauthenticated");
}
