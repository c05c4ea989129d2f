//! Errors in words, with what lies behind them. A leaf: every room may use it, nobody here knows a room.

use std::error::Error;

/// `error`, and each error that it names as its source, down to the first cause: `can not connect: refused`.
///
/// Errors of reqwest hold URLs, whose query may be as good as a password: take that out first, with `without_url()`.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn every_cause_is_said_once_from_the_outermost_to_the_first() {
        let refused = Layer("refused", None);
        let error = Layer("no answer", Some(Box::new(Layer("can not connect", Some(Box::new(refused))))));
        assert_eq!(causes(&error), "no answer: can not connect: refused");
    }
}
