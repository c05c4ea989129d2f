//! What refers to an image.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>

use http::header::{ACCEPT, HeaderValue, LINK, LOCATION};
use http::{Method, StatusCode};
use oci_distribution::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE;
use url::Url;

use super::answer::Answer;
use super::client::Client;
use super::index::{ReferrersIndex, fallback_tag};
use super::location::{is_home, next_link, resolve};
use super::manifest::MAX_MANIFEST;
use super::transport::Call;
use crate::config::ReferrersMode;
use crate::domain::{Descriptor, Digest};
use crate::ports::{RegistryError, RegistryReply};

/// What the referrers API said.
#[derive(Debug)]
pub(super) enum Listing {
    Referrers(Vec<Descriptor>),
    /// The registry does not know this image or its repository, with or without the API.
    Unknown,
    /// There is no such API.
    Unsupported(&'static str),
    /// The registry does not say, and sends its clients to another host.
    Elsewhere(&'static str),
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
        let mut elsewhere = None;
        if ask {
            match self.list_referrers(repository, subject).await? {
                Listing::Referrers(referrers) => return Ok(referrers),
                Listing::Unknown if self.referrers == ReferrersMode::Api => return Ok(Vec::new()),
                Listing::Unsupported(reason) | Listing::Elsewhere(reason)
                    if self.referrers == ReferrersMode::Api =>
                {
                    return Err(self.host.referrers_unsupported(reason));
                }
                Listing::Elsewhere(reason) => elsewhere = Some(reason),
                Listing::Unknown | Listing::Unsupported(_) => {}
            }
        }
        match (self.fallback_referrers(repository, subject).await?, elsewhere) {
            (Some(referrers), _) => Ok(referrers),
            (None, None) => Ok(Vec::new()),
            // Whoever else might know is not asked: nobody can tell, and no verifier would find a bundle.
            (None, Some(reason)) => Err(self.host.referrers_unsupported(reason)),
        }
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
            if answer.status.is_redirection() {
                match self.redirected(repository, &call.url, &answer)? {
                    Some(here) => call.url = here,
                    None => {
                        return Ok(Listing::Elsewhere(
                            "it sends those who ask what refers to an image to another host",
                        ));
                    }
                }
                continue;
            }
            if page == 0
                && let Some(listing) = without_api(&answer)
            {
                if let Some(refusal) = answer.disguised_refusal(&self.host) {
                    return Err(refusal);
                }
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

    /// Where on this registry an answer to a call to `url` leads; `None` where it leads away from it, and is not followed.
    ///
    /// # Errors
    /// Where the registry has the API, so that it is a failure not to answer.
    fn redirected(&self, repository: &str, url: &Url, answer: &Answer) -> Result<Option<Url>, RegistryError> {
        let target = answer.header(&LOCATION).and_then(|location| resolve(url, location).ok());
        match target.filter(|target| is_home(url, target)) {
            None if self.support.of(repository) == Some(true) => {
                Err(self.host.unavailable("it has the referrers API, and redirects those who ask it"))
            }
            target => Ok(target),
        }
    }

    /// What the index at the fallback tag holds; `None` where there is no such tag.
    async fn fallback_referrers(&self, repository: &str, subject: Digest) -> RegistryReply<Vec<Descriptor>> {
        let Some(manifest) = self.tagged(repository, &fallback_tag(subject)).await? else {
            return Ok(None);
        };
        let index = ReferrersIndex::parse_fallback(&manifest, subject)
            .map_err(|reason| self.host.referrers_unsupported(reason))?;
        let referrers = index.descriptors();
        if referrers.is_empty() && !index.is_empty() {
            // An empty list would say that the tag may be written without being read.
            return Err(self.host.protocol("its fallback index has only entries that can not be read"));
        }
        Ok(Some(referrers))
    }
}

fn is_index(answer: &Answer) -> bool {
    answer.status == StatusCode::OK && answer.media_type() == Some(OCI_IMAGE_INDEX_MEDIA_TYPE)
}

/// What an answer means that is no list of referrers and no error.
fn without_api(answer: &Answer) -> Option<Listing> {
    let unsupported = |text| Some(Listing::Unsupported(text));
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
        _ => None,
    }
}
