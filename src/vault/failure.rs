//! What a failed call means to those who wait for it.

use super::client::{CallError, Client};
use crate::ports::SignerError;

/// What to tell of `failure`. Asks for Vault's state where the status alone does not tell.
pub(super) async fn explain(client: &Client, failure: CallError) -> SignerError {
    let (status, errors, retry_after) = match failure {
        CallError::Token(reason) => {
            return SignerError::Denied { reason: format!("there is no token to show: {reason}") };
        }
        CallError::Timeout => return SignerError::Timeout(client.timeout),
        CallError::Unreachable { reason, .. } => return unavailable(format!("no connection: {reason}")),
        CallError::Lost(reason) => return unavailable(format!("the connection broke: {reason}")),
        CallError::Protocol(reason) => return unavailable(reason),
        CallError::Status { status, errors, retry_after } => (status, sentence(&errors), retry_after),
    };
    match status.as_u16() {
        403 => SignerError::Denied { reason: errors.unwrap_or_else(|| "403".to_owned()) },
        503 if client.is_sealed().await => SignerError::Sealed,
        300..=399 => unavailable(format!(
            "{status}: a standby answers with a redirect, which is not followed; let `vault.address` lead to \
             the active node"
        )),
        _ => {
            let reason = match errors {
                Some(errors) => format!("{status}: {errors}"),
                None => status.to_string(),
            };
            SignerError::Unavailable { reason, retry_after }
        }
    }
}

pub(super) fn unavailable(reason: impl Into<String>) -> SignerError {
    SignerError::Unavailable { reason: reason.into(), retry_after: None }
}

/// Vault's own words on one line, at most 300 characters.
pub(super) fn sentence<S: AsRef<str>>(errors: &[S]) -> Option<String> {
    let words = errors.iter().flat_map(|error| error.as_ref().split_whitespace());
    let text = words.collect::<Vec<_>>().join(" ");
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vaults_words_come_on_one_line_and_not_without_end() {
        let errors = ["1 error occurred:\n\t* permission denied\n\n".to_owned(), "\u{1b}[2J".to_owned()];
        assert_eq!(sentence(&errors).unwrap(), "1 error occurred: * permission denied [2J");
        assert_eq!(sentence(&["x".repeat(1000)]).unwrap().len(), 300);
        assert_eq!(sentence::<String>(&[]), None);
    }
}
