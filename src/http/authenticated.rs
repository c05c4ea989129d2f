//! The caller, as an extractor: a handler that takes it can not be reached without credentials.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use secrecy::SecretString;

use super::ApiState;
use super::problem::Problem;
use crate::domain::RequestId;
use crate::ports::{AuthenticationError, ClientCertificate, Credentials};
use crate::service::Caller;

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let nobody = |error: AuthenticationError| {
            if let Some(left_out) = state.unauthenticated.line(state.clock.now()) {
                tracing::info!(%error, left_out, "not authenticated");
            }
            Problem::unauthenticated()
        };
        let bearer = bearer(&parts.headers).map_err(nobody)?;
        let certificate = parts.extensions.get::<Arc<ClientCertificate>>().cloned();
        let credentials = Credentials { bearer, certificate };
        let principal = state.authenticator.authenticate(&credentials).await.map_err(nobody)?;
        let caller = Self { principal, request_id: request_id(parts)? };
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

/// The id that [`super::observe`] gave.
pub fn request_id(parts: &Parts) -> Result<RequestId, Problem> {
    parts.extensions.get::<RequestId>().cloned().ok_or_else(Problem::internal)
}

/// The bearer token (RFC 6750); none where there is no `Authorization` header.
///
/// # Errors
/// Where there is another scheme, or two headers: which one counts would be a guess.
fn bearer(headers: &HeaderMap) -> Result<Option<SecretString>, AuthenticationError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let token = || {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned().into())
    };
    match (token(), values.next()) {
        (Some(token), None) => Ok(Some(token)),
        _ => Err(AuthenticationError::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    /// None for what can not be read.
    fn read(values: &[&str]) -> Option<Option<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&headers).ok().map(|token| token.map(|token| token.expose_secret().to_owned()))
    }

    #[test]
    fn one_bearer_header_is_read_and_nothing_else() {
        assert_eq!(read(&["Bearer abc"]), Some(Some("abc".to_owned())));
        assert_eq!(read(&["bearer abc"]), Some(Some("abc".to_owned())));
        assert_eq!(read(&[]), Some(None));
        assert_eq!(read(&["Basic abc"]), None);
        assert_eq!(read(&["Bearer"]), None);
        assert_eq!(read(&["Bearer abc", "Bearer def"]), None);
    }
}
