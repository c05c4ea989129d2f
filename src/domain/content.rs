//! Bytes that are held once, however often they are used.

use bytes::Bytes;

use super::{Digest, HashAlgorithm};

/// Bytes in pieces, one behind the other. Cloning, and putting a head before what is there, copies
/// nothing: a predicate of 16 MiB is held once while it is hashed, signed, encoded, kept and uploaded.
#[derive(Debug, Clone, Default)]
pub struct Content {
    pieces: Vec<Bytes>,
    len: usize,
}

impl Content {
    /// Bytes altogether.
    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn push(&mut self, piece: impl Into<Bytes>) {
        let piece = piece.into();
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push(piece);
        }
    }

    /// This, and `other` behind it.
    pub fn append(&mut self, other: &Self) {
        self.pieces.extend_from_slice(&other.pieces);
        self.len += other.len;
    }

    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// SHA-256.
    pub fn digest(&self) -> Digest {
        let digest = self.hash(HashAlgorithm::Sha256);
        Digest::from_bytes(digest.try_into().expect("invariant: SHA-256 has 32 bytes"))
    }

    /// The raw hash of all bytes.
    pub fn hash(&self, algorithm: HashAlgorithm) -> Vec<u8> {
        let mut context = algorithm.context();
        for piece in &self.pieces {
            context.update(piece);
        }
        context.finish().as_ref().to_vec()
    }

    /// All bytes in one piece, which are copied unless they are in one already.
    pub fn to_bytes(&self) -> Bytes {
        match self.pieces.as_slice() {
            [] => Bytes::new(),
            [piece] => piece.clone(),
            pieces => pieces.concat().into(),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Content {
    fn from(bytes: T) -> Self {
        let mut content = Self::default();
        content.push(bytes);
        content
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Content {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hash_and_compare_as_the_bytes_that_they_are() {
        let mut pieces = Content::from("one, ");
        pieces.push("");
        pieces.append(&Content::from("two"));
        assert_eq!(pieces.pieces().count(), 2);
        assert_eq!(pieces.len(), 8);
        assert_eq!(pieces, Content::from("one, two"));
        assert_eq!(pieces.digest(), Digest::of(b"one, two"));
        assert_eq!(pieces.hash(HashAlgorithm::Sha512).len(), 64);
        assert_ne!(pieces, Content::from("one, two "));
    }
}
