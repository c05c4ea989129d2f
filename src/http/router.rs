//! The table of contents.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::{
    ApiState, attestations, audit, blobs, decisions, docs, keys, log, observe, signatures, verifications,
    well_known,
};

/// The API with its documentation. `public_url` is how callers reach it.
pub fn router(state: ApiState, public_url: Option<&str>) -> Router {
    let (api, mut document) = operations().split_for_parts();
    describe(&mut document, public_url);
    let pages = state.audit.is_some().then(audit::router);
    api.merge(docs::router(document))
        .merge(pages.unwrap_or_default())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        // One stack, the outermost first: each layer of the router's own would be a box, and a clone of all below it, for each request.
        .layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(state.clone(), observe::observe))
                .layer(SetResponseHeaderLayer::overriding(
                    X_CONTENT_TYPE_OPTIONS,
                    HeaderValue::from_static("nosniff"),
                ))
                .layer(SetResponseHeaderLayer::if_not_present(
                    CACHE_CONTROL,
                    HeaderValue::from_static("no-store"),
                ))
                .layer(DefaultBodyLimit::max(state.body_bytes))
                .layer(CatchPanicLayer::custom(Problem::from_panic)),
        )
        .with_state(state)
}

/// The OpenAPI document on its own.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, mut document) = operations().split_for_parts();
    describe(&mut document, None);
    document
}

fn operations() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(docs::Document::openapi())
        .routes(routes!(signatures::sign))
        .routes(routes!(signatures::sign_many))
        .routes(routes!(signatures::read))
        .routes(routes!(attestations::attest))
        .routes(routes!(blobs::sign))
        .routes(routes!(verifications::verify))
        .routes(routes!(decisions::decide))
        .routes(routes!(keys::list))
        .routes(routes!(keys::read))
        .routes(routes!(keys::public_key))
        .routes(routes!(keys::public_keys))
        .routes(routes!(well_known::keys))
        .routes(routes!(well_known::log_keys))
        .routes(routes!(log::checkpoint::newest))
        // What stands behind the slash has slashes of its own; the document says what it is.
        .route("/log/tile/{*path}", get(log::tiles::hashes))
        .route("/log/tile/entries/{*number}", get(log::tiles::entries))
        .routes(routes!(log::entries::list))
        .routes(routes!(log::entries::read))
        .routes(routes!(log::export::export))
        .routes(routes!(log::counts::count))
        .routes(routes!(log::signatures::list))
        .routes(routes!(log::schema::entry))
}

fn describe(document: &mut utoipa::openapi::OpenApi, public_url: Option<&str>) {
    document.servers = public_url.map(|url| vec![utoipa::openapi::Server::new(url)]);
}

async fn no_such_path(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    Problem::not_found(&format!("There is nothing at `{path}`. `/docs` shows what there is."))
}

async fn no_such_method() -> Problem {
    Problem::method_not_allowed()
}
