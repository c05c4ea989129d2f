//! Images that were there a moment ago.

use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::ServiceError;
use super::existing::resolve;
use crate::domain::{Descriptor, ImageReference, Timestamp};
use crate::ports::Registry;

/// Remembers for [`Present::BELIEVED`] that an image is there. A pipeline signs what it has pushed, attests to it once or twice, and does
/// all of it again where a later step has failed: that is one image, and one question. An image that is deleted meanwhile may still
/// get a signature, as does one that is deleted right after it was seen. That an image is not there is not remembered.
#[derive(Debug)]
pub struct Present(Cache<ImageReference, (Descriptor, Timestamp)>);

impl Default for Present {
    fn default() -> Self {
        let newest = EvictionPolicy::lru();
        Self(Cache::builder().max_capacity(Self::MOST).eviction_policy(newest).build())
    }
}

impl Present {
    /// How long an image is believed to be there.
    pub const BELIEVED: Duration = Duration::from_secs(60);

    /// Images.
    const MOST: u64 = 4096;

    /// The image itself.
    ///
    /// # Errors
    /// Where the registry has not got it, or could not tell.
    pub(super) async fn resolve(
        &self,
        registry: &dyn Registry,
        image: &ImageReference,
        now: Timestamp,
    ) -> Result<Descriptor, ServiceError> {
        if let Some(descriptor) = self.seen_lately(image, now) {
            return Ok(descriptor);
        }
        let descriptor = resolve(registry, image).await?;
        self.0.insert(image.clone(), (descriptor.clone(), now));
        Ok(descriptor)
    }

    fn seen_lately(&self, image: &ImageReference, now: Timestamp) -> Option<Descriptor> {
        let (descriptor, seen) = self.0.get(image)?;
        // A clock that was set back says nothing of the age.
        let age = Duration::try_from(now.duration_since(seen)).ok()?;
        (age < Self::BELIEVED).then_some(descriptor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    #[test]
    fn an_image_is_believed_to_be_there_for_a_minute() {
        let present = Present::default();
        let image = |name: &str| format!("registry.example.com/app@{}", Digest::of(name.as_bytes()));
        let [seen, other] = ["seen", "other"].map(|name| image(name).parse::<ImageReference>().unwrap());
        let descriptor = Descriptor {
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            size: 7,
            digest: seen.digest,
            artifact_type: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        present.0.insert(seen.clone(), (descriptor.clone(), at(100)));
        assert_eq!(present.seen_lately(&seen, at(159)), Some(descriptor));
        assert_eq!(present.seen_lately(&seen, at(160)), None);
        assert_eq!(present.seen_lately(&seen, at(99)), None);
        assert_eq!(present.seen_lately(&other, at(100)), None);
    }
}
