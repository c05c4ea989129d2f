//! The bearer tokens that a registry's token service handed out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use crate::ports::RegistryError;

/// Tokens by scope: at most [`Tokens::MAX`] scopes are remembered.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<String, Slot>>);

/// The place of one scope's token. Whoever fetches the token holds the lock, so that callers who
/// come at once share one fetch.
pub(super) type Slot = Arc<AsyncMutex<Option<Token>>>;

#[derive(Debug, Clone)]
pub(super) struct Token {
    /// As a header `Authorization`.
    pub(super) header: HeaderValue,
    until: Instant,
}

/// The answer of a token service.
/// <https://distribution.github.io/distribution/spec/auth/token/#token-response-fields>
#[derive(Deserialize)]
struct TokenResponse {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
    expires_in: Option<u64>,
}

/// The time for which a token service asked to be left alone. It holds for all scopes: who comes meanwhile is told so, and
/// the service does not hear of him.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    /// Where a service names no time.
    const UNTOLD: Duration = Duration::from_millis(250);

    /// How much of it is left.
    pub(super) fn left(&self) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until?.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Begins where `error` asks for it, and says in the error how long it is.
    pub(super) fn begin(&self, mut error: RegistryError) -> RegistryError {
        let asked = match &mut error {
            RegistryError::TooManyRequests { retry_after, .. } => {
                Some(*retry_after.get_or_insert(Self::UNTOLD))
            }
            RegistryError::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        };
        if let Some(asked) = asked {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + asked.min(DAY));
        }
        error
    }
}

impl Tokens {
    pub(super) const MAX: usize = 1024;

    pub(super) fn slot(&self, scope: &str) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(scope) {
            return slot.clone();
        }
        if slots.len() >= Self::MAX {
            make_room(&mut slots);
        }
        slots.entry(scope.to_owned()).or_default().clone()
    }
}

impl Token {
    /// What a token service says where it says nothing of `expires_in`.
    const DEFAULT_LIFE: Duration = Duration::from_secs(60);

    /// The token in a token service's answer to a request of the moment `asked`.
    ///
    /// # Errors
    /// Where there is none. The sentence shows nothing of the answer.
    pub(super) fn parse(body: &[u8], asked: Instant) -> Result<Self, &'static str> {
        let response: TokenResponse =
            serde_json::from_slice(body).map_err(|_| "its token service answered no valid JSON")?;
        let token = [response.token, response.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.expose_secret().is_empty())
            .ok_or("its token service answered without a token")?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| "its token service answered a token with control characters")?;
        header.set_sensitive(true);
        // A day at most: a token that is asked for again does no harm, an overflow would.
        let life = response.expires_in.map_or(Self::DEFAULT_LIFE, Duration::from_secs).min(DAY);
        Ok(Self { header, until: asked + life - life / 10 })
    }

    /// Whether it may still be used: the last tenth of its life is left out, for the call itself takes time.
    pub(super) fn is_fresh(&self) -> bool {
        Instant::now() < self.until
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Drops what is of no use, or, where everything is, whatever comes first: its next caller fetches again.
fn make_room(slots: &mut HashMap<String, Slot>) {
    slots.retain(|_, slot| slot.try_lock().map_or(true, |token| token.as_ref().is_some_and(Token::is_fresh)));
    if slots.len() >= Tokens::MAX
        && let Some(scope) = slots.keys().next().cloned()
    {
        slots.remove(&scope);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Token, &'static str> {
        Token::parse(body.as_bytes(), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_left_before_it_expires() {
        for (body, seconds) in [
            (r#"{"token":"t"}"#, 54),
            (r#"{"access_token":"t","expires_in":300}"#, 270),
            (r#"{"token":"","access_token":"t","expires_in":100}"#, 90),
        ] {
            let token = parse(body).unwrap();
            assert_eq!(token.header, "Bearer t");
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            assert!(token.is_fresh(), "{body}");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!token.is_fresh(), "{body}");
        }
        assert!(parse(&format!(r#"{{"token":"t","expires_in":{}}}"#, u64::MAX)).unwrap().is_fresh());
    }

    #[tokio::test]
    async fn an_answer_without_a_token_is_refused() {
        for body in ["", "{}", r#"{"token":""}"#, r#"{"token":"a\nb"}"#, r#"{"token":7}"#] {
            assert!(parse(body).is_err(), "{body}");
        }
    }

    #[tokio::test]
    async fn the_number_of_remembered_scopes_is_bounded() {
        let tokens = Tokens::default();
        for n in 0..=Tokens::MAX * 2 {
            *tokens.slot(&n.to_string()).lock().await = parse(r#"{"token":"t"}"#).ok();
        }
        assert_eq!(tokens.0.lock().unwrap().len(), Tokens::MAX);
    }

    #[tokio::test]
    async fn a_token_is_not_shown_by_debug() {
        assert!(!format!("{:?}", parse(r#"{"token":"hunter2"}"#).unwrap()).contains("hunter2"));
    }
}
