//! An OCI registry on loopback: [distribution-spec 1.1], with the referrers API, for `cosign`, `crane`, `docker` and Signet.
//!
//! Anonymous, sha256 only, on a directory of its own. Whatever is written appears at once or not at all (rename into place),
//! and is there again after a restart with the same directory; it is not flushed to the disk, so a power cut may lose it.
//!
//! [distribution-spec 1.1]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md

mod blobs;
mod document;
mod error;
mod layout;
mod manifests;
mod names;
mod range;
mod referrers;
mod route;
mod session;
mod tags;
mod uploads;

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Path as UrlPath, Query, Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::Mutex;

use error::Error;
use layout::Layout;
use route::{Resource, Target};
use session::Sessions;

/// A registry over one directory. Clones share everything; one directory belongs to one `Registry` at a time.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    layout: Layout,
    sessions: Sessions,
    /// Held while manifests or tags change and while blobs go away, so that a manifest never arrives between the check of its
    /// blobs and their deletion, and a tag never points at a manifest that is being deleted.
    changes: Mutex<()>,
}

impl Registry {
    /// Opens the registry in `directory`, which is made if it is missing. Uploads that were not finished are discarded.
    ///
    /// # Errors
    ///
    /// The directory cannot be made, read or cleared.
    pub fn new(directory: impl AsRef<Path>) -> io::Result<Self> {
        let layout = Layout::open(directory.as_ref())?;
        Ok(Self {
            shared: Arc::new(Shared { layout, sessions: Sessions::default(), changes: Mutex::new(()) }),
        })
    }

    /// The HTTP side: everything below `/v2/`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v2", any(version_check))
            .route("/v2/", any(version_check))
            .route("/v2/{*rest}", any(dispatch))
            .layer(axum::middleware::map_response(name_the_api))
            .with_state(self.shared.clone())
    }
}

/// The query parameters that any call of the specification knows; each call reads those that are its own.
#[derive(Default, Deserialize)]
struct Parameters {
    digest: Option<String>,
    mount: Option<String>,
    from: Option<String>,
    n: Option<String>,
    last: Option<String>,
    #[serde(rename = "artifactType")]
    artifact_type: Option<String>,
}

async fn version_check(method: Method) -> Result<Response, Error> {
    match method {
        Method::GET | Method::HEAD => Ok(Json(serde_json::json!({})).into_response()),
        _ => Err(Error::MethodUnsupported),
    }
}

/// The table of contents. Repository names contain slashes, so the path is taken apart here and not by the router.
async fn dispatch(
    State(shared): State<Arc<Shared>>,
    UrlPath(path): UrlPath<String>,
    Query(parameters): Query<Parameters>,
    method: Method,
    request: Request,
) -> Result<Response, Error> {
    let Target { repository, resource } = Target::parse(&path)?;
    match (resource, method.as_str()) {
        (Resource::Blob(digest), "GET" | "HEAD") => {
            blobs::read(&shared, &repository, &digest, request.headers()).await
        }
        (Resource::Blob(digest), "DELETE") => blobs::delete(&shared, &repository, &digest).await,

        (Resource::Uploads, "POST") => uploads::start(&shared, repository, parameters, request).await,
        (Resource::Upload(id), "GET") => uploads::status(&shared, &repository, id).await,
        (Resource::Upload(id), "PATCH") => uploads::append(&shared, repository, id, request).await,
        (Resource::Upload(id), "PUT") => uploads::finish(&shared, repository, id, parameters, request).await,
        (Resource::Upload(id), "DELETE") => uploads::cancel(&shared, &repository, id).await,

        (Resource::Manifest(reference), "GET" | "HEAD") => {
            manifests::read(&shared, &repository, &reference).await
        }
        (Resource::Manifest(reference), "PUT") => {
            manifests::write(&shared, &repository, &reference, request).await
        }
        (Resource::Manifest(reference), "DELETE") => {
            manifests::delete(&shared, &repository, &reference).await
        }

        (Resource::Referrers(subject), "GET" | "HEAD") => {
            referrers::list(&shared, &repository, &subject, parameters).await
        }
        (Resource::Tags, "GET" | "HEAD") => tags::list(&shared, &repository, parameters).await,

        _ => Err(Error::MethodUnsupported),
    }
}

/// Docker's client takes a server for a registry only by this header.
async fn name_the_api(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    response
}

/// An answer without body, with `headers` whose values were built from parsed names and numbers.
fn answer<const N: usize>(status: StatusCode, headers: [(&'static str, String); N]) -> Response {
    (status, headers).into_response()
}
