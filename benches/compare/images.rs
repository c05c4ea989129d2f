//! Images to sign.

use std::path::PathBuf;

use crate::Failure;
use crate::pushed::push_images;
use crate::servers::World;

/// Images that are in a registry.
pub struct Images {
    pub references: Vec<String>,
}

impl Images {
    /// Pushes so many new ones to `host`, as `host` calls itself.
    pub async fn push(world: &World, host: &str, count: usize) -> Result<Self, Failure> {
        Ok(Self { references: push_images(&world.http, host, count).await? })
    }

    /// The same under another name of their registry.
    pub fn at(&self, host: &str) -> Result<Self, Failure> {
        let rename = |reference: &String| Some(format!("{host}/{}", reference.split_once('/')?.1));
        let references = self.references.iter().map(rename).collect::<Option<_>>().ok_or("no image")?;
        Ok(Self { references })
    }

    /// A file with a reference a line.
    pub fn file(&self, world: &World) -> Result<PathBuf, Failure> {
        let path = world.directory.path().join("image-references");
        std::fs::write(&path, self.references.join("\n"))?;
        Ok(path)
    }
}
