//! Tokens that were verified before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::keeper::Keeper;
use crate::domain::{Claims, Digest, Timestamp, Workload};

/// Verified tokens, by their SHA-256. What they say takes at most [`Verified::MAX_BYTES`], by a generous estimate; which of
/// them were used last stay.
pub(super) struct Verified(Cache<[u8; 32], (Entry, Duration)>);

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) workload: Arc<Workload>,
    /// From this moment on the token is refused.
    pub(super) until: Timestamp,
    /// Whose keys it was verified with.
    pub(super) keeper: Arc<Keeper>,
    /// Which keys those were.
    pub(super) keys: Option<Digest>,
}

impl Verified {
    /// Some 10,000 tokens of CI platforms.
    const MAX_BYTES: u64 = 48 * 1024 * 1024;

    pub(super) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(Self::MAX_BYTES)
            .weigher(|_, (entry, _): &(Entry, Duration)| size(&entry.workload))
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(UntilRefused)
            .build();
        Self(cache)
    }

    pub(super) fn key(token: &str) -> [u8; 32] {
        Sha256::digest(token).into()
    }

    /// What is known of a token. Whether that is still right is for the caller to look at.
    pub(super) fn get(&self, key: &[u8; 32]) -> Option<Entry> {
        self.0.get(key).map(|(entry, _)| entry)
    }

    /// Keeps a token that was verified `now`.
    pub(super) fn keep(&self, key: [u8; 32], entry: Entry, now: Timestamp) {
        let left = Duration::try_from(entry.until.duration_since(now)).unwrap_or_default();
        self.0.insert(key, (entry, left));
    }

    pub(super) fn forget(&self, key: &[u8; 32]) {
        self.0.invalidate(key);
    }
}

/// Frees the memory of what has expired; whether a token is taken is never decided by this.
struct UntilRefused;

impl Expiry<[u8; 32], (Entry, Duration)> for UntilRefused {
    fn expire_after_create(&self, _: &[u8; 32], kept: &(Entry, Duration), _: Instant) -> Option<Duration> {
        Some(kept.1)
    }

    fn expire_after_update(
        &self,
        _: &[u8; 32],
        kept: &(Entry, Duration),
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.1)
    }
}

fn size(workload: &Workload) -> u32 {
    /// Besides the claims, with what the cache itself needs.
    const ENTRY: usize = 1024;
    u32::try_from(ENTRY + workload.name.len() + weight(&workload.claims)).unwrap_or(u32::MAX)
}

/// Bytes of memory, roughly: nodes of maps are counted as half empty, as they are at worst.
fn weight(claims: &Claims) -> usize {
    let text = size_of::<String>();
    claims.iter().map(|(name, value)| 2 * (text + size_of::<Value>()) + name.len() + heap(value)).sum()
}

fn heap(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 2 * size_of::<Value>() + heap(item)).sum(),
        Value::Object(map) => weight(map),
    }
}
