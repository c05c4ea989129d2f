//! Signing an image: the way of one request.

use crate::domain::{
    Annotations, AttachResult, Attachment, Claim, Descriptor, Digest, Entry, Event, Format, ImageReference,
    KeyName, KeyVersion, Operation, Outcome, Record, Signing, State, Timestamp,
};
use crate::ports::{Decision, Question, RegistryError, RegistrySettings, SignerError, SigningTask};

use super::attach::{Place, attach, bundle_referrer};
use super::existing::{CosignSignatures, Found, Referrers, bundle_attachment, layout, open_bundle};
use super::wanted::{Choice, Wanted};
use super::{Caller, Service, ServiceError, SignatureView};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct SignRequest {
    pub image: ImageReference,
    /// May be left out where policy leaves one choice.
    pub key: Option<KeyName>,
    /// None is the latest.
    pub key_version: Option<KeyVersion>,
    /// None is what the image has, else what its registry gets by default.
    pub format: Option<Format>,
    pub annotations: Annotations,
}

/// The signature, and whether it was made or attached just now.
#[derive(Debug, Clone)]
pub struct SignAnswer {
    pub signature: SignatureView,
    pub created: bool,
}

/// What the registry said of the image, and which layout follows from it.
struct Look {
    subject: Descriptor,
    cosign: CosignSignatures,
    referrers: Referrers,
    format: Format,
    found: Option<Found>,
}

impl Service {
    /// Signs the image, or finds the same signature where it is there already.
    ///
    /// When this returns a signature, its intent and outcome are durable in the log, it verifies with the published public
    /// key of its version, and the registry showed it when it was read back. The same request again changes nothing.
    ///
    /// # Errors
    /// Nothing is called signed that is not. What was signed and could not be attached is attached,
    /// not signed again, by the next same request.
    pub async fn sign(&self, caller: &Caller, request: SignRequest) -> Result<SignAnswer, ServiceError> {
        let image = request.image.clone();
        let host = image.repository.host();
        let settings =
            self.registry.settings(host).ok_or_else(|| RegistryError::NotConfigured(host.to_owned()))?;
        let key_name = self.choose_key(caller, &request)?;
        let decision = self.permit_format(caller, &image, &key_name, request.format)?;
        let choice = self.choose_version(&request, &key_name).await?;

        let _turn = self.locks.lock(&image).await;
        let look = self.look(&choice, request.format, &settings).await?;
        let decision = match request.format {
            Some(_) => decision,
            None => self.permit_format(caller, &image, &key_name, Some(look.format))?,
        };
        let wanted = in_format(&choice, look.format)?;
        let head = self.head(caller, &image, &decision);

        if let Some(found) = look.found {
            let record = self.replay(head, &wanted, &found).await?;
            let signature = SignatureView { record, payload: Some(found.document) };
            return Ok(SignAnswer { signature, created: false });
        }
        let place = Place {
            subject: &look.subject,
            cosign: &look.cosign,
            referrers: &look.referrers,
            max_signatures: settings.max_signatures,
        };
        place.require_room(wanted.format)?;
        let record = match self.logged(&wanted).await? {
            Some(record) => record,
            None => self.make(&head, &wanted).await?,
        };
        let record = self.attach(&head, &wanted, record, &place).await?;
        Ok(SignAnswer { signature: SignatureView::of(record), created: true })
    }

    fn choose_key(&self, caller: &Caller, request: &SignRequest) -> Result<KeyName, ServiceError> {
        if let Some(name) = &request.key {
            // Which keys there are is public, so that this may be said before policy is asked.
            return match self.signer.names().contains(name) {
                true if self.image_keys.contains(name) => Ok(name.clone()),
                true => Err(ServiceError::KeyPurpose { key: name.clone() }),
                false => Err(SignerError::UnknownKey(name.clone()).into()),
            };
        }
        let mut names = self.permitted_keys(caller, Operation::Sign, &request.image.repository);
        match (names.pop(), names.is_empty()) {
            (Some(name), true) => Ok(name),
            (Some(name), false) => {
                names.push(name);
                Err(ServiceError::KeyRequired(names))
            }
            (None, _) => {
                let question = sign_question(caller, &request.image, None, request.format);
                self.permit(caller, Some(&request.image), &question)?;
                Err(ServiceError::Forbidden)
            }
        }
    }

    fn permit_format(
        &self,
        caller: &Caller,
        image: &ImageReference,
        key: &KeyName,
        format: Option<Format>,
    ) -> Result<Decision, ServiceError> {
        self.permit(caller, Some(image), &sign_question(caller, image, Some(key), format))
    }

    async fn choose_version(&self, request: &SignRequest, name: &KeyName) -> Result<Choice, ServiceError> {
        let key = self.signing_key(name, request.key_version).await?;
        if let crate::domain::KeyType::Unsupported(_) = key.key_type {
            return Err(ServiceError::KeyTypeUnsupported {
                key: name.clone(),
                key_type: key.key_type.clone(),
            });
        }
        let version = request.key_version.unwrap_or(key.latest);
        if !key.can_sign_with(version) {
            return Err(ServiceError::KeyVersionUnavailable {
                key: name.clone(),
                version,
                usable: Some((key.minimum, key.latest)),
            });
        }
        Ok(Choice { image: request.image.clone(), key, version, annotations: request.annotations.clone() })
    }

    /// Asks the registry no more than is needed: the likelier place first, and the other only where
    /// the wanted signature is not found there.
    async fn look(
        &self,
        choice: &Choice,
        asked: Option<Format>,
        settings: &RegistrySettings,
    ) -> Result<Look, ServiceError> {
        let (registry, image) = (self.registry.as_ref(), &choice.image);
        let resolve = async {
            let subject = registry.resolve(image).await?;
            subject.ok_or_else(|| ServiceError::ImageNotFound(image.clone()))
        };
        if asked == Some(Format::Bundle) {
            let listed = async { Ok(Referrers::read(registry, image).await?) };
            let (subject, referrers) = tokio::try_join!(resolve, listed)?;
            let found = self.find_bundle(choice, &subject, &referrers).await?;
            let cosign = match found {
                Some(_) => CosignSignatures::default(),
                None => CosignSignatures::read(registry, image).await?,
            };
            let format = choose_format(asked, layout(&cosign, &referrers), &cosign, &referrers, settings)?;
            return Ok(Look { subject, cosign, referrers, format, found });
        }

        let (subject, cosign) = tokio::try_join!(resolve, CosignSignatures::read(registry, image))?;
        let found = cosign.find(&in_format(choice, Format::Cosign)?);
        if found.is_some() {
            let referrers = Referrers::default();
            return Ok(Look { subject, cosign, referrers, format: Format::Cosign, found });
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
        let format = choose_format(asked, layout(&cosign, &referrers), &cosign, &referrers, settings)?;
        let found = match format {
            Format::Bundle => self.find_bundle(choice, &subject, &referrers).await?,
            Format::Cosign => None,
        };
        Ok(Look { subject, cosign, referrers, format, found })
    }

    /// The wanted bundle: where our log knows it, its manifest's digest is known too. Whether that is still there shows
    /// in one call for a bundle of ours, and in opening it for one of others. Otherwise every bundle is opened.
    async fn find_bundle(
        &self,
        choice: &Choice,
        subject: &Descriptor,
        referrers: &Referrers,
    ) -> Result<Option<Found>, ServiceError> {
        if !referrers.has_bundles() {
            return Ok(None);
        }
        let wanted = in_format(choice, Format::Bundle)?;
        let registry = self.registry.as_ref();
        if let Some(record) = self.log.find(wanted.identity()).await?
            && let Some((signature, signed_at)) = record.signature()
        {
            let manifest = match &record.state {
                State::Attached { attachment, .. } => attachment.manifest,
                _ => bundle_referrer(&wanted, signature, signed_at, subject).descriptor.digest,
            };
            let found = match referrers.contains(manifest) {
                false => None,
                true if wanted.is_met_by(signature) => {
                    registry.manifest(&choice.image.repository, manifest).await?.map(|_| Found {
                        document: wanted.document.clone(),
                        signature: signature.clone(),
                        attachment: bundle_attachment(&choice.image, manifest),
                    })
                }
                true => open_bundle(registry, &wanted, manifest).await?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        referrers.find(registry, &wanted, MAX_OPENED_BUNDLES).await
    }

    /// What our log has of the wanted signature, where that verifies.
    async fn logged(&self, wanted: &Wanted) -> Result<Option<Record>, ServiceError> {
        let record = self.log.find(wanted.identity()).await?;
        Ok(record
            .filter(|record| record.signature().is_some_and(|(signature, _)| wanted.is_met_by(signature))))
    }

    /// The record of a signature that is there. What the log does not know of it is written down first.
    async fn replay(&self, head: Entry, wanted: &Wanted, found: &Found) -> Result<Record, ServiceError> {
        let now = self.clock.now();
        let known = self.log.find(wanted.identity()).await?;
        let same = known
            .filter(|record| record.signature().is_some_and(|(signature, _)| *signature == found.signature));
        match same {
            Some(mut record) => {
                if let State::Signed { signature, signed_at } = record.state {
                    self.append_attached(&head, &record.signing, &found.attachment).await?;
                    record.state =
                        State::Attached { signature, signed_at, attachment: found.attachment.clone() };
                }
                Ok(record)
            }
            None => {
                let event = Event::Adopted {
                    signing: Signing { payload: Digest::of(&found.document), ..self.signing(wanted, now) },
                    signature: found.signature.clone(),
                    reference: found.attachment.reference.clone(),
                    manifest: found.attachment.manifest,
                };
                let entry = head.followed_by(now, event);
                let index = self.log.append(vec![entry.clone()]).await?;
                Ok(record_of(index, &entry))
            }
        }
    }

    /// Has Vault sign, checks what came back, and records it.
    async fn make(&self, head: &Entry, wanted: &Wanted) -> Result<Record, ServiceError> {
        let signing = self.signing(wanted, head.time);
        let task = SigningTask {
            key: wanted.key.name.clone(),
            version: wanted.key.version,
            input: wanted.input(),
            entry: head.clone(),
            signing: signing.clone(),
        };
        let result =
            self.signer.sign(task).await.and_then(|signed| match wanted.is_met_by(&signed.signature) {
                true => Ok(signed),
                false => Err(SignerError::Unavailable {
                    reason: format!(
                        "the signature of batch {} does not verify with version {} of {}",
                        signed.batch, wanted.key.version, wanted.key.name
                    ),
                    retry_after: None,
                }),
            });
        let now = self.clock.now();
        match result {
            Ok(signed) => {
                let result = Outcome::Signed {
                    batch: signed.batch,
                    signature: signed.signature,
                    signed_at: whole_second(now),
                    vault_request_id: signed.request_id,
                };
                let entry = head.followed_by(now, Event::Outcome { signing, result });
                let index = self.log.append(vec![entry.clone()]).await?;
                Ok(record_of(index, &entry))
            }
            // Without a log there was no intent, and nothing was signed.
            Err(error @ SignerError::Log(_)) => Err(error.into()),
            Err(error) => {
                let error = ServiceError::from(error);
                tracing::warn!(%error, key = %wanted.key.name, "not signed");
                let result = Outcome::Failed { code: error.code().to_owned() };
                let entry = head.followed_by(now, Event::Outcome { signing, result });
                self.note(entry).await;
                Err(error)
            }
        }
    }

    async fn attach(
        &self,
        head: &Entry,
        wanted: &Wanted,
        mut record: Record,
        place: &Place<'_>,
    ) -> Result<Record, ServiceError> {
        let Some((signature, signed_at)) = record.signature().map(|(bytes, at)| (bytes.clone(), at)) else {
            return Ok(record);
        };
        match attach(self.registry.as_ref(), wanted, &signature, signed_at, place).await {
            Ok(attachment) => {
                self.append_attached(head, &record.signing, &attachment).await?;
                record.state = State::Attached { signature, signed_at, attachment };
                Ok(record)
            }
            Err(error) => {
                tracing::warn!(%error, id = %record.signing.id, "signed and not attached");
                let result = AttachResult::Failed { code: error.code().to_owned() };
                let event = Event::Attach { signing: record.signing.clone(), result };
                self.note(head.followed_by(self.clock.now(), event)).await;
                Err(error)
            }
        }
    }

    async fn append_attached(
        &self,
        head: &Entry,
        signing: &Signing,
        attachment: &Attachment,
    ) -> Result<(), ServiceError> {
        let result =
            AttachResult::Attached { reference: attachment.reference.clone(), manifest: attachment.manifest };
        let event = Event::Attach { signing: signing.clone(), result };
        self.log.append(vec![head.followed_by(self.clock.now(), event)]).await?;
        Ok(())
    }

    /// Appends an entry about a failure. The caller is told of that failure, not of the log's.
    async fn note(&self, entry: Entry) {
        if let Err(error) = self.log.append(vec![entry]).await {
            tracing::error!(%error, "a failure could not be logged");
        }
    }

    fn signing(&self, wanted: &Wanted, now: Timestamp) -> Signing {
        Signing {
            id: self.ids.signature_id(now),
            key: wanted.key.clone(),
            format: wanted.format,
            annotations: wanted.annotations.clone(),
            claim: Claim::Image,
            payload: Digest::of(&wanted.document),
        }
    }

    /// What all entries of this request have in common. Its event is replaced in each of them.
    fn head(&self, caller: &Caller, image: &ImageReference, decision: &Decision) -> Entry {
        Entry::new(
            self.clock.now(),
            caller.request_id.clone(),
            &caller.principal,
            Operation::Sign,
            image,
            (decision.rule.clone(), decision.policy),
            Event::Refusal { key: None },
        )
    }
}

/// Bundles that are opened in search of a signature that our log does not know.
const MAX_OPENED_BUNDLES: usize = 100;

fn sign_question<'a>(
    caller: &'a Caller,
    image: &'a ImageReference,
    key: Option<&'a KeyName>,
    format: Option<Format>,
) -> Question<'a> {
    Question {
        principal: &caller.principal,
        operation: Operation::Sign,
        repository: Some(&image.repository),
        key,
        format,
    }
}

fn choose_format(
    asked: Option<Format>,
    layout: Option<Format>,
    cosign: &CosignSignatures,
    referrers: &Referrers,
    settings: &RegistrySettings,
) -> Result<Format, ServiceError> {
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

fn in_format(choice: &Choice, format: Format) -> Result<Wanted, ServiceError> {
    choice.in_format(format).ok_or_else(|| ServiceError::KeyVersionUnavailable {
        key: choice.key.name.clone(),
        version: choice.version,
        usable: None,
    })
}

fn record_of(index: u64, entry: &Entry) -> Record {
    Record::from_entries([(index, entry)])
        .expect("invariant: an outcome and an adoption speak of a signature")
}

/// Registries and people read dates by the second.
fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
