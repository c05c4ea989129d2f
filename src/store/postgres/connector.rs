//! A connection to the configured database, ready to be used.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::client::Client;
use super::fault::{Fault, within};
use crate::authorities::tls_client;
use crate::config::{LogConfig, Secret};
use crate::store::StoreError;

/// Makes connections. The URL is read anew for each, so that a password can change while the service runs.
pub(super) struct Connector {
    url: Secret,
    tls: MakeRustlsConnect,
    allow_plaintext: bool,
    connect_timeout: Duration,
    statement_timeout: Duration,
}

/// What an operator who leads us to the wrong place gets to know. Never what the URL says: it holds a password.
const NO_URL: &str = "this is no URL of a database: write postgres://user:password@host:5432/database, and what is no \
     letter or digit in the password as %XX";
const PLAINTEXT: &str = "it says sslmode=disable for another machine, which would show the password and the log to \
     everybody in between: leave sslmode out, which means TLS, or set log.allow_plaintext = true";
const ROOTS: &str = "it says sslrootcert, which is not read: name the authorities in log.ca_file";

impl Connector {
    /// # Errors
    /// For a URL that is none, and authorities that can not be read.
    pub(super) fn new(config: &LogConfig) -> Result<Self, StoreError> {
        let url =
            Secret::either(config.url.clone(), config.url_file.clone()).ok_or(StoreError::Url(NO_URL))?;
        let client = tls_client(config.ca_file.as_deref());
        let client = client.map_err(|reason| StoreError::Authorities { reason })?;
        let connector = Self {
            url,
            tls: MakeRustlsConnect::new(client),
            allow_plaintext: config.allow_plaintext,
            connect_timeout: config.connect_timeout,
            statement_timeout: config.statement_timeout,
        };
        let url = connector.url.current().map_err(StoreError::Secret)?;
        parse(url.expose_secret(), config.allow_plaintext).map_err(StoreError::Url)?;
        Ok(connector)
    }

    /// A connection on which a commit is durable when it has returned.
    pub(super) async fn connect(&self) -> Result<Client, Fault> {
        match tokio::time::timeout(self.connect_timeout, self.open()).await {
            Ok(opened) => opened,
            Err(_) => {
                Err(Fault::transient(format!("no connection to PostgreSQL in {:?}", self.connect_timeout)))
            }
        }
    }

    /// How long to wait for an answer: PostgreSQL gives up earlier, and says so, unless it is gone.
    pub(super) fn patience(&self) -> Duration {
        self.statement_timeout + Duration::from_secs(2)
    }

    async fn open(&self) -> Result<Client, Fault> {
        // A file that is being replaced may be empty for a moment.
        let url = self.url.current().map_err(|error| Fault::transient(error.to_string()))?;
        let mut config = parse(url.expose_secret(), self.allow_plaintext).map_err(Fault::lasting)?;
        config
            .application_name("signet")
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .tcp_user_timeout(self.patience())
            .keepalives_idle(Duration::from_secs(30));
        let (client, connection) = config.connect(self.tls.clone()).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(reason = Fault::from(error).reason, "a connection to PostgreSQL has ended");
            }
        });
        let client = Client::new(client);
        within(self.patience(), client.batch_execute(&self.session())).await?;
        Ok(client)
    }

    /// What each session is told, whatever the server's defaults. Its `synchronous_commit` may be stronger than
    /// ours: then it stays. <https://www.postgresql.org/docs/current/runtime-config-wal.html>
    ///
    /// A statement is planned once (see [`Client`]), maybe while its tables are empty, and has to be fast when they are not:
    /// so whatever can go by an index does. <https://www.postgresql.org/docs/current/runtime-config-query.html>
    fn session(&self) -> String {
        format!(
            "SELECT set_config('synchronous_commit', 'on', false)
                 WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply');
             SET statement_timeout = {statement};
             SET idle_in_transaction_session_timeout = {idle};
             SET client_min_messages = warning;
             SET plan_cache_mode = force_generic_plan;
             SET enable_seqscan = off;
             SET enable_hashjoin = off;
             SET enable_mergejoin = off;
             SET jit = off;",
            statement = self.statement_timeout.as_millis(),
            idle = self.patience().as_millis(),
        )
    }
}

/// The target, with its TLS decided: whoever is not on this machine is spoken to over TLS and shows a certificate
/// for its name, whatever weaker mode the URL names.
fn parse(url: &str, allow_plaintext: bool) -> Result<Config, &'static str> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(NO_URL);
    }
    // A password may hold anything but `@`.
    let host = url.find('@').unwrap_or_default();
    let end = url[host..].find('?').map_or(url.len(), |place| host + place);
    let (base, parameters) = (&url[..end], url[end..].trim_start_matches('?'));
    let mut kept = Vec::new();
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        kept.push(match parameter {
            // Certificates are always verified in full.
            "sslmode=verify-ca" | "sslmode=verify-full" => "sslmode=require",
            parameter if parameter.starts_with("sslrootcert=") => return Err(ROOTS),
            parameter => parameter,
        });
    }
    let mut config: Config = format!("{base}?{}", kept.join("&")).parse().map_err(|_| NO_URL)?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(NO_URL);
    }
    let local = is_local(&config);
    let mode = match config.get_ssl_mode() {
        SslMode::Disable if !local && !allow_plaintext => return Err(PLAINTEXT),
        SslMode::Disable => SslMode::Disable,
        // Not a word in the URL, or a wish that any attacker could deny.
        SslMode::Prefer if local => SslMode::Disable,
        _ => SslMode::Require,
    };
    config.ssl_mode(mode);
    Ok(config)
}

/// Whether nothing leaves this machine.
fn is_local(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
    });
    named && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_on_this_machine_is_spoken_to_over_tls() {
        for (url, mode) in [
            ("postgres://u:p@db.example.com/signet", SslMode::Require),
            ("postgresql://u:p@db.example.com/signet?sslmode=prefer", SslMode::Require),
            ("postgres://u:p@db.example.com/signet?sslmode=verify-full", SslMode::Require),
            ("postgres://u:p@127.0.0.1,db.example.com/signet", SslMode::Require),
            ("postgres://u:p@localhost/signet?hostaddr=192.0.2.1", SslMode::Require),
            ("postgres://u:p@localhost/signet", SslMode::Disable),
            ("postgres://u:p@127.0.0.1:5433/signet", SslMode::Disable),
            ("postgres://u:p@[::1]/signet", SslMode::Disable),
            ("postgres://u@%2Frun%2Fpostgresql/signet", SslMode::Disable),
            ("postgres://u:p@localhost/signet?sslmode=require", SslMode::Require),
        ] {
            assert_eq!(parse(url, false).unwrap().get_ssl_mode(), mode, "{url}");
        }
    }

    #[test]
    fn a_password_may_hold_signs_that_have_a_meaning_elsewhere() {
        let config =
            parse("postgres://u:a?b&&sslmode=disable%40@db.example.com/signet?sslmode=require", false);
        assert_eq!(config.unwrap().get_password(), Some(&b"a?b&&sslmode=disable@"[..]));
    }

    #[test]
    fn plaintext_to_another_machine_has_to_be_allowed() {
        let url = "postgres://u:p@db.example.com/signet?application_name=x&sslmode=disable";
        assert_eq!(parse(url, false).unwrap_err(), PLAINTEXT);
        assert_eq!(parse(url, true).unwrap().get_ssl_mode(), SslMode::Disable);
        let silent = "postgres://u:p@db.example.com/signet";
        assert_eq!(parse(silent, true).unwrap().get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn what_is_no_url_is_refused_without_a_word_of_it() {
        for url in [
            "hunter2",
            "host=db.example.com password=hunter2",
            "postgres://u:hunter2@:port/signet",
            "postgres:///signet?user=hunter2",
            "mysql://u:hunter2@db.example.com/signet",
            "postgres://u:hunter2@db.example.com/signet?hunter2=hunter2",
        ] {
            assert_eq!(parse(url, false).unwrap_err(), NO_URL, "{url}");
        }
        let url = "postgres://u:p@db.example.com/signet?sslrootcert=/ca.pem";
        assert_eq!(parse(url, false).unwrap_err(), ROOTS);
    }
}
