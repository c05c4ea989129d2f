//! Files that are replaced whole or not at all.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Puts a file of `bytes` in the place of the one at `path`. When this returns, it is there also after a power cut; neither a
/// crash nor a full disk leaves half of it.
///
/// # Errors
/// Then the file is the one before, unless its folder could not be made durable.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The new name itself is durable with its folder.
    File::open(folder)?.sync_all()
}
