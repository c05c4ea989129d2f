//! The log's name.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

/// The name that is kept; `wanted` where there is none yet, which is durable then.
pub(super) async fn settle(client: &Client, wanted: &str) -> Result<String, Error> {
    let sql = "INSERT INTO origin (origin) VALUES ($1) ON CONFLICT DO NOTHING";
    client.execute_typed(sql, &[(&wanted, Type::TEXT)]).await?;
    Ok(client.query_typed_one("SELECT origin FROM origin", &[]).await?.get(0))
}
