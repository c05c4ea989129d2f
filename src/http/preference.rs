//! `Prefer` (RFC 7240): what a caller would like, as far as Signet can.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::AppendHeaders;

use super::ApiState;

/// The caller's preferences. Those that are not known are passed over, as the specification wants it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Preferences {
    /// Answer before the registry has it.
    pub respond_async: bool,
}

impl Preferences {
    /// The header that says which preference was followed.
    pub fn applied(self) -> Option<AppendHeaders<[(HeaderName, HeaderValue); 1]>> {
        let applied =
            (HeaderName::from_static("preference-applied"), HeaderValue::from_static("respond-async"));
        self.respond_async.then_some(AppendHeaders([applied]))
    }
}

impl FromRequestParts<ApiState> for Preferences {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Infallible> {
        let values = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = values.flat_map(|value| value.split(','));
        let is_async = |preference: &str| {
            let name = preference.split(';').next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case("respond-async")
        };
        Ok(Self { respond_async: preferences.any(is_async) })
    }
}
