//! Around every request: its id, its line in the log, its place in the metrics, and its problem's body.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::EXPECT;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::middleware::Next;
use tracing::Instrument as _;

use super::ApiState;
use super::problem::Problem;
use super::remainder::Remainder;
use crate::domain::RequestId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Takes the caller's `X-Request-Id` where it is one, else makes one. Handlers find it in the request's extensions.
pub async fn observe(State(state): State<ApiState>, mut request: Request, next: Next) -> Response<Body> {
    let shown = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let id = shown.and_then(RequestId::from_caller).unwrap_or_else(|| state.ids.request_id());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    // What matched no route is counted as one: callers must not invent label values.
    let route = route.unwrap_or_else(|| "none".to_owned());
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!("request", request_id = %id, %method, route);

    let waits = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let (body, remainder) = Remainder::of(body);

    let began = Instant::now();
    let mut response = next.run(Request::from_parts(parts, body)).instrument(span.clone()).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let headers = std::mem::take(response.headers_mut());
        response = problem.render(&id);
        for (name, value) in &headers {
            response.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
    }
    let took = began.elapsed();
    let status = response.status();
    state.metrics.http_request(&route, method_label(&method), status.as_u16(), took);
    let left_out = match status {
        _ if !is_turned_away(status) => Some(0),
        _ => state.turned_away.line(state.clock.now()),
    };
    if let Some(left_out) = left_out {
        let left_out = (left_out > 0).then_some(left_out);
        span.in_scope(|| {
            tracing::info!(status = status.as_u16(), milliseconds = took.as_millis(), left_out, "answered");
        });
    }
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    // Who stopped sending has been waited for.
    if let Some(remainder) = remainder.filter(|_| status != StatusCode::REQUEST_TIMEOUT) {
        remainder.discard(waits).await;
    }
    response
}

/// Of answers that cost a caller nothing, a flood must not flood our log.
fn is_turned_away(status: StatusCode) -> bool {
    use StatusCode as S;
    [S::UNAUTHORIZED, S::FORBIDDEN, S::TOO_MANY_REQUESTS, S::SERVICE_UNAVAILABLE].contains(&status)
}

/// Methods are invented by callers too.
fn method_label(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        _ => "other",
    }
}
