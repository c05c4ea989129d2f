//! What an image has already, and what of the wanted signature is among it.

use std::time::Duration;

use crate::domain::{
    Annotations, Descriptor, Entry, Event, Format, ImageReference, Record, Signing, State, Timestamp,
};
use crate::format::bundle;
use crate::ports::{RegistryError, RegistrySettings};

use super::attach::{Finished, Seen};
use super::existing::{CosignSignatures, Found, Referrers, bundle_attachment, layout, open_bundle};
use super::make::record_of;
use super::wanted::{ChosenKey, Wanted};
use super::{Service, ServiceError};

/// What the registry said of the image, and what follows from it for the wanted signature.
#[derive(Debug)]
pub struct Look {
    pub wanted: Wanted,
    pub found: Option<Found>,
    seen: Seen,
    /// When it was seen.
    at: Timestamp,
    /// Signatures of the wanted format that the image has.
    signatures: usize,
}

impl Look {
    fn found(wanted: Wanted, found: Found, at: Timestamp) -> Self {
        Self { wanted, found: Some(found), seen: Seen::default(), at, signatures: 0 }
    }

    fn not_found(
        wanted: Wanted,
        at: Timestamp,
        subject: Descriptor,
        cosign: CosignSignatures,
        referrers: Referrers,
    ) -> Self {
        let signatures = match wanted.format {
            Format::Cosign => cosign.manifest.as_ref().map_or(0, |manifest| manifest.layers.len()),
            Format::Bundle => referrers.0.iter().filter(|referrer| bundle::is_bundle(referrer)).count(),
        };
        let seen = Seen { subject: Some(subject), tagged: cosign.raw, referrers: referrers.0 };
        Self { wanted, found: None, seen, at, signatures }
    }

    /// To be asked before anything is signed: what has no place is not made.
    ///
    /// # Errors
    /// Where the image has as many signatures as it may have.
    pub fn require_room(&self, limit: usize) -> Result<(), ServiceError> {
        match self.signatures < limit {
            true => Ok(()),
            false => Err(ServiceError::TooManySignatures { limit }),
        }
    }
}

impl Service {
    /// Asks the registry for the image, for its layout, and for the wanted signature, and no more than is needed: the
    /// likelier place first, and the other only where the wanted signature is not found there.
    ///
    /// # Errors
    /// Where the registry could not tell, or the image can not have a signature in this format.
    pub(super) async fn look(
        &self,
        chosen: &ChosenKey,
        image: &ImageReference,
        asked: Option<Format>,
        annotations: &Annotations,
        settings: &RegistrySettings,
    ) -> Result<Look, ServiceError> {
        let at = self.clock.now();
        let registry = self.registry.as_ref();
        let resolve = async {
            let subject = registry.resolve(image).await?;
            subject.ok_or_else(|| ServiceError::ImageNotFound(image.clone()))
        };
        if asked == Some(Format::Bundle) {
            let listed = async { Ok(Referrers::read(registry, image).await?) };
            let (subject, referrers) = tokio::try_join!(resolve, listed)?;
            let wanted = Wanted::image(chosen, image, Format::Bundle, annotations)?;
            if let Some(found) = self.find_bundle(&wanted, image, &subject, &referrers).await? {
                return Ok(Look::found(wanted, found, at));
            }
            let cosign = CosignSignatures::read(registry, image).await?;
            choose_format(asked, &cosign, &referrers, settings)?;
            return Ok(Look::not_found(wanted, at, subject, cosign, referrers));
        }

        let (subject, cosign) = tokio::try_join!(resolve, CosignSignatures::read(registry, image))?;
        let wanted = Wanted::image(chosen, image, Format::Cosign, annotations)?;
        if let Some(found) = cosign.find(&wanted, image) {
            return Ok(Look::found(wanted, found, at));
        }
        let referrers = match Referrers::read(registry, image).await {
            // Where nothing can refer to an image, there are no bundles.
            Err(RegistryError::ReferrersUnsupported { .. })
                if asked.or(Some(settings.default_format)) != Some(Format::Bundle) =>
            {
                Referrers::default()
            }
            referrers => referrers?,
        };
        let wanted = match choose_format(asked, &cosign, &referrers, settings)? {
            Format::Cosign => wanted,
            Format::Bundle => Wanted::image(chosen, image, Format::Bundle, annotations)?,
        };
        if wanted.format == Format::Bundle
            && let Some(found) = self.find_bundle(&wanted, image, &subject, &referrers).await?
        {
            return Ok(Look::found(wanted, found, at));
        }
        Ok(Look::not_found(wanted, at, subject, cosign, referrers))
    }

    /// What was seen, where that is no longer ago than others need for a signature of their own. It says where nothing is, so
    /// that nothing is read before it is written there.
    pub(super) fn still_seen(&self, look: &Look) -> Option<Seen> {
        let age = Duration::try_from(self.clock.now().duration_since(look.at)).unwrap_or_default();
        (age < SEEN_FOR).then(|| look.seen.clone())
    }

    /// The wanted bundle: where our log knows it, its manifest's digest is known too. Whether that is still there shows
    /// in one call for a bundle of ours, and in opening it for one of others. Otherwise every bundle is opened.
    async fn find_bundle(
        &self,
        wanted: &Wanted,
        image: &ImageReference,
        subject: &Descriptor,
        referrers: &Referrers,
    ) -> Result<Option<Found>, ServiceError> {
        if !referrers.has_bundles() {
            return Ok(None);
        }
        let registry = self.registry.as_ref();
        if let Some(record) = self.log.find(wanted.identity()).await?
            && let Some(finished) = Finished::of_record(&record, &wanted.document)
        {
            let manifest = match &record.state {
                State::Attached { attachment, .. } => attachment.manifest,
                _ => finished.bundle_manifest(subject),
            };
            let found = match referrers.contains(manifest) {
                false => None,
                true if wanted.is_met_by(&finished.signature) => {
                    registry.manifest(&image.repository, manifest).await?.map(|_| Found {
                        document: wanted.document.clone(),
                        signature: finished.signature,
                        attachment: bundle_attachment(image, manifest),
                    })
                }
                true => open_bundle(registry, wanted, image, manifest).await?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        referrers.find(registry, wanted, image, MAX_OPENED_BUNDLES).await
    }

    /// The record of a signature that is there. What the log does not know of it is written down first.
    pub(super) async fn replay(
        &self,
        head: &Entry,
        wanted: &Wanted,
        found: &Found,
    ) -> Result<Record, ServiceError> {
        let known = self.log.find(wanted.identity()).await?;
        let same = known
            .filter(|record| record.signature().is_some_and(|(signature, _)| *signature == found.signature));
        let Some(mut record) = same else { return self.adopt(head, wanted, found).await };
        if let State::Signed { signature, signed_at } | State::GivenUp { signature, signed_at, .. } =
            record.state
        {
            self.attached(head, &record.signing, &found.attachment).await?;
            record.state = State::Attached { signature, signed_at, attachment: found.attachment.clone() };
        }
        Ok(record)
    }

    async fn adopt(&self, head: &Entry, wanted: &Wanted, found: &Found) -> Result<Record, ServiceError> {
        let now = self.clock.now();
        let event = Event::Adopted {
            signing: Signing { payload: found.document.digest(), ..self.signing(wanted, now) },
            signature: found.signature.clone(),
            reference: found.attachment.reference.clone(),
            manifest: found.attachment.manifest,
        };
        let entry = head.followed_by(now, event);
        let index = self.log.append(vec![entry.clone()]).await?;
        Ok(record_of(index, &entry))
    }
}

/// How long what was seen is believed.
const SEEN_FOR: Duration = Duration::from_secs(2);

/// Bundles that are opened in search of a signature that our log does not know.
const MAX_OPENED_BUNDLES: usize = 100;

fn choose_format(
    asked: Option<Format>,
    cosign: &CosignSignatures,
    referrers: &Referrers,
    settings: &RegistrySettings,
) -> Result<Format, ServiceError> {
    let layout = layout(cosign, referrers);
    let Some(wanted) = asked else { return Ok(layout.unwrap_or(settings.default_format)) };
    // An image that is mixed already can not be made worse.
    let has_wanted = match wanted {
        Format::Cosign => !cosign.is_empty(),
        Format::Bundle => referrers.has_bundles(),
    };
    match layout {
        Some(has) if has != wanted && !has_wanted && !settings.allow_mixed_layouts => {
            Err(ServiceError::LayoutConflict { has, wanted })
        }
        _ => Ok(wanted),
    }
}
