//! A connection, and the statements that it knows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, RowStream, Statement};

use super::fault::within;

/// What a statement is given.
pub(super) type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// A connection. PostgreSQL reads and plans each statement once: what has been asked is known by a name when it is asked
/// again. There are as many as there are in this module, so they are never forgotten.
///
/// Whatever is asked is sent when it is polled for the first time: a statement without a name yet is sent as it is, and gets
/// one in [`Client::learned`], while nothing is under way.
pub(super) struct Client {
    connection: tokio_postgres::Client,
    statements: Mutex<HashMap<String, Known>>,
}

enum Known {
    Asked(Vec<Type>),
    Prepared(Statement),
}

impl Known {
    fn asked((sql, known): (&String, &Self)) -> Option<(String, Vec<Type>)> {
        match known {
            Self::Asked(types) => Some((sql.clone(), types.clone())),
            Self::Prepared(_) => None,
        }
    }
}

impl Client {
    pub(super) fn new(connection: tokio_postgres::Client) -> Self {
        Self { connection, statements: Mutex::default() }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// Statements without parameters, one after the other up to the first that fails. Nothing comes back.
    pub(super) async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.connection.batch_execute(sql).await
    }

    /// How many rows were changed.
    pub(super) async fn execute(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64, Error> {
        match self.prepared(sql, parameters) {
            Some(statement) => self.connection.execute(&statement, &values(parameters)).await,
            None => self.connection.execute_typed(sql, parameters).await,
        }
    }

    pub(super) async fn query(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Error> {
        match self.prepared(sql, parameters) {
            Some(statement) => self.connection.query(&statement, &values(parameters)).await,
            None => self.connection.query_typed(sql, parameters).await,
        }
    }

    /// # Errors
    /// Also where there is not exactly one row.
    pub(super) async fn query_one(&self, sql: &str, parameters: Parameters<'_>) -> Result<Row, Error> {
        match self.prepared(sql, parameters) {
            Some(statement) => self.connection.query_one(&statement, &values(parameters)).await,
            None => self.connection.query_typed_one(sql, parameters).await,
        }
    }

    /// # Errors
    /// Also where there is more than one row.
    pub(super) async fn query_opt(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, Error> {
        match self.prepared(sql, parameters) {
            Some(statement) => self.connection.query_opt(&statement, &values(parameters)).await,
            None => self.connection.query_typed_opt(sql, parameters).await,
        }
    }

    /// Rows as they come.
    pub(super) async fn stream(&self, sql: &str, parameters: Parameters<'_>) -> Result<RowStream, Error> {
        match self.prepared(sql, parameters) {
            Some(statement) => self.connection.query_raw(&statement, values(parameters)).await,
            None => {
                let parameters = parameters.iter().map(|(value, of)| (*value, of.clone()));
                self.connection.query_typed_raw(sql, parameters).await
            }
        }
    }

    /// This connection, once what was asked without a name has one; none where that failed.
    pub(super) async fn learned(self, limit: Duration) -> Option<Self> {
        let asked: Vec<_> = self.statements().iter().filter_map(Known::asked).collect();
        let prepared = asked.iter().map(|(sql, types)| self.connection.prepare_typed(sql, types));
        let prepared = within(limit, try_join_all(prepared)).await.ok()?;
        let known =
            asked.into_iter().zip(prepared).map(|((sql, _), statement)| (sql, Known::Prepared(statement)));
        self.statements().extend(known);
        Some(self)
    }

    fn prepared(&self, sql: &str, parameters: Parameters<'_>) -> Option<Statement> {
        let mut statements = self.statements();
        match statements.get(sql) {
            Some(Known::Prepared(statement)) => Some(statement.clone()),
            Some(Known::Asked(_)) => None,
            None => {
                let types = parameters.iter().map(|(_, of)| of.clone()).collect();
                statements.insert(sql.to_owned(), Known::Asked(types));
                None
            }
        }
    }

    fn statements(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn values<'a>(parameters: Parameters<'a>) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters.iter().map(|(value, _)| *value).collect()
}
