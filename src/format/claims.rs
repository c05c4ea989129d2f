//! What a "simple signing" payload says, as verifiers read it.
//! <https://github.com/containers/image/blob/main/docs/containers-signature.5.md>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::Repository;

/// What every payload of a container signature is called.
pub const PAYLOAD_TYPE: &str = "cosign container image signature";

/// The claims of a payload. Who made them, and whether they are true, is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The repository, as whoever signed wrote it.
    pub docker_reference: String,
    /// The image's digest, as whoever signed wrote it.
    pub digest: String,
    pub annotations: BTreeMap<String, Value>,
}

impl Claims {
    /// Reads a payload. `None` where it is none, or one of another kind of signature.
    pub fn read(payload: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Payload {
            critical: Critical,
            #[serde(default)]
            optional: Option<BTreeMap<String, Value>>,
        }
        #[derive(Deserialize)]
        struct Critical {
            identity: Identity,
            image: Image,
            r#type: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Identity {
            docker_reference: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Image {
            docker_manifest_digest: String,
        }
        let Payload { critical, optional } = serde_json::from_slice(payload).ok()?;
        (critical.r#type == PAYLOAD_TYPE).then(|| Self {
            docker_reference: critical.identity.docker_reference,
            digest: critical.image.docker_manifest_digest,
            annotations: optional.unwrap_or_default(),
        })
    }

    /// Whether the payload is about an image of `repository`; a tag or a digest behind the name does not matter.
    pub fn are_about(&self, repository: &Repository) -> bool {
        let name = self.docker_reference.split('@').next().unwrap_or_default();
        name.parse::<Repository>().is_ok_and(|named| named == *repository)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Annotations, Digest};
    use crate::format::simple_signing::payload;

    fn repository() -> Repository {
        "registry.example.com/team/app".parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let image = format!("{}@{}", repository(), Digest::of(b"image")).parse().unwrap();
        let annotations = Annotations::new([("k".to_owned(), "<v>".to_owned())].into()).unwrap();
        let claims = Claims::read(&payload(&image, &annotations)).unwrap();
        assert_eq!(claims.digest, image.digest.to_string());
        assert_eq!(claims.annotations, [("k".to_owned(), Value::from("<v>"))].into());
        assert!(claims.are_about(&repository()));
    }

    #[test]
    fn another_kind_of_signature_has_no_claims() {
        let image = format!("{}@{}", repository(), Digest::of(b"image")).parse().unwrap();
        let payload = String::from_utf8(payload(&image, &Annotations::default())).unwrap();
        assert!(Claims::read(payload.as_bytes()).is_some());
        for text in [
            payload.replace(PAYLOAD_TYPE, "atomic container signature"),
            payload.replace("docker-reference", "reference"),
            payload.replace("null", "[]"),
            payload.replace("null", r#"null,"critical":{}"#),
            payload[1..].to_owned(),
            String::new(),
        ] {
            assert_eq!(Claims::read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_repository_is_named_in_full() {
        let about = |docker_reference: &str, repository: &str| {
            let docker_reference = docker_reference.to_owned();
            let claims = Claims { docker_reference, digest: String::new(), annotations: BTreeMap::new() };
            claims.are_about(&repository.parse().unwrap())
        };
        let app = "registry.example.com/team/app";
        for same in [app, "REGISTRY.example.com/team/app", "registry.example.com/team/app:1"] {
            assert!(about(same, app), "{same}");
        }
        assert!(about(&format!("{app}@{}", Digest::of(b"image")), app));
        assert!(about("index.docker.io/team/app", "docker.io/team/app"));
        for other in [
            "",
            "team/app",
            "registry.example.com/team",
            "registry.example.com/team/app2",
            "other.example.com/team/app",
        ] {
            assert!(!about(other, app), "{other}");
        }
    }
}
