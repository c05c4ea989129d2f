//! Several statements on their way at once.

use std::future::Future;

use futures::future::{BoxFuture, maybe_done, poll_immediate};
use tokio_postgres::Error;

/// Statements that are sent in their order without waiting for answers between them: one way there and back for all.
#[derive(Default)]
pub(super) struct Pipeline<'a> {
    statements: Vec<BoxFuture<'a, Result<(), Error>>>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn push<T>(&mut self, statement: impl Future<Output = Result<T, Error>> + Send + 'a) {
        self.statements.push(Box::pin(async move { statement.await.map(drop) }));
    }

    /// # Errors
    /// That of the first statement that failed. Within a transaction, those behind it fail as well.
    pub(super) async fn run(self) -> Result<(), Error> {
        let mut sent: Vec<_> = self.statements.into_iter().map(|one| Box::pin(maybe_done(one))).collect();
        for statement in &mut sent {
            // A statement is sent when it is asked for the first time.
            poll_immediate(statement.as_mut()).await;
        }
        let mut outcome = Ok(());
        for mut statement in sent {
            statement.as_mut().await;
            let answer = statement.as_mut().take_output();
            outcome = outcome.and(answer.unwrap_or(Ok(())));
        }
        outcome
    }
}
