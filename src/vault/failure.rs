//! What a failed call means to those who wait for it.

use http::StatusCode;

use super::client::{CallError, Client};
use crate::ports::SignerError;

/// What to tell of `failure`. Asks for Vault's state where the status alone does not tell.
pub(super) async fn explain(client: &Client, failure: CallError) -> SignerError {
    let reason = words(&failure);
    match failure {
        CallError::Token(_) => SignerError::Denied { reason },
        CallError::Status { status: StatusCode::FORBIDDEN, .. } => SignerError::Denied { reason },
        CallError::Status { status: StatusCode::SERVICE_UNAVAILABLE, .. } if client.is_sealed().await => {
            SignerError::Sealed
        }
        CallError::Status { retry_after, .. } => SignerError::Unavailable { reason, retry_after },
        CallError::Timeout => SignerError::Timeout(client.timeout),
        CallError::LoggedOut
        | CallError::Unreachable { .. }
        | CallError::Lost(_)
        | CallError::Redirected { .. }
        | CallError::Protocol(_) => unavailable(reason),
    }
}

/// What happened, for our log.
pub(super) fn words(failure: &CallError) -> String {
    match failure {
        CallError::Token(reason) => format!("there is no token to show: {reason}"),
        CallError::LoggedOut => "the login to Vault is under way".to_owned(),
        CallError::Unreachable { reason, .. } => format!("no connection: {reason}"),
        CallError::Lost(reason) => format!("the connection broke: {reason}"),
        CallError::Timeout => "no answer in time".to_owned(),
        CallError::Redirected { to } => format!(
            "a standby answers with a redirect to {to}, which is neither `vault.address` nor one of \
             `vault.node_addresses`, and so is not followed"
        ),
        CallError::Status { status, errors, .. } => match sentence(errors) {
            Some(errors) => format!("{status}: {errors}"),
            None => status.to_string(),
        },
        CallError::Protocol(reason) => reason.clone(),
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
