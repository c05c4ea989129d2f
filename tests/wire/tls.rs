//! TLS on the API: what is spoken, who is let in by a certificate, and what happens when certificates change.

mod clients;
mod command_line;
mod files;
mod reload;

use std::sync::Arc;

use reqwest::tls::{TlsInfo, Version};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::support::world::Settings;
use crate::support::{Answer, Authority, World};

/// A world that speaks TLS, with its authority.
async fn world() -> (World, Arc<Authority>) {
    let authority = Arc::new(Authority::new("Private authority"));
    (World::with(Settings { tls: Some(authority.clone()), ..Settings::default() }).await, authority)
}

/// What `client` is answered, without a token.
async fn sign(world: &World, client: &Client, image: &str) -> Answer {
    let request = client.post(format!("{}/v1/signatures", world.signet.api));
    Answer::read(request.body(json!({"image": image}).to_string()).send().await.unwrap()).await
}

/// Something that everybody may ask.
async fn ask(world: &World, client: &Client) -> reqwest::Result<Response> {
    client.get(format!("{}/openapi.json", world.signet.api)).send().await
}

/// The certificate that the server showed, in DER.
fn shown(response: &Response) -> Vec<u8> {
    let info = response.extensions().get::<TlsInfo>().unwrap();
    info.peer_certificate().unwrap().to_vec()
}

fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

#[tokio::test]
async fn images_are_signed_over_tls_1_2_and_1_3_with_http_1_and_http_2() {
    let (world, authority) = world().await;
    for tls in [Version::TLS_1_2, Version::TLS_1_3] {
        let builder = || authority.builder(None).min_tls_version(tls).max_tls_version(tls);
        for (builder, http) in
            [(builder().http1_only(), reqwest::Version::HTTP_11), (builder(), reqwest::Version::HTTP_2)]
        {
            let request = builder.build().unwrap().post(format!("{}/v1/signatures", world.signet.api));
            let body = json!({"image": world.push_image().await});
            let response = request.bearer_auth(&world.token).json(&body).send().await.unwrap();
            assert_eq!(response.version(), http);
            let answer = Answer::read(response).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body["state"]),
                (201, &json!("attached")),
                "{answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn plain_http_is_not_answered_where_there_is_tls() {
    let (world, _authority) = world().await;
    let url = format!("{}/v1/keys", world.signet.api.replace("https://", "http://"));
    let error = crate::support::servers::client().get(url).bearer_auth(&world.token).send().await;
    assert!(error.is_err(), "{error:?}");
    // The admin listener is on loopback, and stays as it is.
    assert_eq!(world.readiness().await.status, 200);
    assert!(world.metric("signet_tls_certificate_expires_seconds").await > 0.0);
}

#[tokio::test]
async fn a_caller_who_trusts_another_authority_says_nothing() {
    let (world, _authority) = world().await;
    let stranger = Authority::new("Another authority").trusting_client(None);
    assert!(ask(&world, &stranger).await.is_err());
    let failed = async || (world.metric("signet_tls_handshakes_failed_total").await >= 1.0).then_some(());
    world.eventually("the handshake is counted", failed).await;
}

/// The principal of the one refusal that the log has about `image`.
async fn refused_principal(world: &World, image: &str) -> Value {
    let digest = image.split_once('@').unwrap().1.to_owned();
    let found = async || world.entries(&format!("digest={digest}&decision=deny")).await.pop();
    world.eventually("the refusal is in the log", found).await["principal"].clone()
}
