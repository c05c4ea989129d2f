//! A repository as it is, past Signet and past the proxy: for looking at what was written, and for tampering with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};
use signet::domain::Digest;

use crate::support::{World, image};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

pub struct Upstream {
    client: Client,
    /// `host:port/name`
    pub repository: String,
    /// `http://host:port/v2/name`
    base: String,
}

impl Upstream {
    pub fn of(world: &World) -> Self {
        let base = world.upstream();
        Self { client: world.client.clone(), repository: base[7..].replacen("/v2/", "/", 1), base }
    }

    /// Another repository of the same registry.
    pub fn beside(&self, name: &str) -> Self {
        Self {
            client: self.client.clone(),
            repository: format!("{}/{name}", self.repository),
            base: format!("{}/{name}", self.base),
        }
    }

    pub fn image(&self, digest: Digest) -> String {
        format!("{}@{digest}", self.repository)
    }

    pub async fn manifest(&self, reference: &str) -> Value {
        serde_json::from_slice(&self.get("manifests", reference).await).unwrap()
    }

    /// The digest that a tag names.
    pub async fn digest(&self, tag: &str) -> Digest {
        Digest::of(&self.get("manifests", tag).await)
    }

    pub async fn blob(&self, digest: &Value) -> Vec<u8> {
        self.get("blobs", digest.as_str().unwrap()).await
    }

    /// Changes a blob that `descriptor` names into `content`.
    pub async fn replace_blob(&self, descriptor: &mut Value, content: Vec<u8>) {
        descriptor["size"] = json!(content.len());
        descriptor["digest"] = json!(image::push_blob(&self.client, &self.base, content).await);
    }

    pub async fn put(&self, reference: &str, manifest: &Value) -> Digest {
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let media_type = manifest["mediaType"].as_str().unwrap();
        image::put_manifest(&self.client, &self.base, reference, media_type, bytes).await;
        digest
    }

    /// What refers to `subject`, found as a verifier finds it.
    pub async fn referrers(&self, subject: Digest) -> Vec<Value> {
        let request = self.client.get(format!("{}/referrers/{subject}", self.base));
        let answer = request.send().await.unwrap();
        let index: Value = match answer.status().as_u16() {
            200 => answer.json().await.unwrap(),
            404 => self.manifest(&fallback_tag(subject)).await,
            status => panic!("{status}"),
        };
        index["manifests"].as_array().unwrap().clone()
    }

    /// The digest of the only bundle that refers to `subject`.
    pub async fn bundle_digest(&self, subject: Digest) -> String {
        let referrers = self.referrers(subject).await;
        assert_eq!(referrers.len(), 1, "{referrers:?}");
        referrers[0]["digest"].as_str().unwrap().to_owned()
    }

    /// The manifest of that bundle.
    pub async fn bundle(&self, subject: Digest) -> Value {
        self.manifest(&self.bundle_digest(subject).await).await
    }

    /// Pushes a manifest that refers to `subject`, which has no other referrers.
    pub async fn put_referrer(&self, subject: Digest, manifest: &Value) {
        let bytes = manifest.to_string().into_bytes();
        let (digest, size) = (Digest::of(&bytes), bytes.len());
        let put = self.client.put(format!("{}/manifests/{digest}", self.base));
        let answer = put.header(CONTENT_TYPE, MANIFEST).body(bytes).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        if !answer.headers().contains_key("oci-subject") {
            let entry = json!({"mediaType": MANIFEST, "digest": digest, "size": size, "artifactType": manifest["artifactType"]});
            let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
            self.put(&fallback_tag(subject), &index).await;
        }
    }

    async fn get(&self, kind: &str, reference: &str) -> Vec<u8> {
        let request = self.client.get(format!("{}/{kind}/{reference}", self.base));
        let answer = request.header(ACCEPT, format!("{MANIFEST}, {INDEX}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{kind} {reference}");
        answer.bytes().await.unwrap().to_vec()
    }
}

/// The digest of a reference `host/name@sha256:…`.
pub fn digest_of(image: &str) -> Digest {
    image.split_once('@').unwrap().1.parse().unwrap()
}

/// The tag of the `cosign` layout.
pub fn signature_tag(image: Digest) -> String {
    format!("sha256-{}.sig", image.hex())
}

fn fallback_tag(image: Digest) -> String {
    format!("sha256-{}", image.hex())
}

/// The same base64, with the last byte of what it says changed: for an ASN.1 signature, another number of the same form.
pub fn change_last_byte(base64: &mut Value) {
    let mut bytes = STANDARD.decode(base64.as_str().unwrap()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    *base64 = json!(STANDARD.encode(bytes));
}
