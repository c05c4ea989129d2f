//! What refers to an image.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>

use http::header::{ACCEPT, HeaderValue, LINK};
use http::{Method, StatusCode};
use oci_distribution::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE;

use super::answer::Answer;
use super::client::Client;
use super::index::{ReferrersIndex, fallback_tag};
use super::location::{is_home, next_link, resolve};
use super::manifest::MAX_MANIFEST;
use super::transport::Call;
use crate::config::ReferrersMode;
use crate::domain::{Descriptor, Digest};
use crate::ports::RegistryError;

/// What the referrers API said.
#[derive(Debug)]
pub(super) enum Listing {
    Referrers(Vec<Descriptor>),
    /// The registry does not know this image or its repository, with or without the API.
    Unknown,
    /// There is no such API.
    Unsupported(String),
}

const MAX_PAGES: usize = 100;

/// Bytes of all pages together.
const MAX_LISTING: usize = 16 * 1024 * 1024;

impl Client {
    /// Everything that refers to `subject`. "Could not tell" is an error, never an empty list.
    pub(super) async fn referrers(
        &self,
        repository: &str,
        subject: Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let ask = match self.referrers {
            ReferrersMode::Api => true,
            ReferrersMode::Auto => self.support.of(repository) != Some(false),
            ReferrersMode::Tag => false,
        };
        if ask {
            match self.list_referrers(repository, subject).await? {
                Listing::Referrers(referrers) => return Ok(referrers),
                Listing::Unknown if self.referrers == ReferrersMode::Api => return Ok(Vec::new()),
                Listing::Unsupported(reason) if self.referrers == ReferrersMode::Api => {
                    return Err(self.host.referrers_unsupported(reason));
                }
                Listing::Unknown | Listing::Unsupported(_) => {}
            }
        }
        self.fallback_referrers(repository, subject).await
    }

    /// Asks the API, page by page, and remembers whether there is one.
    pub(super) async fn list_referrers(
        &self,
        repository: &str,
        subject: Digest,
    ) -> Result<Listing, RegistryError> {
        let mut call =
            Call::new("referrers", Method::GET, self.url(repository, &format!("referrers/{subject}")))
                .header(ACCEPT, HeaderValue::from_static(OCI_IMAGE_INDEX_MEDIA_TYPE))
                .limit(MAX_MANIFEST);
        let mut referrers = Vec::new();
        let mut bytes = 0;
        for page in 0..MAX_PAGES {
            let answer = self.retry.run(|| self.send(repository, &call)).await?;
            if page == 0
                && let Some(listing) = without_api(&answer)
            {
                if matches!(listing, Listing::Unsupported(_)) {
                    self.support.remember(repository, false);
                }
                return Ok(listing);
            }
            if !is_index(&answer) {
                return Err(answer.unexpected(&self.host, "GET referrers"));
            }
            bytes += answer.body.len();
            if bytes > MAX_LISTING {
                return Err(self
                    .host
                    .protocol(format!("its list of referrers has more than {MAX_LISTING} bytes")));
            }
            let index = ReferrersIndex::parse(&answer.body)
                .map_err(|reason| self.host.protocol(format!("its list of referrers: {reason}")))?;
            referrers.extend(index.descriptors());
            let Some(next) = answer.header(&LINK).and_then(next_link) else {
                self.support.remember(repository, true);
                return Ok(Listing::Referrers(referrers));
            };
            call.url = resolve(&call.url, next)
                .and_then(
                    |next| if is_home(&call.url, &next) { Ok(next) } else { Err("it leaves the registry") },
                )
                .map_err(|reason| self.host.protocol(format!("the next page of referrers: {reason}")))?;
        }
        Err(self.host.protocol(format!("its list of referrers has more than {MAX_PAGES} pages")))
    }

    /// What the index at the fallback tag holds.
    async fn fallback_referrers(
        &self,
        repository: &str,
        subject: Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let Some(manifest) = self.tagged(repository, &fallback_tag(subject)).await? else {
            return Ok(Vec::new());
        };
        let index = ReferrersIndex::parse_fallback(&manifest, subject)
            .map_err(|reason| self.host.referrers_unsupported(reason))?;
        let referrers = index.descriptors();
        if referrers.is_empty() && !index.is_empty() {
            // An empty list would say that the tag may be written without being read.
            return Err(self.host.protocol("its fallback index has only entries that can not be read"));
        }
        Ok(referrers)
    }
}

fn is_index(answer: &Answer) -> bool {
    answer.status == StatusCode::OK && answer.media_type() == Some(OCI_IMAGE_INDEX_MEDIA_TYPE)
}

/// What an answer means that is no list of referrers and no error. A redirect counts: where a
/// registry has the API, it answers itself.
fn without_api(answer: &Answer) -> Option<Listing> {
    let unsupported = |text: &str| Some(Listing::Unsupported(text.to_owned()));
    match answer.status {
        StatusCode::OK if is_index(answer) => None,
        StatusCode::OK => unsupported("it answers the referrers API with something else than an image index"),
        StatusCode::NOT_FOUND if answer.has_code("NAME_UNKNOWN") || answer.has_code("MANIFEST_UNKNOWN") => {
            Some(Listing::Unknown)
        }
        StatusCode::NOT_FOUND
        | StatusCode::BAD_REQUEST
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::NOT_ACCEPTABLE => unsupported("it has no referrers API"),
        status if status.is_redirection() => unsupported("it redirects the referrers API"),
        _ => None,
    }
}
