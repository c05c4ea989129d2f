//! Secrets that may change while the service runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use secrecy::SecretString;

/// A secret given in place, or kept in a file that is read again when it changes.
pub struct Secret(Source);

enum Source {
    Value(SecretString),
    File { path: PathBuf, cache: Mutex<Option<(Stamp, SecretString)>> },
}

/// What tells one content of a file from the next without reading it.
type Stamp = (Option<SystemTime>, u64);

/// A secret's file can not be used. Names the file, never what is in it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the secret file {path}: {reason}")]
pub struct SecretError {
    pub path: String,
    pub reason: String,
}

impl Secret {
    /// Bytes of a secret's file.
    pub const MAX_BYTES: u64 = 64 * 1024;

    pub fn value(secret: SecretString) -> Self {
        Self(Source::Value(secret))
    }

    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File { path: path.into(), cache: Mutex::new(None) })
    }

    /// The one of the two that is given; none where neither is. Where both are, the file counts.
    pub fn either(value: Option<SecretString>, file: Option<PathBuf>) -> Option<Self> {
        file.map(Self::file).or_else(|| value.map(Self::value))
    }

    /// The secret as it is now, without white space around it. Costs one look at the file's
    /// metadata while it has not changed.
    ///
    /// # Errors
    /// Where the file can not be read, is empty or has more than [`Secret::MAX_BYTES`].
    pub fn current(&self) -> Result<SecretString, SecretError> {
        match &self.0 {
            Source::Value(secret) => Ok(secret.clone()),
            Source::File { path, cache } => {
                let stamp = stamp(path)?;
                let mut cache = cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some((seen, secret)) = &*cache
                    && *seen == stamp
                {
                    return Ok(secret.clone());
                }
                let secret = read(path)?;
                *cache = Some((stamp, secret.clone()));
                Ok(secret)
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Value(_) => f.write_str("Secret(…)"),
            Source::File { path, .. } => write!(f, "Secret({})", path.display()),
        }
    }
}

fn stamp(path: &Path) -> Result<Stamp, SecretError> {
    let metadata = std::fs::metadata(path).map_err(|error| problem(path, error))?;
    if metadata.len() > Secret::MAX_BYTES {
        return Err(problem(path, "it has more than 64 KiB"));
    }
    Ok((metadata.modified().ok(), metadata.len()))
}

fn read(path: &Path) -> Result<SecretString, SecretError> {
    let text = std::fs::read_to_string(path).map_err(|error| problem(path, error))?;
    match text.trim() {
        "" => Err(problem(path, "it is empty")),
        secret => Ok(secret.to_owned().into()),
    }
}

fn problem(path: &Path, reason: impl fmt::Display) -> SecretError {
    SecretError { path: path.display().to_string(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_file_is_trimmed_and_read_again_when_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "one\n").unwrap();
        let secret = Secret::file(&path);
        assert_eq!(secret.current().unwrap().expose_secret(), "one");

        std::fs::write(&path, "  two and more\n").unwrap();
        assert_eq!(secret.current().unwrap().expose_secret(), "two and more");
    }

    #[test]
    fn an_empty_or_missing_file_is_named_in_the_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        assert!(Secret::file(&path).current().unwrap_err().to_string().contains("token"));
        std::fs::write(&path, "\n").unwrap();
        assert!(Secret::file(&path).current().unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Secret::value("hunter2".to_owned().into())), "Secret(…)");
    }
}
