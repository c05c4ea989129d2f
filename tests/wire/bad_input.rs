//! Bad input: the code of the interface, a sentence that says what to do, and no call to Vault.

mod annotations;
mod attestations;
mod batch;
mod blobs;
mod body;
mod credentials;
mod images;
mod key_versions;
mod log_queries;
mod routes;

use serde_json::{Value, json};

use crate::support::World;

/// A request that would be signed, had nobody changed it.
async fn good_request(world: &World) -> Value {
    json!({"image": world.push_image().await, "key": world.key, "format": "cosign", "annotations": {"k": "v"}})
}

/// `request` with `name` as `value`.
fn with(request: &Value, name: &str, value: impl Into<Value>) -> String {
    let mut request = request.clone();
    request[name] = value.into();
    request.to_string()
}
