//! `[limits]`: how much at once.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use super::duration;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Signatures being made at once.
    pub in_flight: usize,
    /// Those of them that are one principal's, while others are there. One that is alone can have all.
    pub in_flight_per_principal: usize,
    /// Signatures waiting for their turn; beyond, callers get 503 `overloaded`.
    pub queue: usize,
    /// A request's body, in bytes.
    pub body_bytes: usize,
    /// Bytes of attestations and files that are being worked on at once, together; what does not fit waits, in the
    /// same queue. They take about three times as much memory.
    pub bytes_in_flight: usize,
    /// Items of one `POST /v1/signatures:batch`.
    pub batch_items: usize,
    /// Manifests that a recursive request signs: an index and all that it lists.
    pub index_members: usize,
    /// Signatures that each principal gets made within any hour, over all rules; none is no limit.
    pub signatures_per_hour: Option<NonZeroU32>,
    /// Signatures that one token of an issuer is good for, over all rules; none is no limit.
    pub signatures_per_token: Option<NonZeroU32>,
    /// The caller gets 504 after this time; work that has begun is finished all the same.
    #[serde(deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            in_flight: 256,
            in_flight_per_principal: 5,
            queue: 1024,
            body_bytes: 1024 * 1024,
            bytes_in_flight: 256 * 1024 * 1024,
            batch_items: 256,
            index_members: 1024,
            signatures_per_hour: None,
            signatures_per_token: None,
            request_timeout: Duration::from_secs(60),
        }
    }
}
