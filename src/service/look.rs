//! What an image has already, and what of the wanted signature is among it.

use std::time::Duration;

use crate::domain::{
    Claim, Descriptor, Entry, Event, Format, ImageReference, Record, Signing, State, Timestamp,
};
use crate::format::{attestation, bundle, simple_signing};
use crate::ports::{RegistryError, RegistrySettings};

use super::attach::{Finished, Outdated, Seen, tag};
use super::existing::{Found, Referrers, Tagged, bundle_attachment, layout, open_bundle};
use super::make::record_of;
use super::wanted::{ChosenKey, Saying, Wanted};
use super::{Service, ServiceError};

/// What the registry said of the image, and what follows from it for the wanted signature.
#[derive(Debug)]
pub struct Look {
    pub wanted: Wanted,
    pub found: Option<Found>,
    /// What our log has of the wanted signature, whether or not that verifies.
    known: Option<Record>,
    seen: Seen,
    /// When it was seen.
    at: Timestamp,
    /// What gives way to the wanted signature, and is there.
    outdated: usize,
    /// Signatures of the wanted format that the image has.
    signatures: usize,
}

/// What a look depends on besides the image.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub chosen: &'a ChosenKey,
    pub saying: &'a Saying,
    /// None is what the image has, else what its registry gets by default.
    pub format: Option<Format>,
    /// What gives way, in the layout `cosign`; none where nothing does.
    pub outdated: &'a Outdated,
}

impl Look {
    /// Whether nothing is left to do but to say so.
    pub const fn is_done(&self) -> bool {
        self.found.is_some() && self.outdated == 0
    }

    /// What our log has of the wanted signature, where that verifies.
    pub fn logged(&self) -> Option<Record> {
        self.known.clone().filter(|record| self.wanted.is_met_by_record(record))
    }

    /// To be asked before anything is signed: what has no place is not made.
    ///
    /// # Errors
    /// Where the image has as many signatures as it may have.
    pub fn require_room(&self, limit: usize) -> Result<(), ServiceError> {
        match self.signatures.saturating_sub(self.outdated) < limit {
            true => Ok(()),
            false => Err(ServiceError::TooManySignatures { limit }),
        }
    }
}

/// What was read of the image.
struct Reading {
    /// When the reading began.
    at: Timestamp,
    /// Below the tag where the wanted signature belongs.
    own: Tagged,
    referrers: Referrers,
}

impl Reading {
    fn look(
        self,
        subject: Descriptor,
        (wanted, known): (Wanted, Option<Record>),
        found: Option<Found>,
        outdated: &Outdated,
    ) -> Look {
        let (signatures, outdated) = match wanted.format {
            Format::Cosign => {
                let is_outdated = |layer: &&_| outdated.covers(layer, &wanted.claim, self.at);
                let same = usize::from(found.is_some());
                let outdated = self.own.layers().iter().filter(is_outdated).count();
                (self.own.layers().len(), outdated.saturating_sub(same))
            }
            Format::Bundle => (self.referrers.0.iter().filter(|one| bundle::is_bundle(one)).count(), 0),
        };
        let seen = Seen { subject: Some(subject), tagged: self.own.raw, referrers: self.referrers.0 };
        Look { wanted, found, known, seen, at: self.at, outdated, signatures }
    }
}

impl Service {
    /// Asks the registry for the image, for its layout, and for the wanted signature, and no more than is needed: where our log
    /// has the signature, the likelier place first, and the other only where it is not found there. Of a new signature both
    /// places have to be seen, and are asked for at once.
    ///
    /// # Errors
    /// Where the registry could not tell, or the image can not have a signature in this format.
    pub(super) async fn look(
        &self,
        image: &ImageReference,
        wish: Wish<'_>,
        settings: &RegistrySettings,
    ) -> Result<Look, ServiceError> {
        let at = self.clock.now();
        let registry = self.registry.as_ref();
        let Wish { chosen, saying, format: asked, outdated } = wish;
        let resolve = self.present.resolve(registry, image, at);
        if asked == Some(Format::Bundle) {
            let wanted = Wanted::of_image(chosen, image, Format::Bundle, saying)?;
            let listed = async { Ok(Referrers::read(registry, image).await?) };
            let (subject, referrers) = tokio::try_join!(resolve, listed)?;
            let known = self.log.find(wanted.identity()).await?;
            let found = self.find_bundle(&wanted, known.as_ref(), image, &subject, &referrers).await?;
            if found.is_none() && !referrers.has_bundles() && !settings.allow_mixed_layouts {
                let tagged = self.tagged(image).await?;
                choose_format(asked, layout(&[&tagged.0, &tagged.1], &referrers), true, settings)?;
            }
            let reading = Reading { at, own: Tagged::default(), referrers };
            return Ok(reading.look(subject, (wanted, known), found, outdated));
        }

        let mut wanted = Wanted::of_image(chosen, image, Format::Cosign, saying)?;
        let tag = tag(&wanted.claim, image.digest);
        let mut known = self.log.find(wanted.identity()).await?;
        let ahead = async {
            match &known {
                Some(_) => Ok(None),
                None => Ok(Some(Referrers::read(registry, image).await)),
            }
        };
        let (subject, own, ahead) = tokio::try_join!(resolve, Tagged::read(registry, image, &tag), ahead)?;
        if let Some(found) = self.find_tagged(&wanted, known.as_ref(), image, &own).await? {
            let reading = Reading { at, own, referrers: Referrers::default() };
            return Ok(reading.look(subject, (wanted, known), Some(found), outdated));
        }
        let referrers = match ahead {
            Some(referrers) => referrers,
            None => Referrers::read(registry, image).await,
        };
        let referrers = match referrers {
            // Where nothing can refer to an image, there are no bundles.
            Err(RegistryError::ReferrersUnsupported { .. })
                if asked.or(Some(settings.default_format)) != Some(Format::Bundle) =>
            {
                Referrers::default()
            }
            referrers => referrers?,
        };
        let mut has = layout(&[&own], &referrers);
        if has.is_none() && asked.is_none() && settings.default_format == Format::Bundle {
            // Signatures and attestations have one layout together.
            has =
                layout(&[&Tagged::read(registry, image, &sibling(&wanted.claim, image)).await?], &referrers);
        }
        let format = choose_format(asked, has, own.is_empty(), settings)?;
        let reading = Reading { at, own, referrers };
        if format == Format::Cosign {
            return Ok(reading.look(subject, (wanted, known), None, outdated));
        }
        match saying {
            Saying::Signed(_) => wanted = Wanted::of_image(chosen, image, format, saying)?,
            // The statement is the same in both, and may be large.
            Saying::Attested { .. } => wanted.format = format,
        }
        known = self.log.find(wanted.identity()).await?;
        let found = self.find_bundle(&wanted, known.as_ref(), image, &subject, &reading.referrers).await?;
        Ok(reading.look(subject, (wanted, known), found, outdated))
    }

    /// What was seen, where that is no longer ago than others need for a signature of their own. It says where nothing is, so
    /// that nothing is read before it is written there.
    pub(super) fn still_seen(&self, look: &Look) -> Option<Seen> {
        let age = Duration::try_from(self.clock.now().duration_since(look.at)).unwrap_or_default();
        (age < SEEN_FOR).then(|| look.seen.clone())
    }

    /// What hangs below both of the image's tags.
    async fn tagged(&self, image: &ImageReference) -> Result<(Tagged, Tagged), ServiceError> {
        let registry = self.registry.as_ref();
        let (signatures, attestations) = (simple_signing::tag(image.digest), attestation::tag(image.digest));
        let signatures = Tagged::read(registry, image, &signatures);
        tokio::try_join!(signatures, Tagged::read(registry, image, &attestations))
    }

    /// The wanted signature below its tag. An attestation that our log knows is known by its digest; every other one that
    /// may be it is opened.
    async fn find_tagged(
        &self,
        wanted: &Wanted,
        known: Option<&Record>,
        image: &ImageReference,
        own: &Tagged,
    ) -> Result<Option<Found>, ServiceError> {
        let Some(attachment) = own.attachment(image, &tag(&wanted.claim, image.digest)) else {
            return Ok(None);
        };
        let ours = |signature| (wanted.document.clone(), signature);
        let found = match (&wanted.claim, &own.manifest) {
            (Claim::Attestation { .. }, Some(manifest)) => {
                let logged = known.filter(|record| wanted.is_met_by_record(record));
                let finished = logged.and_then(|record| Finished::of_record(record, &wanted.document));
                match finished.filter(|finished| finished.is_in(manifest)) {
                    Some(finished) => Some(ours(finished.signature)),
                    None => own.find_attestation(self.registry.as_ref(), wanted, image).await?,
                }
            }
            _ => own.find_signature(wanted).map(ours),
        };
        Ok(found.map(|(document, signature)| Found { document, signature, attachment }))
    }

    /// The wanted bundle: where our log knows it, its manifest's digest is known too. Whether that is still there shows
    /// in one call for a bundle of ours, and in opening it for one of others. Otherwise every bundle is opened.
    async fn find_bundle(
        &self,
        wanted: &Wanted,
        known: Option<&Record>,
        image: &ImageReference,
        subject: &Descriptor,
        referrers: &Referrers,
    ) -> Result<Option<Found>, ServiceError> {
        if !referrers.has_bundles() {
            return Ok(None);
        }
        let registry = self.registry.as_ref();
        if let Some(record) = known
            && let Some(finished) = Finished::of_record(record, &wanted.document)
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
        referrers.find(registry, wanted, image).await
    }

    /// The record of a signature that is there. What the log does not know of it is written down first.
    pub(super) async fn replay(
        &self,
        head: &Entry,
        look: &Look,
        found: &Found,
    ) -> Result<Record, ServiceError> {
        let known = look.known.clone();
        let same = known
            .filter(|record| record.signature().is_some_and(|(signature, _)| *signature == found.signature));
        let Some(mut record) = same else { return self.adopt(head, &look.wanted, found).await };
        if let State::Signed { signature, signed_at } | State::GivenUp { signature, signed_at, .. } =
            record.state
        {
            self.attached(head, &record.signing, &found.attachment, &[]).await?;
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

/// The tag of the image's other signatures: attestations for signatures, and signatures for attestations.
fn sibling(claim: &Claim, image: &ImageReference) -> String {
    match claim {
        Claim::Attestation { .. } => simple_signing::tag(image.digest),
        Claim::Image | Claim::Blob { .. } => attestation::tag(image.digest),
    }
}

/// The format of what is wanted, for an image that `has` a layout. `none_there`: it has none of the wanted kind in the
/// layout that is asked for.
fn choose_format(
    asked: Option<Format>,
    has: Option<Format>,
    none_there: bool,
    settings: &RegistrySettings,
) -> Result<Format, ServiceError> {
    match (asked, has) {
        (None, has) => Ok(has.unwrap_or(settings.default_format)),
        // An image that is mixed already can not be made worse.
        (Some(wanted), Some(has)) if has != wanted && none_there && !settings.allow_mixed_layouts => {
            Err(ServiceError::LayoutConflict { has, wanted })
        }
        (Some(wanted), _) => Ok(wanted),
    }
}
