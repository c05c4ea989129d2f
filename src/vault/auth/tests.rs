//! A session against a door that plays Vault, with a clock that jumps to what comes next.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use http::{HeaderValue, StatusCode};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::door::Door;
use super::lease::{Expiry, Lease};
use super::session::Session;
use crate::domain::{Clock, Timestamp};
use crate::metrics::Metrics;
use crate::vault::caller::CallError;

/// What is shared with the session's door. Tokens are called 1, 2, 3.
struct Play {
    begun: Instant,
    /// When the session asked for what, in seconds.
    calls: Vec<(f64, &'static str)>,
    logins: usize,
    /// What the login with this number gives.
    log_in: Box<dyn Fn(usize) -> Result<Lease, CallError> + Send>,
    renew: Box<dyn Fn() -> Result<Lease, CallError> + Send>,
    revoked: HashSet<usize>,
    /// What a look at a token meets that is not revoked.
    look: Option<CallError>,
    news: bool,
}

struct FakeDoor(Arc<Mutex<Play>>);

#[async_trait]
impl Door for FakeDoor {
    async fn log_in(&mut self) -> Result<(HeaderValue, Lease), CallError> {
        // As long as a call takes, so that others can come meanwhile.
        sleep(Duration::from_millis(1)).await;
        let mut play = self.0.lock().unwrap();
        play.note("log in");
        let lease = (play.log_in)(play.logins + 1)?;
        play.logins += 1;
        Ok((play.logins.into(), lease))
    }

    async fn renew(&mut self, _: &HeaderValue) -> Result<Lease, CallError> {
        let mut play = self.0.lock().unwrap();
        play.note("renew");
        (play.renew)()
    }

    async fn look(&mut self, token: &HeaderValue) -> Result<(), CallError> {
        sleep(Duration::from_millis(1)).await;
        let mut play = self.0.lock().unwrap();
        play.note("look");
        let number = token.to_str().unwrap().parse().unwrap();
        if play.revoked.contains(&number) {
            return Err(status(403));
        }
        play.look.clone().map_or(Ok(()), Err)
    }

    fn has_news(&self) -> bool {
        self.0.lock().unwrap().news
    }

    fn after_refusal(&self, times: u32) -> Duration {
        Duration::from_secs(100) * times
    }
}

impl Play {
    fn note(&mut self, what: &'static str) {
        // To the tenth of a second: the calls themselves take time too.
        let when = (self.begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        self.calls.push((when, what));
    }
}

struct Setup {
    play: Arc<Mutex<Play>>,
    session: Session,
    metrics: Arc<Metrics>,
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_000_000).unwrap()
    }
}

impl Setup {
    /// Tokens live for an hour, and can be renewed.
    fn new() -> Self {
        Self::with(|_| Ok(hour()), || Ok(hour()))
    }

    fn with(
        log_in: impl Fn(usize) -> Result<Lease, CallError> + Send + 'static,
        renew: impl Fn() -> Result<Lease, CallError> + Send + 'static,
    ) -> Self {
        let play = Arc::new(Mutex::new(Play {
            begun: Instant::now(),
            calls: Vec::new(),
            logins: 0,
            log_in: Box::new(log_in),
            renew: Box::new(renew),
            revoked: HashSet::new(),
            look: None,
            news: false,
        }));
        let metrics = Arc::new(Metrics::new());
        let expiry = Expiry { metrics: Arc::clone(&metrics), clock: Arc::new(FixedClock) };
        let session = Session::start(FakeDoor(Arc::clone(&play)), expiry, || 0.0, CancellationToken::new());
        Self { play, session, metrics }
    }

    fn play(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap()
    }

    async fn token(&self) -> usize {
        number(&self.session.current(soon()).await.unwrap())
    }

    /// What a call gets that was refused with the token `refused`.
    async fn instead_of(&self, refused: usize) -> Result<Option<usize>, CallError> {
        let token = self.session.instead_of(&refused.into(), soon()).await?;
        Ok(token.as_ref().map(number))
    }

    fn calls(&self) -> Vec<(f64, &'static str)> {
        self.play().calls.clone()
    }

    fn count(&self, what: &str) -> usize {
        self.calls().iter().filter(|(_, call)| *call == what).count()
    }
}

fn number(token: &HeaderValue) -> usize {
    token.to_str().unwrap().parse().unwrap()
}

/// As long as a call takes at most.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn hour() -> Lease {
    Lease::new(3600, 3600, true)
}

fn status(status: u16) -> CallError {
    CallError::Status { status: StatusCode::from_u16(status).unwrap(), errors: Vec::new(), retry_after: None }
}

fn away() -> CallError {
    CallError::Unreachable { reason: "refused".to_owned(), at_once: true }
}

fn refused() -> CallError {
    CallError::Token("refused".to_owned())
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_at_two_thirds_of_its_life_each_time() {
    let setup = Setup::new();
    seconds(7300).await;
    assert_eq!(setup.calls(), [(0.0, "log in"), (2400.0, "renew"), (4800.0, "renew"), (7200.0, "renew")]);
    assert_eq!(setup.token().await, 1);
    let text = setup.metrics.encode();
    assert!(text.contains("signet_vault_token_expires_seconds 1003600\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn jitter_makes_it_earlier_by_up_to_a_tenth() {
    assert_eq!(hour().half_time(|| 0.0).unwrap().as_secs(), 2400);
    assert_eq!(hour().half_time(|| 0.999_999_999).unwrap().as_secs(), 2040);
    assert_eq!(Lease::new(0, 0, true).half_time(|| 0.0), None);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_lives_for_ever_is_left_alone() {
    let setup = Setup::with(|_| Ok(Lease::new(0, 0, false)), || unreachable!());
    seconds(1_000_000).await;
    assert_eq!(setup.calls(), [(0.0, "log in")]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_token_is_replaced_in_time_and_serves_until_then() {
    let setup = Setup::with(
        |number| match number {
            2 => Ok(Lease::new(600, 600, false)),
            _ => Ok(Lease::new(3600, 3600, false)),
        },
        || unreachable!("it can not be renewed"),
    );
    assert_eq!(setup.token().await, 1);
    seconds(2399).await;
    assert_eq!(setup.token().await, 1);
    seconds(2).await;
    assert_eq!(setup.token().await, 2);
    seconds(400).await;
    assert_eq!(setup.token().await, 3);
    assert_eq!(setup.count("renew"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_reached_its_longest_life_is_replaced() {
    for granted in
        [Ok(Lease::new(1200, 1200, true)), Ok(Lease::new(0, 0, true)), Err(status(403)), Err(status(400))]
    {
        let at_once = !matches!(granted, Ok(Lease { left: Some(_), .. }));
        let setup = Setup::with(|_| Ok(hour()), move || granted.clone());
        seconds(2401).await;
        assert_eq!(setup.token().await, if at_once { 2 } else { 1 });
        seconds(800).await;
        assert_eq!(setup.token().await, 2);
        assert_eq!(setup.count("renew"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_for_now_is_tried_again_and_hurts_nobody() {
    let setup = Setup::with(|_| Ok(hour()), || Err(away()));
    seconds(2405).await;
    let failed = setup.count("renew");
    assert!(failed >= 5, "{failed}");
    setup.play().renew = Box::new(|| Ok(hour()));
    seconds(100).await;
    assert_eq!((setup.count("renew"), setup.count("log in")), (failed + 1, 1));
    assert_eq!(setup.token().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_expired_is_not_used_and_a_login_follows() {
    let setup = Setup::with(|number| if number == 1 { Ok(hour()) } else { Err(away()) }, || Err(away()));
    seconds(3599).await;
    assert_eq!(setup.token().await, 1);
    seconds(3).await;
    let failure = setup.session.current(soon()).await.unwrap_err();
    assert!(matches!(failure, CallError::Unreachable { .. }), "{failure:?}");
    assert!(setup.metrics.encode().contains("signet_vault_token_expires_seconds 0\n"));
    setup.play().log_in = Box::new(|_| Ok(hour()));
    assert_eq!(setup.token().await, 2);
}

#[tokio::test(start_paused = true)]
async fn callers_wait_for_the_first_login_and_vault_is_asked_at_least_once_a_second() {
    let setup = Setup::with(|_| Err(away()), || Ok(hour()));
    let failure = setup.session.current(soon()).await.unwrap_err();
    assert!(matches!(failure, CallError::Unreachable { .. }), "{failure:?}");
    assert!((10..20).contains(&setup.count("log in")), "{:?}", setup.calls());

    let waiting = async {
        let token = setup.token().await;
        (token, Instant::now())
    };
    let mending = async {
        seconds(5).await;
        setup.play().log_in = Box::new(|_| Ok(hour()));
        Instant::now()
    };
    let ((token, came), mended) = tokio::join!(waiting, mending);
    assert_eq!(token, 1);
    assert!(came - mended <= Duration::from_secs(1), "{:?}", came - mended);
}

#[tokio::test(start_paused = true)]
async fn readiness_does_not_wait() {
    let setup = Setup::with(|_| Err(away()), || Ok(hour()));
    let failure = setup.session.current(Instant::now()).await.unwrap_err();
    assert!(matches!(failure, CallError::LoggedOut), "{failure:?}");
    seconds(1).await;
    let failure = setup.session.current(Instant::now()).await.unwrap_err();
    assert!(matches!(failure, CallError::Unreachable { .. }), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn what_vault_refused_is_not_shown_again_before_there_is_something_new() {
    let setup = Setup::with(|_| Err(refused()), || Ok(hour()));
    let begun = Instant::now();
    for _ in 0..5 {
        let failure = setup.session.current(soon()).await.unwrap_err();
        assert!(matches!(failure, CallError::Token(_)), "{failure:?}");
        seconds(2).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(11), "nobody waits for what will be refused again");
    assert_eq!(setup.count("log in"), 1);
    seconds(95).await;
    assert_eq!(setup.count("log in"), 2, "{:?}", setup.calls());

    setup.play().log_in = Box::new(|_| Ok(hour()));
    setup.play().news = true;
    seconds(2).await;
    assert_eq!(setup.token().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_replaced_once_for_all_who_were_refused() {
    let setup = Setup::new();
    assert_eq!(setup.token().await, 1);
    setup.play().revoked.insert(1);
    let answers = join_all((0..100).map(|_| setup.instead_of(1))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Some(2)))), "{answers:?}");
    // A refusal that comes late finds the new token.
    assert_eq!(setup.instead_of(1).await.unwrap(), Some(2));
    assert_eq!(setup.count("log in"), 2);
    seconds(1).await;
    // One for those who were refused, and one to see whether looking tells anything.
    assert_eq!(setup.count("look"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_refuses_leads_to_no_login() {
    let setup = Setup::new();
    setup.token().await;
    for _ in 0..10 {
        let answers = join_all((0..100).map(|_| setup.instead_of(1))).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(None))), "{answers:?}");
    }
    assert_eq!(setup.count("log in"), 1);
    assert!(setup.count("look") <= 40, "those who ask at once share a look: {}", setup.count("look"));
}

#[tokio::test(start_paused = true)]
async fn where_tokens_may_not_look_themselves_up_logins_are_rare_and_others_go_on() {
    let setup = Setup::new();
    let mut token = setup.token().await;
    setup.play().look = Some(status(403));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(100) {
        let (other, served) = tokio::join!(setup.instead_of(token), async {
            seconds(1).await;
            setup.token().await
        });
        token = other.unwrap().unwrap_or(served);
    }
    let logins = setup.count("log in");
    assert!((10..30).contains(&logins), "{logins}");
}

#[tokio::test(start_paused = true)]
async fn tokens_that_die_one_after_another_cost_no_request() {
    let setup = Setup::new();
    for _ in 0..50 {
        let number = setup.token().await;
        // The next one too, before anybody has used it.
        setup.play().revoked.extend([number, number + 1]);
        assert_eq!(setup.instead_of(number).await.unwrap(), Some(number + 1));
        assert_eq!(setup.instead_of(number + 1).await.unwrap(), Some(number + 2));
        seconds(1).await;
    }
    assert_eq!(setup.count("log in"), 101);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_can_not_tell_is_asked_until_it_can() {
    let setup = Setup::new();
    setup.token().await;
    setup.play().look = Some(status(503));
    setup.play().log_in = Box::new(|_| Err(status(503)));
    let mending = async {
        seconds(3).await;
        setup.play().revoked.insert(1);
        seconds(3).await;
        setup.play().log_in = Box::new(|_| Ok(hour()));
    };
    let (answer, ()) = tokio::join!(setup.instead_of(1), mending);
    assert_eq!(answer.unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn where_no_login_succeeds_in_time_the_last_failure_is_told() {
    let setup = Setup::new();
    setup.token().await;
    setup.play().revoked.insert(1);
    setup.play().log_in = Box::new(|_| Err(status(503)));
    let failure = setup.instead_of(1).await.unwrap_err();
    assert!(matches!(failure, CallError::Status { .. }) && !failure.is_denied(), "{failure:?}");
    setup.play().log_in = Box::new(|_| Err(refused()));
    let failure = setup.instead_of(1).await.unwrap_err();
    assert!(matches!(failure, CallError::Token(_)), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_its_session() {
    let Setup { play, session, .. } = Setup::new();
    session.current(soon()).await.unwrap();
    drop(session);
    seconds(10_000).await;
    assert_eq!(Arc::strong_count(&play), 1);
}
