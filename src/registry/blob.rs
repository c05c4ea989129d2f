//! Reading blobs.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-blobs>

use http::header::LOCATION;
use http::{Method, StatusCode};

use super::client::Client;
use super::location::resolve;
use super::transport::Call;
use crate::domain::Digest;
use crate::ports::RegistryReply;

/// How often a registry may send us on to its storage.
const MAX_REDIRECTS: usize = 3;

impl Client {
    /// The blob of `digest`, of at most `limit` bytes.
    pub(super) async fn blob(&self, repository: &str, digest: Digest, limit: u64) -> RegistryReply<Vec<u8>> {
        let blob = self.retry.run(|| self.get_blob(repository, digest, limit)).await?;
        match blob {
            Some(bytes) if Digest::of(&bytes) != digest => {
                Err(self.host.protocol(format!("what it has as blob {digest} has another digest")))
            }
            blob => Ok(blob),
        }
    }

    /// One attempt, with the redirects that belong to it: they lead to storage under URLs that soon expire.
    async fn get_blob(&self, repository: &str, digest: Digest, limit: u64) -> RegistryReply<Vec<u8>> {
        let url = self.url(repository, &format!("blobs/{digest}"));
        let mut call = Call::new("get_blob", Method::GET, url).limit(limit);
        for hop in 0..=MAX_REDIRECTS {
            let answer = self.send(repository, &call).await?;
            match answer.status {
                StatusCode::OK => return Ok(Some(answer.body)),
                StatusCode::NOT_FOUND if hop == 0 => return Ok(None),
                // The registry said that it has the blob.
                StatusCode::NOT_FOUND => return Err(self.host.unavailable("its storage lacks a blob")),
                status if status.is_redirection() => {
                    let location = answer.header(&LOCATION).ok_or("there is no `Location`");
                    call.url = location
                        .and_then(|location| resolve(&call.url, location))
                        .map_err(|reason| self.host.protocol(format!("a blob's redirect: {reason}")))?;
                }
                _ => return Err(answer.unexpected(&self.host, "GET blob")),
            }
        }
        Err(self.host.protocol(format!("a blob has more than {MAX_REDIRECTS} redirects")))
    }
}
