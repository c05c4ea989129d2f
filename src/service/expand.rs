//! An index and everything below it.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::domain::{Digest, ImageReference};
use crate::format::index;

use super::{Service, ServiceError};

/// One of the manifests that a request covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub image: ImageReference,
    /// 0 for an image, and for an index one more than the highest of its children.
    pub height: usize,
}

/// Which indexes list what.
type Children = HashMap<Digest, Vec<Digest>>;

/// Indexes within indexes. Nobody builds more than two of these.
const MAX_DEPTH: usize = 8;

/// Manifests that are read at once.
const READS: usize = 8;

impl Service {
    /// The image and, where it is an index, all that it lists, and what that lists: each once, children before their
    /// parents, so that who finds a parent signed finds its children signed.
    ///
    /// # Errors
    /// Where something listed is not there, is no image, or there is more than is signed at once.
    pub(super) async fn expand(&self, root: &ImageReference) -> Result<Vec<Member>, ServiceError> {
        let mut children = Children::new();
        let mut known = HashSet::from([root.digest]);
        let mut level = vec![root.digest];
        for depth in 0.. {
            if depth > MAX_DEPTH {
                let reason = format!("The index holds indexes within indexes, more than {MAX_DEPTH} deep.");
                return Err(ServiceError::Invalid(reason));
            }
            let read = stream::iter(level.drain(..)).map(|digest| self.listed(root, digest));
            let read: Vec<_> = read.buffered(READS).try_collect().await?;
            for (digest, listed) in read {
                let indexes = listed.iter().filter(|child| index::is_index(&child.media_type));
                level.extend(indexes.map(|child| child.digest).filter(|child| !known.contains(child)));
                known.extend(listed.iter().map(|child| child.digest));
                children.insert(digest, listed.iter().map(|child| child.digest).collect());
            }
            if known.len() > self.index_members {
                return Err(ServiceError::IndexTooLarge { limit: self.index_members });
            }
            level.sort_unstable();
            level.dedup();
            if level.is_empty() {
                break;
            }
        }
        let mut members = Vec::with_capacity(known.len());
        collect(root.digest, &children, &mut HashMap::new(), &mut members);
        let repository = &root.repository;
        let member = |(digest, height)| Member {
            image: ImageReference { repository: repository.clone(), digest },
            height,
        };
        Ok(members.into_iter().map(member).collect())
    }

    /// What the manifest `digest` lists; nothing where it is an image.
    async fn listed(
        &self,
        root: &ImageReference,
        digest: Digest,
    ) -> Result<(Digest, Vec<crate::domain::Descriptor>), ServiceError> {
        let image = ImageReference { digest, ..root.clone() };
        let manifest = self.registry.manifest(&image.repository, digest).await?;
        let manifest = manifest.ok_or_else(|| ServiceError::ImageNotFound(image.clone()))?;
        if !index::is_index(&manifest.media_type) {
            return Ok((digest, Vec::new()));
        }
        let listed = index::children(&manifest.bytes);
        Ok((digest, listed.map_err(|reason| ServiceError::Invalid(format!("{image}: {reason}.")))?))
    }
}

/// Puts `digest` behind all that it lists, and returns its height. A manifest can not list itself, as its digest
/// covers what it lists; what was read was checked against its digest.
fn collect(
    digest: Digest,
    children: &Children,
    heights: &mut HashMap<Digest, usize>,
    members: &mut Vec<(Digest, usize)>,
) -> usize {
    if let Some(height) = heights.get(&digest) {
        return *height;
    }
    let listed = children.get(&digest).map_or(&[][..], Vec::as_slice);
    let highest = listed.iter().map(|child| collect(*child, children, heights, members) + 1).max();
    let height = highest.unwrap_or(0);
    heights.insert(digest, height);
    members.push((digest, height));
    height
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_comes_once_and_after_all_that_it_lists() {
        let [root, inner, one, two] = ["root", "inner", "one", "two"].map(|name| Digest::of(name.as_bytes()));
        let children = Children::from([(root, vec![one, inner, one]), (inner, vec![two, one])]);
        let mut members = Vec::new();
        collect(root, &children, &mut HashMap::new(), &mut members);
        assert_eq!(members, [(one, 0), (two, 0), (inner, 1), (root, 2)]);
    }
}
