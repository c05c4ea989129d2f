//! A token that we log in for, and keep as long as it can be.

use std::time::Duration;

use http::HeaderValue;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::door::Door;
use super::lease::{Expiry, Lease};
use crate::vault::caller::CallError;
use crate::vault::failure::words;

/// The token of a login. One task owns it: it logs in, renews at two thirds of the time that is left, and logs in
/// anew where that is no use, the old token serving until the new one is there.
pub(in crate::vault) struct Session {
    state: watch::Receiver<State>,
    doubts: mpsc::Sender<Doubt>,
}

#[derive(Debug)]
enum State {
    In(HeaderValue),
    /// With what the last attempt met; none where the first is under way.
    Out(Option<CallError>),
}

/// Vault did not let a token in: is that the token's fault?
struct Doubt {
    token: HeaderValue,
    /// Whether the token is alive.
    verdict: oneshot::Sender<bool>,
}

impl Session {
    pub(super) fn start(
        door: impl Door,
        expiry: Expiry,
        random: fn() -> f64,
        shutdown: CancellationToken,
    ) -> Self {
        let (state, watched) = watch::channel(State::Out(None));
        let (sender, doubts) = mpsc::channel(64);
        let keeper = Keeper {
            door,
            state,
            doubts,
            expiry,
            random,
            held: None,
            next: Some((Instant::now(), Step::LogIn)),
            failures: 0,
            refusals: 0,
            refused_until: None,
            misses: 0,
            told: None,
        };
        tokio::spawn(async move { shutdown.run_until_cancelled(keeper.run()).await });
        Self { state: watched, doubts: sender }
    }

    /// The token, when there is one. Waits until `deadline`, and no longer than it makes sense.
    pub(super) async fn current(&self, deadline: Instant) -> Result<HeaderValue, CallError> {
        if let State::In(token) = &*self.state.borrow() {
            return Ok(token.clone());
        }
        let mut state = self.state.clone();
        // What Vault refused it will refuse again: no use in waiting for that.
        let settled =
            state.wait_for(|state| matches!(state, State::In(_) | State::Out(Some(CallError::Token(_)))));
        let state = match timeout_at(deadline, settled).await {
            Ok(Ok(state)) => state,
            Ok(Err(_)) => return Err(CallError::LoggedOut),
            Err(_) => self.state.borrow(),
        };
        match &*state {
            State::In(token) => Ok(token.clone()),
            State::Out(failure) => Err(failure.clone().unwrap_or(CallError::LoggedOut)),
        }
    }

    /// Another token than `refused` where that one is dead. Those who ask at once share the answer.
    pub(super) async fn instead_of(
        &self,
        refused: &HeaderValue,
        deadline: Instant,
    ) -> Result<Option<HeaderValue>, CallError> {
        if !matches!(&*self.state.borrow(), State::In(token) if token == refused) {
            return self.current(deadline).await.map(Some);
        }
        let (verdict, heard) = oneshot::channel();
        let asking = async {
            self.doubts.send(Doubt { token: refused.clone(), verdict }).await.ok()?;
            heard.await.ok()
        };
        match timeout_at(deadline, asking).await {
            Ok(Some(false)) => self.current(deadline).await.map(Some),
            // Nobody knows in time: then Vault's refusal is what there is to tell.
            Ok(Some(true) | None) | Err(_) => Ok(None),
        }
    }
}

/// The task behind a [`Session`].
struct Keeper<D> {
    door: D,
    state: watch::Sender<State>,
    doubts: mpsc::Receiver<Doubt>,
    expiry: Expiry,
    random: fn() -> f64,
    held: Option<Held>,
    /// What is to be done by itself, and when.
    next: Option<(Instant, Step)>,
    /// Times in a row that Vault could not say, or did not answer.
    failures: u32,
    /// Times in a row that Vault refused what was shown.
    refusals: u32,
    /// Until then, it is not shown again.
    refused_until: Option<Instant>,
    /// Looks at tokens that Vault refused, in a row. Tokens died one after another; or they may not look themselves
    /// up, and then a dead one looks like one that may not do something.
    misses: u32,
    /// What the operators know of why there is no login.
    told: Option<String>,
}

/// A token that serves.
struct Held {
    token: HeaderValue,
    /// When it came or was last renewed.
    since: Instant,
    lease: Lease,
    expires: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    LogIn,
    Renew,
}

/// Before another try where Vault could not say: twice as long each time, and at most [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(50);

/// Short, because a Vault that is back is to be noticed at once.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest wait that Vault may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(10);

/// How often to look whether there is something new to show in place of what Vault refused.
const NEWS: Duration = Duration::from_secs(1);

/// As many [`Keeper::misses`] are misfortune. Each further one doubles the time between logins that might help.
const MISSES: u32 = 4;

/// The longest time between such logins.
const LONGEST_DOUBT: Duration = Duration::from_secs(10);

impl<D: Door> Keeper<D> {
    /// Ends when nobody uses the session any more.
    async fn run(mut self) {
        loop {
            let next = self.next;
            let its_time = async {
                match next {
                    Some((when, step)) => {
                        sleep_until(when).await;
                        step
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                doubt = self.doubts.recv() => match doubt {
                    Some(doubt) => self.judge(doubt).await,
                    None => return,
                },
                step = its_time => match step {
                    Step::LogIn => self.log_in().await,
                    Step::Renew => self.renew().await,
                },
            }
        }
    }

    async fn log_in(&mut self) {
        if self.refused_until.is_some_and(|until| Instant::now() < until) && !self.door.has_news() {
            self.after(NEWS, Step::LogIn);
            return self.drop_when_expired(None);
        }
        match self.door.log_in().await {
            Ok((token, lease)) => {
                tracing::info!(expires_in = ?lease.left, renewable = lease.renewable, "logged in to Vault");
                (self.told, self.refusals, self.refused_until) = (None, 0, None);
                self.hold(token, lease);
                self.plan(if lease.renewable { Step::Renew } else { Step::LogIn });
                if self.misses > 0 {
                    self.try_our_eyes().await;
                }
            }
            Err(failure) => {
                self.report(&failure);
                let mut pause = self.pause(&failure);
                if matches!(failure, CallError::Token(_)) {
                    self.refused_until = Some(Instant::now() + pause);
                    pause = pause.min(NEWS);
                }
                self.after(pause, Step::LogIn);
                self.drop_when_expired(Some(failure));
            }
        }
    }

    async fn renew(&mut self) {
        let Some(held) = &self.held else { return };
        let (token, before) = (held.token.clone(), held.lease);
        match self.door.renew(&token).await {
            // Without an end, where it had one: to the second, nothing is left of its longest life.
            Ok(Lease { left: None, .. }) => self.after(Duration::ZERO, Step::LogIn),
            Ok(lease) => {
                self.hold(token, lease);
                let grows = lease.renewable && lease.left >= before.left;
                self.plan(if grows { Step::Renew } else { Step::LogIn });
            }
            Err(failure) if failure.is_our_fault() => {
                tracing::info!(reason = words(&failure), "Vault does not renew the token: logging in anew");
                self.failures = 0;
                self.after(Duration::ZERO, Step::LogIn);
            }
            Err(failure) => {
                let pause = self.pause(&failure);
                self.after(pause, Step::Renew);
                self.drop_when_expired(Some(failure));
            }
        }
    }

    /// Tells who was refused with the token that we hold whether that was the token's fault, and logs in anew if so.
    async fn judge(&mut self, doubt: Doubt) {
        let mut waiting = vec![doubt];
        loop {
            while let Ok(doubt) = self.doubts.try_recv() {
                waiting.push(doubt);
            }
            // A token of the past is dead to them, whatever became of it.
            let held = self.held.as_ref();
            for doubt in waiting.extract_if(.., |doubt| held.is_none_or(|held| held.token != doubt.token)) {
                let _ = doubt.verdict.send(false);
            }
            waiting.retain(|doubt| !doubt.verdict.is_closed());
            let Some(held) = held.filter(|_| !waiting.is_empty()) else { return };
            let token = held.token.clone();
            let alive = match self.door.look(&token).await {
                Ok(()) => true,
                Err(failure) if failure.is_denied() => {
                    // Until then it serves those whom it is good enough for.
                    sleep_until(held.since + rest_after(self.misses)).await;
                    false
                }
                Err(_) => {
                    sleep(PAUSE).await;
                    continue;
                }
            };
            if alive {
                self.misses = 0;
            } else {
                tracing::warn!("Vault does not know our token any more: logging in anew");
                self.lose(None);
                self.misses = self.misses.saturating_add(1);
                (self.failures, self.refusals, self.refused_until) = (0, 0, None);
                self.after(Duration::ZERO, Step::LogIn);
            }
            for doubt in waiting {
                let _ = doubt.verdict.send(alive);
            }
            return;
        }
    }

    /// Looks at a token that has just come, to see whether looking tells anything.
    async fn try_our_eyes(&mut self) {
        let Some(held) = &self.held else { return };
        let token = held.token.clone();
        match self.door.look(&token).await {
            Ok(()) => self.misses = 0,
            Err(failure) if failure.is_denied() => {
                self.misses = self.misses.saturating_add(1);
                if self.misses >= MISSES {
                    tracing::warn!(
                        "new tokens are refused when they look themselves up: if that is for their policy, give it \
                         auth/token/lookup-self as in config/vault-policy.hcl, because nobody can tell now when one is dead"
                    );
                }
            }
            Err(_) => {}
        }
    }

    fn hold(&mut self, token: HeaderValue, lease: Lease) {
        let now = Instant::now();
        self.failures = 0;
        self.expiry.show(lease);
        self.held = Some(Held {
            token: token.clone(),
            since: now,
            lease,
            expires: lease.left.map(|left| now + left),
        });
        self.state.send_replace(State::In(token));
    }

    fn lose(&mut self, failure: Option<CallError>) {
        self.held = None;
        self.expiry.hide();
        self.state.send_replace(State::Out(failure));
    }

    /// `failure` kept the token from being replaced. That hurts nobody while it serves.
    fn drop_when_expired(&mut self, failure: Option<CallError>) {
        let serves =
            self.held.as_ref().is_some_and(|held| held.expires.is_none_or(|end| Instant::now() < end));
        if serves {
            return;
        }
        let out = matches!(&*self.state.borrow(), State::Out(_));
        // What is known already is not forgotten.
        if !out || failure.is_some() {
            self.lose(failure);
        }
        if let Some((when, Step::Renew)) = self.next {
            self.next = Some((when, Step::LogIn));
        }
    }

    /// `step` in good time before the token expires; never, where it does not.
    fn plan(&mut self, step: Step) {
        let half_time = self.held.as_ref().and_then(|held| held.lease.half_time(self.random));
        self.next = half_time.map(|pause| (Instant::now() + pause, step));
    }

    fn after(&mut self, pause: Duration, step: Step) {
        self.next = Some((Instant::now() + pause, step));
    }

    /// How long to wait after one more failure.
    fn pause(&mut self, failure: &CallError) -> Duration {
        if let CallError::Token(_) = failure {
            self.refusals = self.refusals.saturating_add(1);
            return self.door.after_refusal(self.refusals);
        }
        self.failures = self.failures.saturating_add(1);
        if let CallError::Status { retry_after: Some(asked), .. } = failure {
            return (*asked).min(LONGEST_ASKED);
        }
        let pause = PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        pause.mul_f64(1.0 - (self.random)() / 2.0)
    }

    fn report(&mut self, failure: &CallError) {
        let reason = words(failure);
        if self.told.as_ref() != Some(&reason) {
            tracing::warn!(reason, "can not log in to Vault");
            self.told = Some(reason);
        }
    }
}

/// How long a token serves at least after so many [`Keeper::misses`].
fn rest_after(misses: u32) -> Duration {
    match misses.checked_sub(MISSES) {
        Some(more) => PAUSE.saturating_mul(1 << more.min(10)).min(LONGEST_DOUBT),
        None => Duration::ZERO,
    }
}
