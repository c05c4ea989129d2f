//! The log's newest checkpoint in Vault's KV engine, version 2:
//! <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use rustify_derive::Endpoint;
use serde::Deserialize;
use serde_json::json;

use super::client::{CallError, Client};
use super::failure::words;
use crate::ports::{Anchor, AnchorError, Anchored};

/// Keeps a checkpoint as a secret of one key, `checkpoint`, and replaces it by check-and-set.
pub struct VaultAnchor {
    pub(super) client: Arc<Client>,
    pub(super) mount: String,
    pub(super) path: String,
}

#[derive(Clone, Endpoint)]
#[endpoint(path = "{self.mount}/data/{self.path}", response = "SecretAnswer")]
struct ReadSecret {
    #[endpoint(skip)]
    mount: String,
    #[endpoint(skip)]
    path: String,
}

#[derive(Deserialize)]
struct SecretAnswer {
    /// None where the newest version was deleted.
    data: Option<SecretData>,
    metadata: SecretMetadata,
}

#[derive(Deserialize)]
struct SecretData {
    checkpoint: Option<String>,
}

#[derive(Deserialize)]
struct SecretMetadata {
    version: u64,
}

#[derive(Clone, Endpoint)]
#[endpoint(path = "{self.mount}/data/{self.path}", method = "POST", response = "SecretMetadata")]
struct WriteSecret {
    #[endpoint(skip)]
    mount: String,
    #[endpoint(skip)]
    path: String,
    #[endpoint(raw)]
    body: Vec<u8>,
}

#[async_trait]
impl Anchor for VaultAnchor {
    async fn read(&self) -> Result<Option<Anchored>, AnchorError> {
        let endpoint = ReadSecret { mount: self.mount.clone(), path: self.path.clone() };
        match self.client.call("read_anchor", endpoint, None).await {
            Ok(reply) => match reply.data {
                SecretAnswer { data: Some(SecretData { checkpoint: Some(note) }), metadata } => {
                    Ok(Some(Anchored { note, version: metadata.version }))
                }
                SecretAnswer { .. } => Err(AnchorError::Unavailable(format!(
                    "the secret {}/{} in Vault has no `checkpoint`, or was deleted: have it restored (`vault kv undelete`)",
                    self.mount, self.path
                ))),
            },
            // Also where the engine is none of version 2; writing tells that.
            Err(CallError::Status { status: StatusCode::NOT_FOUND, errors, .. }) if errors.is_empty() => {
                Ok(None)
            }
            Err(failure) => Err(self.unavailable(&failure)),
        }
    }

    async fn replace(&self, before: u64, note: &str) -> Result<u64, AnchorError> {
        let body = json!({"options": {"cas": before}, "data": {"checkpoint": note}});
        let endpoint = WriteSecret {
            mount: self.mount.clone(),
            path: self.path.clone(),
            body: body.to_string().into_bytes(),
        };
        match self.client.call("write_anchor", endpoint, None).await {
            Ok(reply) => Ok(reply.data.version),
            Err(CallError::Status { status: StatusCode::BAD_REQUEST, errors, .. })
                if errors.iter().any(|error| error.contains("check-and-set")) =>
            {
                Err(AnchorError::Changed)
            }
            Err(failure) => Err(self.unavailable(&failure)),
        }
    }
}

impl VaultAnchor {
    fn unavailable(&self, failure: &CallError) -> AnchorError {
        AnchorError::Unavailable(format!("{}/{} in Vault: {}", self.mount, self.path, words(failure)))
    }
}
