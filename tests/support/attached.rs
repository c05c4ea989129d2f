//! What hangs on an image, asked of the registry past the proxy.

use reqwest::StatusCode;
use serde_json::{Value, json};
use signet::domain::{Annotations, Descriptor, Digest, ImageReference, KeyReference, PublicKey};
use signet::format::{bundle, signature_manifest, simple_signing, statement};

use super::{World, image};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl World {
    /// The signatures below the image's `.sig` tag.
    pub async fn layers(&self, image: &str) -> Vec<Value> {
        match self.tagged(image, &sig_tag(image)).await {
            Some((_, manifest)) => manifest["layers"].as_array().unwrap().clone(),
            None => Vec::new(),
        }
    }

    /// The attestations below the image's `.att` tag.
    pub async fn attestations(&self, image: &str) -> Vec<Value> {
        match self.tagged(image, &sig_tag(image).replace(".sig", ".att")).await {
            Some((_, manifest)) => manifest["layers"].as_array().unwrap().clone(),
            None => Vec::new(),
        }
    }

    /// A blob of the image's repository.
    pub async fn blob(&self, image: &str, digest: &str) -> Vec<u8> {
        let url = format!("{}/blobs/{digest}", self.upstream_of(image));
        let answer = self.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap().to_vec()
    }

    /// The bundles that refer to the image.
    pub async fn bundles(&self, image: &str) -> Vec<Descriptor> {
        self.referrers(image).await.into_iter().filter(bundle::is_bundle).collect()
    }

    /// What refers to the image, from the referrers API or from the fallback tag.
    async fn referrers(&self, image: &str) -> Vec<Descriptor> {
        let digest = parse(image).digest;
        let url = format!("{}/referrers/{digest}", self.upstream_of(image));
        let answer = self.client.get(url).send().await.unwrap();
        let is_index = answer.headers().get("content-type").is_some_and(|value| value == INDEX);
        let index = match answer.status() {
            StatusCode::OK if is_index => answer.json::<Value>().await.unwrap(),
            StatusCode::OK | StatusCode::NOT_FOUND => {
                let tag = format!("sha256-{}", digest.hex());
                self.tagged(image, &tag).await.map_or(json!({"manifests": []}), |(_, index)| index)
            }
            status => panic!("referrers: {status}"),
        };
        // `null` is how some registries write an empty list.
        let referrers: Option<Vec<Descriptor>> = serde_json::from_value(index["manifests"].clone()).unwrap();
        referrers.unwrap_or_default()
    }

    /// How many signatures the image has, of either layout.
    pub async fn signatures(&self, image: &str) -> usize {
        self.layers(image).await.len() + self.bundles(image).await.len()
    }

    /// What a tag beside the image names, as bytes and as JSON.
    pub async fn tagged(&self, image: &str, tag: &str) -> Option<(Vec<u8>, Value)> {
        let request = self.client.get(format!("{}/manifests/{tag}", self.upstream_of(image)));
        let answer = request.header("Accept", format!("{MANIFEST}, {INDEX}")).send().await.unwrap();
        match answer.status() {
            StatusCode::OK => {
                let bytes = answer.bytes().await.unwrap().to_vec();
                let json = serde_json::from_slice(&bytes).unwrap();
                Some((bytes, json))
            }
            StatusCode::NOT_FOUND => None,
            status => panic!("{tag}: {status}"),
        }
    }

    /// Puts a `.sig` manifest with these signatures over `payload` at the image's tag, as somebody with access could.
    pub async fn plant_layers(&self, image: &str, payload: &[u8], signatures: &[Vec<u8>]) {
        let key = self.key_reference(1).await;
        let mut manifest = None;
        for signature in signatures {
            let layer = simple_signing::layer(payload, signature, &key);
            let at = "2026-01-02T03:04:05Z".parse().unwrap();
            let appended = signature_manifest::SignatureManifest::append(manifest, layer, at);
            manifest = Some(signature_manifest::SignatureManifest::parse(&appended.manifest).unwrap());
            let base = self.upstream_of(image);
            image::push_blob(&self.client, &base, payload.to_vec()).await;
            image::push_blob(&self.client, &base, appended.config).await;
            image::put_manifest(&self.client, &base, &sig_tag(image), MANIFEST, appended.manifest).await;
        }
    }

    /// Pushes a bundle over `statement` that refers to the image, as somebody with access could.
    pub async fn plant_bundle(&self, image: &str, statement: &[u8], signature: &[u8]) {
        let base = self.upstream_of(image);
        let key = self.key_reference(1).await;
        let (subject_bytes, _) = self.tagged(image, &parse(image).digest.to_string()).await.unwrap();
        let subject = Descriptor::of(MANIFEST, &subject_bytes);
        let content = bundle::bundle(&key.fingerprint, &statement.to_vec().into(), signature);
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        let (manifest, descriptor) = bundle::referrer(&subject, &content, statement::SIGNATURE_PREDICATE, at);
        image::push_blob(&self.client, &base, content.to_bytes().into()).await;
        image::push_blob(&self.client, &base, bundle::EMPTY_CONFIG.to_vec()).await;
        let digest = descriptor.digest.to_string();
        image::put_manifest(&self.client, &base, &digest, MANIFEST, manifest).await;
        self.list_referrer(image, descriptor).await;
    }

    /// Makes sure that what refers to the image lists `referrer`, which was pushed.
    async fn list_referrer(&self, image: &str, referrer: Descriptor) {
        let mut referrers = self.referrers(image).await;
        if referrers.iter().all(|listed| listed.digest != referrer.digest) {
            // No referrers API: the index at the fallback tag is its client's work.
            referrers.push(referrer);
            let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": referrers});
            let tag = format!("sha256-{}", parse(image).digest.hex());
            let base = self.upstream_of(image);
            image::put_manifest(&self.client, &base, &tag, INDEX, index.to_string().into_bytes()).await;
        }
    }

    /// Pushes a manifest with one layer that refers to the image, as somebody with access could.
    pub async fn plant_referrer(&self, image: &str, artifact_type: &str, layer: &str, content: &[u8]) {
        let base = self.upstream_of(image);
        let (subject, _) = self.tagged(image, &parse(image).digest.to_string()).await.unwrap();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type,
            "config": Descriptor::of("application/vnd.oci.empty.v1+json", bundle::EMPTY_CONFIG),
            "layers": [Descriptor::of(layer, content)], "subject": Descriptor::of(MANIFEST, &subject),
        });
        image::push_blob(&self.client, &base, content.to_vec()).await;
        image::push_blob(&self.client, &base, bundle::EMPTY_CONFIG.to_vec()).await;
        let manifest = manifest.to_string().into_bytes();
        let descriptor = Descriptor {
            artifact_type: Some(artifact_type.to_owned()),
            ..Descriptor::of(MANIFEST, &manifest)
        };
        let digest = descriptor.digest.to_string();
        image::put_manifest(&self.client, &base, &digest, MANIFEST, manifest).await;
        self.list_referrer(image, descriptor).await;
    }

    /// What is signed for an image in the `cosign` layout.
    pub fn payload(&self, image: &str, annotations: &[(&str, &str)]) -> Vec<u8> {
        simple_signing::payload(&parse(image), &of_pairs(annotations))
    }

    /// The statement that is signed for an image as a bundle.
    pub fn statement(&self, image: &str, annotations: &[(&str, &str)]) -> Vec<u8> {
        statement::signature_statement(digest_of(image), &of_pairs(annotations))
    }

    /// `version` of this world's key, as layers name it.
    pub async fn key_reference(&self, version: u32) -> KeyReference {
        let key = PublicKey::from_pem(&self.public_key(version).await).unwrap();
        KeyReference {
            name: self.key.parse().unwrap(),
            version: signet::domain::KeyVersion::new(version).unwrap(),
            fingerprint: key.fingerprint(),
        }
    }

    /// `http://registry/v2/name` of the image's repository, past the proxy.
    pub fn upstream_of(&self, image: &str) -> String {
        format!("{}/v2/{}", self.registry.url, parse(image).repository.path())
    }
}

/// The tag of an image's `.sig` signatures.
pub fn sig_tag(image: &str) -> String {
    simple_signing::tag(parse(image).digest)
}

/// The digest of an image's reference.
pub fn digest_of(image: &str) -> Digest {
    parse(image).digest
}

fn of_pairs(pairs: &[(&str, &str)]) -> Annotations {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Annotations::new(pairs.collect()).unwrap()
}

fn parse(image: &str) -> ImageReference {
    image.parse().unwrap()
}
