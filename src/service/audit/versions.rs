//! What each version of a key has signed, and what a version that was lost would take with it.

use std::collections::BTreeMap;

use crate::domain::{KeyName, KeyVersion, Timestamp};
use crate::ports::{
    CountQuery, EntryQuery, Grouping, ListedSignature, SearchProgress, SignatureFilter, SignatureQuery,
    SignatureState, SignaturesOf,
};
use crate::service::{Caller, Service, ServiceError};

/// How many signatures a version has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionCount {
    pub key: String,
    /// None for outcomes of no version.
    pub version: Option<u32>,
    pub signatures: u64,
}

/// What one version of a key signed, from one moment to before another.
#[derive(Debug, Clone)]
pub struct RadiusRequest {
    pub key: KeyName,
    pub version: KeyVersion,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// Where the page begins, and the log's size that it speaks of: those of the page before.
    pub begin: u64,
    pub size: Option<u64>,
    /// Signatures of a page.
    pub limit: usize,
}

/// A page of what depends on a version.
#[derive(Debug, Clone)]
pub struct Radius {
    pub rows: Vec<RadiusRow>,
    /// Signatures of this page by repository; files are in none.
    pub repositories: BTreeMap<Option<String>, u64>,
    pub size: u64,
    pub next: Option<u64>,
    pub progress: SearchProgress,
}

/// A signature, and whether somebody still needs its version.
#[derive(Debug, Clone)]
pub struct RadiusRow {
    pub signature: ListedSignature,
    /// Whether nothing else of the key, in a later version, signs the same.
    pub is_alone: bool,
}

impl Service {
    /// Signatures by key and version, for those who may read the log; none for those who may read a part of it, of which keys are not
    /// counted.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`], and where the log can not be read.
    pub async fn version_counts(&self, caller: &Caller) -> Result<Option<Vec<VersionCount>>, ServiceError> {
        let reach = self.permit_reading(caller, [("resource".to_owned(), "keys".to_owned())].into())?;
        if !reach.is_whole() {
            return Ok(None);
        }
        let query = CountQuery {
            by: Grouping::Key,
            of: None,
            kind: Some("outcome".to_owned()),
            denied: None,
            from: None,
            to: None,
            top: MAX_VERSIONS,
        };
        let counts = self.search.counts(query, reach).await?;
        let count = |counted: crate::ports::Counted| VersionCount {
            key: counted.group,
            version: counted.key_version,
            signatures: counted.entries,
        };
        Ok(Some(counts.groups.into_iter().map(count).collect()))
    }

    /// What a version signed in a time, and what of it has no later signature, for those who may read the log.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`], and where the log can not be read.
    pub async fn radius(&self, caller: &Caller, request: RadiusRequest) -> Result<Radius, ServiceError> {
        let RadiusRequest { key, version, from, to, begin, size, limit } = request;
        let mut asked = BTreeMap::from([
            ("resource".to_owned(), "radius".to_owned()),
            ("key".to_owned(), key.to_string()),
            ("key_version".to_owned(), version.to_string()),
        ]);
        asked.extend(
            [("from", from), ("to", to)]
                .into_iter()
                .filter_map(|(name, time)| Some((name.to_owned(), time?.to_string()))),
        );
        let reach = self.permit_reading(caller, asked)?;
        let filter = SignatureFilter {
            key: Some(key.to_string()),
            key_version: Some(version.get()),
            from,
            to,
            ..SignatureFilter::default()
        };
        let limit = limit.min(EntryQuery::MAX_LIMIT);
        let page = self.search.signatures(SignatureQuery { filter, begin, size, limit }, reach).await?;
        let mut repositories = BTreeMap::new();
        for signature in &page.signatures {
            let name = signature.subject.repository.as_ref().map(ToString::to_string);
            *repositories.entry(name).or_insert(0) += 1;
        }
        let rows = page.signatures.into_iter().map(async |signature| {
            let is_alone = self.is_alone(&signature).await?;
            Ok::<_, ServiceError>(RadiusRow { signature, is_alone })
        });
        let rows = futures::future::try_join_all(rows).await?;
        Ok(Radius { rows, repositories, size: page.size, next: page.next, progress: page.progress })
    }

    /// Whether the key's later versions did not sign what `listed` signs.
    async fn is_alone(&self, listed: &ListedSignature) -> Result<bool, ServiceError> {
        if matches!(listed.state, SignatureState::Failed | SignatureState::Pending) {
            return Ok(false);
        }
        let (version, claim) = (listed.signing.key.version, &listed.signing.claim);
        let of = SignaturesOf { subject: listed.subject.clone(), key: listed.signing.key.name.clone() };
        let signed = self.log.signed(of).await?;
        Ok(!signed.iter().any(|other| other.key.version > version && other.claim == *claim))
    }
}

/// Versions of all keys that are told.
const MAX_VERSIONS: usize = 1000;
