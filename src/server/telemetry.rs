//! Where log lines go.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::LogFormat;

/// Writes log lines to standard error, from `level` on; `RUST_LOG` says otherwise.
///
/// Two libraries are silenced whatever `RUST_LOG` says: they put whole answers of Vault into their lines.
pub fn start(format: LogFormat, level: LevelFilter) {
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .from_env_lossy()
        .add_directive("rustify=off".parse().expect("invariant: a literal directive"))
        .add_directive("vaultrs=off".parse().expect("invariant: a literal directive"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start, as in tests, keeps the first.
    let _ = match format {
        LogFormat::Json => subscriber.json().flatten_event(true).with_span_list(false).try_init(),
        LogFormat::Text => subscriber.try_init(),
    };
}
