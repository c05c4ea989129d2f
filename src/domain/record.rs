//! One signature's story, told from its entries.

use std::time::Duration;

use super::{AttachResult, BatchId, Digest, Entry, Event, Outcome, Signing, Subject, Timestamp};

/// A signature as the log knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who asked for it first, as [`super::Principal`] is displayed.
    pub principal: String,
    pub subject: Subject,
    pub signing: Signing,
    pub state: State,
    /// The index of the entry that holds the signature; before there is one, of the intent.
    pub index: u64,
    /// When the first entry was made.
    pub since: Timestamp,
    /// The call to Vault that was to sign, as Vault's audit log names it, as long as nobody knows how it ended.
    pub batch: Option<BatchId>,
}

/// How far a signature has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Vault was about to be asked.
    Pending,
    /// Vault was about to be asked, and whoever was about to ask has ended without a word. Whether Vault has signed is
    /// told by its audit log, which names the same [`Record::batch`]; no signature has left.
    Indeterminate,
    /// The signature exists; the registry is not known to have it.
    Signed { signature: Vec<u8>, signed_at: Timestamp },
    /// The registry had it when we last looked.
    Attached { signature: Vec<u8>, signed_at: Timestamp, attachment: Attachment },
    /// No signature came of it.
    Failed { code: String },
    /// The signature exists, and attaching it was given up.
    GivenUp { signature: Vec<u8>, signed_at: Timestamp, code: String },
}

/// Where a signature hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `registry/repository:tag` or `registry/repository@digest`.
    pub reference: String,
    /// The manifest that carries it.
    pub manifest: Digest,
}

impl Record {
    /// The record of the signature whose entries these are, with their indexes, oldest first.
    /// `None` where no entry speaks of a signature.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = (u64, &'a Entry)>) -> Option<Self> {
        entries.into_iter().fold(None, |record, (index, entry)| {
            let (Some(signing), Some(subject)) = (entry.signing(), &entry.subject) else { return record };
            let mut record = record.unwrap_or_else(|| Self {
                principal: entry.principal.clone(),
                subject: subject.clone(),
                signing: signing.clone(),
                state: State::Pending,
                index,
                since: entry.time,
                batch: None,
            });
            record.take(index, entry);
            Some(record)
        })
    }

    /// The signature and when it was made, where there is one.
    pub const fn signature(&self) -> Option<(&Vec<u8>, Timestamp)> {
        match &self.state {
            State::Signed { signature, signed_at }
            | State::Attached { signature, signed_at, .. }
            | State::GivenUp { signature, signed_at, .. } => Some((signature, *signed_at)),
            State::Pending | State::Indeterminate | State::Failed { .. } => None,
        }
    }

    /// The record as it is to be read at `now`, where no request takes longer than `longest`: what is pending for that long
    /// is [`State::Indeterminate`].
    #[must_use]
    pub fn read_at(mut self, now: Timestamp, longest: Duration) -> Self {
        if self.state == State::Pending
            && now.duration_since(self.since).as_nanos() > longest.as_nanos().cast_signed()
        {
            self.state = State::Indeterminate;
        }
        self
    }

    /// Where the signature hangs, as far as we know.
    pub const fn attachment(&self) -> Option<&Attachment> {
        match &self.state {
            State::Attached { attachment, .. } => Some(attachment),
            _ => None,
        }
    }

    fn take(&mut self, index: u64, entry: &Entry) {
        match &entry.event {
            Event::Intent { batch, .. } if self.state == State::Pending => {
                self.batch = Some(*batch);
            }
            Event::Outcome { result: Outcome::Signed { signature, signed_at, .. }, .. } => {
                self.index = index;
                self.state = State::Signed { signature: signature.clone(), signed_at: *signed_at };
            }
            Event::Outcome { result: Outcome::Failed { code }, .. } => {
                self.state = State::Failed { code: code.clone() };
            }
            Event::Adopted { signature, reference, manifest, .. } => {
                self.index = index;
                self.state = State::Attached {
                    signature: signature.clone(),
                    signed_at: entry.time,
                    attachment: Attachment { reference: reference.clone(), manifest: *manifest },
                };
            }
            Event::Attach { result: AttachResult::Attached { reference, manifest }, .. } => {
                if let Some((signature, signed_at)) = self.signature() {
                    self.state = State::Attached {
                        signature: signature.clone(),
                        signed_at,
                        attachment: Attachment { reference: reference.clone(), manifest: *manifest },
                    };
                }
            }
            Event::Attach { result: AttachResult::GivenUp { code }, .. } => {
                if let Some((signature, signed_at)) = self.signature() {
                    self.state =
                        State::GivenUp { signature: signature.clone(), signed_at, code: code.clone() };
                }
            }
            Event::Attach { result: AttachResult::Missing { .. }, .. } => {
                if let Some((signature, signed_at)) = self.signature() {
                    self.state = State::Signed { signature: signature.clone(), signed_at };
                }
            }
            // A failed attempt takes nothing away: where it hung before, it may still hang.
            _ => {}
        }
        if self.state != State::Pending {
            self.batch = None;
        }
    }
}
