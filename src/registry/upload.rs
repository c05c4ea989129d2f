//! Pushing blobs.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs>

use std::sync::atomic::Ordering;

use futures::future::try_join_all;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use url::Url;

use super::answer::Answer;
use super::client::Client;
use super::location::resolve;
use super::transport::Call;
use crate::domain::{Content, Digest};
use crate::ports::RegistryError;

/// Whether a registry takes a blob with the request that would start an upload. The
/// specification lets it choose, and only trying tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum SingleRequest {
    Unknown = 0,
    Taken = 1,
    NotTaken = 2,
}

/// Bytes of a blob that is used for trying. A registry that does not want the body may hang up
/// instead of reading a long one.
const MAX_TRIAL: usize = 64 * 1024;

impl Client {
    /// Pushes `blobs`, whether or not the registry has them: asking first costs as much as pushing
    /// something that small.
    pub(super) async fn push_blobs(&self, repository: &str, blobs: &[Content]) -> Result<(), RegistryError> {
        let pushes = blobs.iter().map(|blob| async {
            let digest = blob.digest();
            // An upload session that failed is not continued but begun again.
            self.retry.run(|| self.push_blob(repository, blob, digest)).await
        });
        try_join_all(pushes).await.map(|_| ())
    }

    async fn push_blob(&self, repository: &str, blob: &Content, digest: Digest) -> Result<(), RegistryError> {
        let try_single = match self.single_request() {
            SingleRequest::Unknown => blob.len() <= MAX_TRIAL,
            SingleRequest::Taken => true,
            SingleRequest::NotTaken => false,
        };
        let mut start = Call::new("start_upload", Method::POST, self.url(repository, "blobs/uploads/"));
        if try_single {
            let mut single = start.clone().header(CONTENT_TYPE, OCTET_STREAM).body(blob.clone());
            single.url.query_pairs_mut().append_pair("digest", &digest.to_string());
            let answer = self.send(repository, &single).await?;
            match answer.status {
                StatusCode::CREATED => {
                    self.remember_single_request(SingleRequest::Taken);
                    return Ok(());
                }
                StatusCode::ACCEPTED => {
                    self.remember_single_request(SingleRequest::NotTaken);
                    return self.finish_upload(repository, &single.url, &answer, blob, digest).await;
                }
                // Some refuse what they do not know instead of ignoring it.
                status if status.is_client_error() => {}
                _ => return Err(answer.unexpected(&self.host, "POST blob")),
            }
        }
        start = start.body(Content::default());
        let answer = self.send(repository, &start).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(answer.unexpected_for_write(&self.host, "POST upload"));
        }
        if try_single {
            self.remember_single_request(SingleRequest::NotTaken);
        }
        self.finish_upload(repository, &start.url, &answer, blob, digest).await
    }

    /// Sends the whole blob to the session that `started` announced in answer to a call to `url`.
    async fn finish_upload(
        &self,
        repository: &str,
        url: &Url,
        started: &Answer,
        blob: &Content,
        digest: Digest,
    ) -> Result<(), RegistryError> {
        let location = started.header(&LOCATION).ok_or("there is no `Location`");
        let mut session = location
            .and_then(|location| resolve(url, location))
            .map_err(|reason| self.host.protocol(format!("an upload's session: {reason}")))?;
        session.query_pairs_mut().append_pair("digest", &digest.to_string());
        let call = Call::new("finish_upload", Method::PUT, session)
            .header(CONTENT_TYPE, OCTET_STREAM)
            .body(blob.clone());
        let answer = self.send(repository, &call).await?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(answer.unexpected_for_write(&self.host, "PUT blob"))
        }
    }

    fn single_request(&self) -> SingleRequest {
        match self.single_request.load(Ordering::Relaxed) {
            1 => SingleRequest::Taken,
            2 => SingleRequest::NotTaken,
            _ => SingleRequest::Unknown,
        }
    }

    fn remember_single_request(&self, single_request: SingleRequest) {
        self.single_request.store(single_request as u8, Ordering::Relaxed);
    }
}

const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");
