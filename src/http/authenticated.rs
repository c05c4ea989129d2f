//! The caller, as an extractor: a handler that takes it can not be reached without credentials.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use secrecy::SecretString;

use super::ApiState;
use super::problem::Problem;
use crate::domain::RequestId;
use crate::ports::Credentials;
use crate::service::Caller;

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let credentials = Credentials { bearer: bearer(&parts.headers) };
        let principal = state.authenticator.authenticate(&credentials).await.map_err(|error| {
            tracing::info!(%error, "not authenticated");
            Problem::unauthenticated()
        })?;
        let request_id = request_id(parts)?;
        Ok(Self { principal, request_id })
    }
}

/// The id that [`super::observe`] gave.
pub fn request_id(parts: &Parts) -> Result<RequestId, Problem> {
    parts.extensions.get::<RequestId>().cloned().ok_or_else(Problem::internal)
}

/// The bearer token (RFC 6750). Two `Authorization` headers are none: which one counts would be a guess.
fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned().into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&headers).map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn one_bearer_header_is_read_and_nothing_else() {
        assert_eq!(read(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(read(&["bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["Basic abc"]), None);
        assert_eq!(read(&["Bearer"]), None);
        assert_eq!(read(&["Bearer abc", "Bearer def"]), None);
    }
}
