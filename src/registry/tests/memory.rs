//! A registry in memory, as plain as distribution 2.8: no referrers API, uploads in two requests.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};

use super::server::Seen;
use super::{problem, status, with};
use crate::domain::Digest;
use crate::ports::Manifest;

#[derive(Default)]
pub(super) struct Memory {
    /// By tag and by digest.
    manifests: Mutex<BTreeMap<String, Manifest>>,
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Memory {
    pub(super) fn put(&self, reference: &str, media_type: &str, content: &[u8]) {
        let manifest = Manifest { media_type: media_type.to_owned(), bytes: content.to_vec() };
        let mut manifests = self.manifests.lock().unwrap();
        manifests.insert(manifest.digest().to_string(), manifest.clone());
        manifests.insert(reference.to_owned(), manifest);
    }

    /// What `reference` names, as text.
    pub(super) fn text(&self, reference: &str) -> Option<String> {
        let manifests = self.manifests.lock().unwrap();
        manifests.get(reference).map(|manifest| String::from_utf8(manifest.bytes.clone()).unwrap())
    }

    pub(super) fn has_blob(&self, content: &[u8]) -> bool {
        self.blobs.lock().unwrap().contains_key(&Digest::of(content).to_string())
    }

    pub(super) fn answer(&self, seen: &Seen) -> Response {
        let place = seen.path.rsplit('/').nth(1).unwrap_or_default();
        match (&seen.method, place) {
            (&Method::POST, "uploads") => {
                with(status(202), "location", "/v2/app/blobs/uploads/session?state=a%2Fb")
            }
            (&Method::PUT, "uploads") => {
                let digest = seen.parameter("digest").unwrap_or_default();
                assert_eq!(seen.parameter("state").as_deref(), Some("a/b"));
                assert_eq!(Digest::of(&seen.body).to_string(), digest);
                self.blobs.lock().unwrap().insert(digest, seen.body.to_vec());
                status(201)
            }
            (&Method::PUT, "manifests") => {
                self.put(seen.last(), seen.headers[CONTENT_TYPE].to_str().unwrap(), &seen.body);
                status(201)
            }
            (&Method::GET | &Method::HEAD, "manifests") => self.manifest(seen.last()),
            (&Method::GET, "blobs") => match self.blobs.lock().unwrap().get(seen.last()) {
                Some(blob) => blob.clone().into_response(),
                None => problem(404, "BLOB_UNKNOWN"),
            },
            _ => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
        }
    }

    fn manifest(&self, reference: &str) -> Response {
        match self.manifests.lock().unwrap().get(reference) {
            Some(manifest) => {
                let response =
                    with(manifest.bytes.clone().into_response(), "content-type", &manifest.media_type);
                with(response, "docker-content-digest", &manifest.digest().to_string())
            }
            None => problem(404, "MANIFEST_UNKNOWN"),
        }
    }
}
