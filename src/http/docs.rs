//! `/openapi.json`, and a page for it at `/docs`. Everything on it is embedded.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::ApiState;

/// What the document says besides its operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Signet",
        description = "Signs artifact digests with keys that never leave Vault, attaches the signatures to the OCI registry, and records it all."
    ),
    modifiers(&BearerToken),
    paths(super::log::tiles::hashes, super::log::tiles::entries),
    tags(
        (name = "signatures", description = "Sign images, and look signatures up"),
        (name = "verifications", description = "Is this image signed? Needs `verify`"),
        (name = "keys", description = "Public keys, for those who verify. No credentials needed"),
        (name = "policy", description = "What may be signed by whom"),
        (name = "log", description = "The signing log. Its entries are for auditors, and need `log.read`, which may be for some repositories alone; checkpoints and tiles of hashes are public")
    )
)]
pub struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

/// The page may load what Signet serves and talk to Signet, and nothing else.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub fn router(document: utoipa::openapi::OpenApi) -> Router<ApiState> {
    // Without this the page would have another host check the document.
    let config = Config::default().validator_url("none");
    let page: Router<ApiState> = SwaggerUi::new("/docs").url("/openapi.json", document).config(config).into();
    page.layer(SetResponseHeaderLayer::overriding(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_SECURITY),
    ))
}
