//! Where everything lies in the registry's directory, and the atomic write that all of it uses.
//!
//! ```text
//! uploads/<uuid>                                   unfinished; cleared at start
//! repositories/<name>/_blobs/<hex>                 the bytes
//! repositories/<name>/_manifests/<hex>             one line with the media type, then the bytes
//! repositories/<name>/_tags/<tag>                  a digest
//! repositories/<name>/_referrers/<hex>/<hex>       below the subject: the referrer's descriptor as JSON
//! ```
//!
//! No component of a repository's name starts with `_`, so the directories of `a` and of `a/b` never meet.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs;
use uuid::Uuid;

use super::names::{Digest, RepositoryName, Tag};

/// The largest manifest, in bytes: 4 MiB, the least that the specification lets clients rely on.
pub(super) const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;

pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let uploads = root.join("uploads");
        match std::fs::remove_dir_all(&uploads) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir_all(&uploads)?,
        }
        std::fs::create_dir_all(root.join("repositories"))?;
        Ok(Self { root: root.to_owned() })
    }

    pub(super) fn upload(&self, id: Uuid) -> PathBuf {
        self.root.join("uploads").join(id.to_string())
    }

    pub(super) fn blob(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        self.repository(repository).join("_blobs").join(digest.hex())
    }

    pub(super) fn manifest(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        self.repository(repository).join("_manifests").join(digest.hex())
    }

    pub(super) fn tags(&self, repository: &RepositoryName) -> PathBuf {
        self.repository(repository).join("_tags")
    }

    pub(super) fn tag(&self, repository: &RepositoryName, tag: &Tag) -> PathBuf {
        self.tags(repository).join(tag.as_str())
    }

    /// Everything that refers to `subject`, which itself need not be there.
    pub(super) fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> PathBuf {
        self.repository(repository).join("_referrers").join(subject.hex())
    }

    /// A repository is known from the first manifest on.
    pub(super) async fn is_known(&self, repository: &RepositoryName) -> io::Result<bool> {
        fs::try_exists(self.repository(repository).join("_manifests")).await
    }

    /// Puts `bytes` at `target`: a reader sees the old file or the new one, never a part.
    pub(super) async fn write(&self, target: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.upload(Uuid::new_v4());
        fs::write(&temporary, bytes).await?;
        move_into_place(&temporary, target).await
    }

    fn repository(&self, repository: &RepositoryName) -> PathBuf {
        self.root.join("repositories").join(repository.as_str())
    }
}

/// Renames `temporary` to `target` and makes the directories above it.
pub(super) async fn move_into_place(temporary: &Path, target: &Path) -> io::Result<()> {
    make_parent(target).await?;
    fs::rename(temporary, target).await
}

pub(super) async fn make_parent(target: &Path) -> io::Result<()> {
    match target.parent() {
        Some(parent) => fs::create_dir_all(parent).await,
        None => Ok(()),
    }
}

/// `None` where there is nothing: absent and unreadable are two answers.
pub(super) fn absent_as_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
