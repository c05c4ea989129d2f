//! Where relative paths start.

use std::path::{Path, PathBuf};

use super::{AnchorKind, Config};

/// Makes every relative path of the configuration start at `directory`.
pub(super) fn start_at(directory: &Path, config: &mut Config) {
    for path in all(config) {
        *path = directory.join(&*path);
    }
}

/// Every path of the configuration.
fn all(config: &mut Config) -> Vec<&mut PathBuf> {
    // Taken apart in full, so that a new setting does not compile until somebody has looked at it here.
    let Config {
        http,
        vault,
        keys: _,
        registries,
        identity,
        policy,
        log,
        limits: _,
        attach: _,
        audit,
        telemetry: _,
    } = config;
    let mut paths = vec![&mut policy.file];
    if let Some(tls) = &mut http.tls {
        paths.extend([&mut tls.cert_file, &mut tls.key_file]);
        paths.extend(tls.client_ca_file.as_mut());
    }
    paths.extend([&mut log.path, &mut log.url_file, &mut log.ca_file].into_iter().flatten());
    paths.extend(
        log.anchor.as_mut().filter(|anchor| anchor.kind == AnchorKind::File).map(|anchor| &mut anchor.path),
    );
    paths.extend(log.archive.as_mut().map(|archive| &mut archive.directory));
    for push in &mut log.push {
        paths.extend([&mut push.token_file, &mut push.ca_file].into_iter().flatten());
    }
    paths.extend(vault.ca_file.as_mut());
    let auth = &mut vault.auth;
    let files = [
        &mut auth.token_file,
        &mut auth.role_id_file,
        &mut auth.secret_id_file,
        &mut auth.jwt_file,
        &mut auth.cert_file,
        &mut auth.key_file,
    ];
    paths.extend(files.into_iter().flatten());
    for registry in registries {
        let files = [&mut registry.ca_file, &mut registry.password_file, &mut registry.docker_config_file];
        paths.extend(files.into_iter().flatten());
    }
    paths.extend(audit.login.as_mut().and_then(|login| login.client_secret_file.as_mut()));
    for issuer in &mut identity.issuers {
        paths.extend([&mut issuer.jwks_file, &mut issuer.ca_file].into_iter().flatten());
    }
    paths
}
