//! What Signet, cosign and crane rely on in a registry, asked of the real ones and of the stand-in alike. Where a registry
//! does otherwise than the specification says, [`Quirks`] says so.

mod blobs;
mod manifests;
mod referrers;
mod stand_in;
mod tags;

use axum::body::Bytes;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::servers::{self, TestRegistry};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What is known to differ from registry to registry.
struct Quirks {
    /// The referrers API, and with it the `OCI-Subject` header.
    referrers_api: bool,
    /// A blob in a single `POST …?digest=`; without it the answer is 202 and an upload that goes on.
    single_request_upload: bool,
    /// The status for a manifest of more than 4 MiB; 201 where there is no such limit.
    oversized_manifest: u16,
    /// The answer to a manifest whose blobs are not there.
    missing_blob: (u16, &'static str),
    /// The status for a mount of what is not there.
    missing_mount: u16,
    /// The answer to a repository name outside the grammar; without a code where no endpoint feels addressed.
    bad_name: (u16, Option<&'static str>),
    /// Tags come in order, and in pages where the client asks for them.
    orders_tags: bool,
    /// A chunk that leaves a gap is refused with 416.
    refuses_gaps: bool,
    /// An upload can be given up with DELETE.
    cancels_uploads: bool,
    /// Invalid manifests that are told as a fault of the server (500), not as MANIFEST_INVALID.
    fails_on_manifests: &'static [&'static str],
}

fn quirks(name: &str) -> Quirks {
    let specified = Quirks {
        referrers_api: true,
        single_request_upload: true,
        oversized_manifest: 413,
        missing_blob: (400, "MANIFEST_BLOB_UNKNOWN"),
        missing_mount: 202,
        bad_name: (400, Some("NAME_INVALID")),
        orders_tags: true,
        refuses_gaps: true,
        cancels_uploads: true,
        fails_on_manifests: &[],
    };
    match name {
        "stand-in" => specified,
        "distribution-2.8" | "distribution-3" => Quirks {
            referrers_api: false,
            single_request_upload: false,
            oversized_manifest: 400,
            bad_name: (404, None),
            orders_tags: name != "distribution-2.8",
            refuses_gaps: name != "distribution-2.8",
            fails_on_manifests: &["{}"],
            ..specified
        },
        "ociregistry" => Quirks {
            oversized_manifest: 201,
            missing_blob: (500, "UNKNOWN"),
            missing_mount: 404,
            cancels_uploads: false,
            fails_on_manifests: &["no JSON", "{}", "[]"],
            ..specified
        },
        other => panic!("nothing is known of the registry {other}: add it to quirks()"),
    }
}

/// One repository of the test's own in one registry.
struct Repository {
    client: Client,
    registry: TestRegistry,
    name: String,
    quirks: Quirks,
}

/// A new repository in each registry.
fn repositories() -> Vec<Repository> {
    let client = servers::client();
    let each = servers::registries().into_iter();
    each.map(|registry| Repository {
        client: client.clone(),
        name: servers::unique("team/app"),
        quirks: quirks(&registry.name),
        registry,
    })
    .collect()
}

impl Repository {
    /// A call below this repository, or below the registry where `path` is absolute.
    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let base = &self.registry.url;
        let url = match path.strip_prefix("/v2/") {
            Some(rest) => format!("{base}/v2/{rest}"),
            None => format!("{base}/v2/{}/{path}", self.name),
        };
        self.client.request(method, url)
    }

    /// With the media types of manifests, without which distribution 2.8 finds none.
    async fn get(&self, path: &str) -> Response {
        send(self.call(Method::GET, path).header("accept", format!("{MANIFEST}, {INDEX}, */*"))).await
    }

    /// The same client in another new repository of the same registry.
    fn sibling(&self) -> Self {
        Self {
            client: self.client.clone(),
            registry: self.registry.clone(),
            name: servers::unique("team/other"),
            quirks: quirks(&self.registry.name),
        }
    }

    /// Opens an upload and gives where it goes on, as a URL.
    async fn start_upload(&self) -> String {
        let answer = send(self.call(Method::POST, "blobs/uploads/")).await;
        assert_eq!(answer.status(), 202, "{}", self.registry.name);
        self.location(&answer)
    }

    /// The `Location` of an answer, which may be relative.
    fn location(&self, answer: &Response) -> String {
        let location = header(answer, "location").expect("the answer says where to go on");
        match location.starts_with('/') {
            true => format!("{}{location}", self.registry.url),
            false => location,
        }
    }

    async fn push_blob(&self, content: impl Into<Bytes>) -> String {
        let content = content.into();
        let digest = digest(&content);
        let upload = self.start_upload().await;
        let put = self.client.put(with_digest(&upload, &digest)).body(content);
        let answer = send(put).await;
        assert_eq!(answer.status(), 201, "{}", self.registry.name);
        assert_eq!(header(&answer, "docker-content-digest").as_deref(), Some(digest.as_str()));
        digest
    }

    async fn put_manifest(&self, reference: &str, media_type: &str, content: impl Into<Bytes>) -> Response {
        let put = self.call(Method::PUT, &format!("manifests/{reference}"));
        send(put.header("content-type", media_type).body(content.into())).await
    }

    /// Pushes an image with one layer under `tag` and gives its manifest.
    async fn push_image(&self, tag: &str) -> Vec<u8> {
        let manifest = self.image(json!({})).await;
        let answer = self.put_manifest(tag, MANIFEST, manifest.clone()).await;
        assert_eq!(answer.status(), 201, "{}", self.registry.name);
        manifest
    }

    /// A manifest like no other, with its blobs pushed; `more` is added to it.
    async fn image(&self, more: Value) -> Vec<u8> {
        let config =
            json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
        let config = config.to_string().into_bytes();
        let layer = servers::unique("layer").into_bytes();
        self.push_blob(config.clone()).await;
        self.push_blob(layer.clone()).await;
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            manifest[name] = value.clone();
        }
        manifest.to_string().into_bytes()
    }
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("the registry answers")
}

fn header(answer: &Response, name: &str) -> Option<String> {
    answer.headers().get(name).map(|value| value.to_str().expect("headers are ASCII").to_owned())
}

/// Status and first error code; no code where the body is no error of the specification.
async fn fault(answer: Response) -> (u16, Option<String>) {
    let status = answer.status().as_u16();
    let body: Option<Value> = answer.json().await.ok();
    (status, body.and_then(|body| body["errors"][0]["code"].as_str().map(str::to_owned)))
}

fn expected(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

/// The URL that ends an upload.
fn with_digest(upload: &str, digest: &str) -> String {
    let separator = if upload.contains('?') { '&' } else { '?' };
    format!("{upload}{separator}digest={digest}")
}

#[tokio::test]
async fn the_registry_says_that_it_is_one() {
    for repository in repositories() {
        let answer = repository.get("/v2/").await;
        assert_eq!(answer.status(), 200, "{}", repository.registry.name);
    }
}

#[tokio::test]
async fn names_and_digests_outside_the_grammar_are_refused() {
    let digest = digest(b"");
    for repository in repositories() {
        let (name, quirks) = (&repository.registry.name, &repository.quirks);
        for bad in ["Team/App", "team/-app", "team/a..b", "_blobs", "team/app_"] {
            let (status, code) = fault(repository.get(&format!("/v2/{bad}/manifests/{digest}")).await).await;
            assert_eq!((status, code.as_deref()), quirks.bad_name, "{name}: {bad}");
        }
        for bad in ["sha256:00", "sha256:zz", "md5-00:", &digest.to_uppercase()] {
            let status = repository.get(&format!("blobs/{bad}")).await.status();
            assert!(status == 400 || status == 404, "{name}: {bad}: {status}");
        }
    }
}
