//! What every refusal and every failure has to look like.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

use super::{Answer, World};

impl World {
    /// Asserts that `answer` is a whole problem, which says what to do and shows nothing of what lies behind.
    #[track_caller]
    pub fn assert_problem(&self, answer: &Answer, status: u16, code: &str) {
        answer.assert_problem(status, code);
        let text = answer.body.to_string();
        for secret in self.secrets() {
            assert!(!text.contains(&secret), "{secret} is in {text}");
        }
    }

    /// Posts `body` to `/v1/signatures`, and asserts that it is refused before Vault or the registry hears of it.
    pub async fn refused(&self, body: impl Into<reqwest::Body>, status: u16, code: &str) -> Answer {
        self.refused_at("/v1/signatures", body, status, code).await
    }

    /// As [`World::refused`], at another path.
    pub async fn refused_at(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
        status: u16,
        code: &str,
    ) -> Answer {
        self.take_all_calls();
        let answer = self.post(path, &self.token, body).await;
        self.assert_problem(&answer, status, code);
        self.assert_untouched();
        answer
    }

    /// Asserts that neither Vault nor the registry heard of anything since [`World::take_all_calls`].
    #[track_caller]
    pub fn assert_untouched(&self) {
        let vault = self.vault_proxy.take_calls();
        assert!(vault.is_empty(), "Vault was called: {vault:?}");
        let registry = self.registry_proxy.take_calls();
        assert!(registry.is_empty(), "the registry was called: {registry:?}");
    }

    /// Forgets all calls so far.
    pub fn take_all_calls(&self) {
        self.vault_proxy.take_calls();
        self.registry_proxy.take_calls();
    }

    /// What no answer, no metric and no line of the log may show.
    fn secrets(&self) -> Vec<String> {
        let host = |url: &str| url.trim_start_matches("http://").to_owned();
        let mut secrets = self.tokens();
        secrets.push(host(&self.vault.address));
        secrets.push(self.vault_proxy.address.to_string());
        secrets.push(self.directory.path().display().to_string());
        secrets
    }

    /// The tokens of this world: the callers', Vault's, and what Signet shows to Vault.
    pub fn tokens(&self) -> Vec<String> {
        let file = self.directory.path().join("vault-token");
        // A test may have taken the file away.
        let shown = std::fs::read_to_string(file).unwrap_or_default().trim().to_owned();
        let mut tokens =
            vec![self.token.clone(), self.outsider.clone(), self.vault.root_token.clone(), shown];
        tokens.retain(|token| !token.is_empty());
        tokens
    }
}

impl Answer {
    /// Asserts that this is a whole problem (RFC 9457) with a sentence, the request's id, and `Retry-After` just where
    /// waiting helps.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{self:?}");
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        assert_problem_body(&self.body, status, code);
        assert_eq!(self.body["request_id"], self.headers["x-request-id"].to_str().unwrap(), "{self:?}");
        let waiting_helps = matches!(status, 429 | 502 | 503 | 504);
        assert_eq!(self.retry_after().is_some(), waiting_helps, "{self:?}");
    }

    /// Seconds, at least one.
    #[track_caller]
    pub fn retry_after(&self) -> Option<u64> {
        let value = self.headers.get(RETRY_AFTER)?;
        let seconds = value.to_str().unwrap().parse().unwrap();
        assert!(seconds > 0, "{self:?}");
        Some(seconds)
    }

    /// The problem's sentence; empty for what is no problem.
    pub fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }
}

/// Asserts that `body` is a problem, also where it is one among the results of a batch.
#[track_caller]
pub fn assert_problem_body(body: &serde_json::Value, status: u16, code: &str) {
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["type"], format!("urn:signet:problem:{code}"), "{body}");
    let title = StatusCode::from_u16(status).unwrap().canonical_reason().unwrap();
    assert_eq!(body["title"], title, "{body}");
    assert!(body["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{body}");
    let detail = body["detail"].as_str().unwrap_or_default();
    let is_sentence = detail.ends_with('.')
        && !detail.ends_with("..")
        && !detail.starts_with(char::is_lowercase)
        && !detail.contains(['\n', '\r'])
        && detail.split(' ').count() >= 4
        && detail.len() < 1000;
    assert!(is_sentence, "no sentence for a caller: {detail:?}");
}
