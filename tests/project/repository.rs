//! The checkout that the tests are about.

use std::path::{Path, PathBuf};

/// Where `Cargo.toml` is.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file that has to be there. `path` starts at [`root`].
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// Every file below `directory`, which starts at [`root`], sorted; without what git and cargo keep for themselves.
pub fn files_below(directory: &str) -> Vec<String> {
    let mut files = Vec::new();
    collect(&root().join(directory), &mut files);
    files.sort();
    files
}

fn collect(directory: &Path, files: &mut Vec<String>) {
    let entries =
        std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path: PathBuf = entry.expect("the folder can be listed").path();
        let relative = path.strip_prefix(root()).expect("it is below the root").display().to_string();
        if [".git", "target"].contains(&relative.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(relative);
        }
    }
}
