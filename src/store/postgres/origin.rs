//! The log's name.

use tokio_postgres::Error;
use tokio_postgres::types::Type;

use super::client::Client;

/// The name that is kept; `wanted` where there is none yet, which is durable then.
pub(super) async fn settle(client: &Client, wanted: &str) -> Result<String, Error> {
    let sql = "INSERT INTO origin (origin) VALUES ($1) ON CONFLICT DO NOTHING";
    client.execute(sql, &[(&wanted, Type::TEXT)]).await?;
    Ok(client.query_one("SELECT origin FROM origin", &[]).await?.get(0))
}
