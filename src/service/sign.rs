//! Signing an image, or an index with all that it lists.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::domain::{
    Annotations, Entry, Event, Format, ImageReference, KeyName, KeyVersion, Operation, Record, Subject,
};
use crate::ports::{Decision, Question, RuleLimits, SignerError};

use super::attach::Outdated;
use super::budgets::{Cost, Paid};
use super::existing::Found;
use super::expand::Member;
use super::keyring::across_rotation;
use super::look::{Look, Wish};
use super::make::{Order, Shipping};
use super::wanted::Saying;
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
    /// Whether all that an index lists is signed too.
    pub recursive: bool,
    /// Whether what is signed may be attached after the answer.
    pub respond_async: bool,
}

impl SignRequest {
    /// `asked`, about this request; key and format are left open.
    pub(super) fn question<'a>(&'a self, asked: Question<'a>) -> Question<'a> {
        Question {
            repository: Some(&self.image.repository),
            digest: Some(self.image.digest),
            annotations: Some(&self.annotations),
            ..asked
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone)]
pub struct SignAnswer {
    pub image: SignedImage,
    /// What the image lists, and what that lists: children before their parents. Empty unless asked for.
    pub children: Vec<SignedImage>,
}

/// What became of one image.
#[derive(Debug, Clone)]
pub struct SignedImage {
    pub image: ImageReference,
    pub result: Result<MadeSignature, ServiceError>,
}

/// The signature, and whether it was made or attached just now.
#[derive(Debug, Clone)]
pub struct MadeSignature {
    pub signature: SignatureView,
    pub created: bool,
}

/// How far one image has come when everything is signed.
#[derive(Debug, Clone)]
enum Progress<'a> {
    /// The registry had it.
    Found(&'a Found),
    /// Our log had it, and the registry has not.
    Logged(Record),
    Made(Result<Record, ServiceError>),
}

/// One image on its way.
pub(super) struct Job {
    pub(super) member: Member,
    pub(super) look: Look,
    pub(super) head: Entry,
    /// Of the rule that allows it.
    pub(super) limits: RuleLimits,
    /// Whether other attestations of the same type and key give way.
    pub(super) replace: bool,
}

impl Service {
    /// Signs the image, or finds the same signature where it is there already.
    ///
    /// When this returns a signature, its intent and outcome are durable in the log, and a checkpoint covers them; it verifies with the published public
    /// key of its version, and the registry showed it when it was read back. The same request again changes nothing.
    /// Where the answer need not wait for the registry, the signature is as durable, and the outbox attaches it.
    ///
    /// Of an index, everything is authorised and found before anything is signed, all is signed in one call, and
    /// children are attached before their parents. Then one may fail alone.
    ///
    /// # Errors
    /// Nothing is called signed that is not. What was signed and could not be attached is attached later, from the
    /// outbox or by the next same request, and not signed again.
    pub async fn sign(&self, caller: &Caller, request: &SignRequest) -> Result<SignAnswer, ServiceError> {
        let paid = Paid::default();
        across_rotation(request.key_version, || self.sign_once(caller, request, &paid)).await
    }

    async fn sign_once(
        &self,
        caller: &Caller,
        request: &SignRequest,
        paid: &Paid,
    ) -> Result<SignAnswer, ServiceError> {
        let image = &request.image;
        let settings = self.registry_settings(image)?;
        let question = request.question(self.question(caller, Operation::Sign));
        let key = self.choose_key(caller, &question, request.key.as_ref())?;
        let mut decisions = Decisions::new(self, caller, Question { key: Some(&key), ..question });
        decisions.on(request.format)?;
        let chosen = self.choose_version(&key, request.key_version).await?;
        let members = match request.recursive {
            true => self.expand(image).await?,
            false => vec![Member { image: image.clone(), height: 0 }],
        };

        let _turns = self.turns(members.iter().map(|member| &member.image)).await?;
        let saying = Saying::Signed(request.annotations.clone());
        let outdated = Outdated::default();
        let wish = Wish { chosen: &chosen, saying: &saying, format: request.format, outdated: &outdated };
        let look = |member: Member| {
            let settings = &settings;
            async move {
                let look = self.look(&member.image, wish, settings).await?;
                Ok::<_, ServiceError>((member, look))
            }
        };
        let looks: Vec<_> = stream::iter(members).map(look).buffered(AT_ONCE).try_collect().await?;
        let mut jobs = Vec::with_capacity(looks.len());
        for (member, look) in looks {
            let decision = decisions.on(request.format.or(Some(look.wanted.format)))?;
            if look.found.is_none() {
                look.require_room(settings.max_signatures)?;
            }
            let limits = decision.limits;
            let head = self.head(caller, Operation::Sign, &member.image, decision);
            jobs.push(Job { member, look, head, limits, replace: false });
        }
        let results = self.work(caller, paid, &jobs, request.respond_async).await?;
        answer(jobs, results)
    }

    /// Everything that is left to do once all are found. A result for each job, in their order.
    ///
    /// # Errors
    /// Where a budget does not reach for all that is to be signed; then nothing is.
    pub(super) async fn work(
        &self,
        caller: &Caller,
        paid: &Paid,
        jobs: &[Job],
        later: bool,
    ) -> Result<Vec<Result<MadeSignature, ServiceError>>, ServiceError> {
        let mut progress = Vec::with_capacity(jobs.len());
        for Job { look, .. } in jobs {
            progress.push(match &look.found {
                Some(found) => Some(Progress::Found(found)),
                None => look.logged().map(Progress::Logged),
            });
        }
        let missing = || (0..jobs.len()).filter(|&n| progress[n].is_none());
        let cost = |n: usize| Cost { rule: jobs[n].head.rule(), limits: jobs[n].limits };
        self.spend(caller, paid, missing().map(cost)).await?;
        let due = match later {
            true => self.clock.now(),
            false => self.delivery.lease_from(self.clock.now()),
        };
        let order = |n: usize| Order {
            head: &jobs[n].head,
            wanted: &jobs[n].look.wanted,
            delivery: Some(Shipping { replace: jobs[n].replace, due }),
        };
        let orders: Vec<_> = missing().map(order).collect();
        let made = match orders.is_empty() {
            true => Vec::new(),
            false => self.make(&orders).await,
        };
        if later {
            self.wake.notify_one();
        }
        let mut made = made.into_iter().map(Progress::Made);
        let progress = progress.into_iter().filter_map(|progress| progress.or_else(|| made.next()));

        let mut steps: Vec<_> = jobs.iter().zip(progress).enumerate().collect();
        steps.sort_by_key(|(_, (job, _))| job.member.height);
        let mut results = Vec::with_capacity(jobs.len());
        for level in steps.chunk_by(|(_, (a, _)), (_, (b, _))| a.member.height == b.member.height) {
            let mut finish = Vec::with_capacity(level.len());
            for (n, (job, progress)) in level {
                finish.push(async move { (*n, self.finish(job, progress.clone(), later).await) });
            }
            results.extend(stream::iter(finish).buffered(AT_ONCE).collect::<Vec<_>>().await);
        }
        results.sort_by_key(|(n, _)| *n);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    /// Attaches what has been signed, and replays what was there.
    async fn finish(
        &self,
        Job { look, head, replace, .. }: &Job,
        progress: Progress<'_>,
        later: bool,
    ) -> Result<MadeSignature, ServiceError> {
        let (document, seen) = (&look.wanted.document, || self.still_seen(look));
        let record = match progress {
            Progress::Found(found) => {
                let mut record = self.replay(head, look, found).await?;
                if !look.is_done() {
                    record = self.attach(head, &found.document, record, seen(), *replace).await?;
                }
                let payload = look.wanted.claim.is_image().then(|| found.document.clone());
                let proof = self.proof(&record).await;
                let signature = SignatureView { record, payload, proof };
                return Ok(MadeSignature { signature, created: false });
            }
            Progress::Made(record) if later => record?,
            Progress::Made(record) => self.attach(head, document, record?, seen(), *replace).await?,
            // Nobody else may be working on it.
            Progress::Logged(record) => {
                self.covered(record.index).await?;
                self.attach(head, document, record, seen(), *replace).await?
            }
        };
        let proof = self.proof(&record).await;
        Ok(MadeSignature { signature: SignatureView { proof, ..SignatureView::of(record) }, created: true })
    }

    /// What all entries of this request have in common. Its event is replaced in each of them.
    pub(super) fn head(
        &self,
        caller: &Caller,
        operation: Operation,
        subject: impl Into<Subject>,
        decision: Decision,
    ) -> Entry {
        let (id, who) = (caller.request_id.clone(), &caller.principal);
        let event = Event::refusal(None, Vec::new());
        Entry::new(self.clock.now(), id, who, operation, Some(subject.into()), decision.ruling, event)
    }
}

/// Images that the registry is asked about at once.
const AT_ONCE: usize = 8;

/// What policy says of one question, asked once a format.
pub(super) struct Decisions<'a> {
    service: &'a Service,
    caller: &'a Caller,
    question: Question<'a>,
    known: Vec<(Option<Format>, Decision)>,
}

impl<'a> Decisions<'a> {
    pub(super) const fn new(service: &'a Service, caller: &'a Caller, question: Question<'a>) -> Self {
        Self { service, caller, question, known: Vec::new() }
    }

    /// # Errors
    /// Where policy denies.
    pub(super) fn on(&mut self, format: Option<Format>) -> Result<Decision, ServiceError> {
        if let Some((_, decision)) = self.known.iter().find(|(known, _)| *known == format) {
            return Ok(decision.clone());
        }
        let decision = self.service.permit(self.caller, &Question { format, ..self.question })?;
        self.known.push((format, decision.clone()));
        Ok(decision)
    }
}

/// What the caller is told. Where nothing at all came of it, that is an error and no answer.
fn answer(
    jobs: Vec<Job>,
    results: Vec<Result<MadeSignature, ServiceError>>,
) -> Result<SignAnswer, ServiceError> {
    let is_outdated = |result: &&Result<MadeSignature, ServiceError>| {
        matches!(result, Err(ServiceError::Signer(SignerError::VersionUnavailable { .. })))
    };
    if let Some(Err(error)) = results.iter().find(is_outdated) {
        return Err(error.clone());
    }
    let nothing = results.iter().all(Result::is_err);
    let images = jobs.into_iter().zip(results);
    let mut images: Vec<_> =
        images.map(|(job, result)| SignedImage { image: job.member.image, result }).collect();
    let image = images.pop().expect("invariant: the image itself is the last of its members");
    match image.result {
        Err(error) if nothing => Err(error),
        _ => Ok(SignAnswer { image, children: images }),
    }
}
