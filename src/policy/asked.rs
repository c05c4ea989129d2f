//! What is asked, with what more than one rule wants to know of it.

use std::cell::OnceCell;

use super::condition;
use crate::ports::Question;

/// A question while it is decided. What is costly to write down is written down once, and only if a rule looks at it.
pub struct Asked<'a> {
    pub question: Question<'a>,
    repository: &'a OnceCell<String>,
    claims: &'a OnceCell<cel::Value>,
}

/// What stays the same where a question leaves something open and each way to close it is asked for.
#[derive(Default)]
pub struct Kept {
    repository: OnceCell<String>,
    claims: OnceCell<cel::Value>,
}

impl<'a> Asked<'a> {
    pub const fn new(question: Question<'a>, kept: &'a Kept) -> Self {
        Self { question, repository: &kept.repository, claims: &kept.claims }
    }

    /// `host/path`.
    pub fn repository(&self) -> Option<&str> {
        let repository = self.question.repository?;
        Some(self.repository.get_or_init(|| repository.to_string()))
    }

    /// The caller's claims for conditions; a map without entries where there are none.
    pub fn claims(&self) -> cel::Value {
        let claims = || {
            self.question
                .principal
                .claims()
                .map_or_else(|| condition::values(&serde_json::Map::new()), condition::values)
        };
        self.claims.get_or_init(claims).clone()
    }
}
