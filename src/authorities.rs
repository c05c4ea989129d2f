//! Whom a client of ours believes when a server shows a certificate: the authorities of a file, or those of this machine.
//! A leaf: every room may use it, nobody here knows a room.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::Certificate;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::causes::causes;

/// A file of authorities that can not be used. Whoever asked for it says which setting names it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct UnusableAuthorities {
    pub path: PathBuf,
    reason: String,
}

impl UnusableAuthorities {
    fn new(path: &Path, error: &(dyn Error + 'static)) -> Self {
        Self { path: path.to_owned(), reason: causes(error) }
    }

    fn empty(path: &Path) -> Self {
        let reason =
            "it has no certificate in PEM: nothing begins with -----BEGIN CERTIFICATE-----".to_owned();
        Self { path: path.to_owned(), reason }
    }
}

/// The certificates of a PEM file, for a client of HTTP; at least one.
///
/// # Errors
/// Where the file can not be read, or has none, or one that can not be used.
pub fn of_file(path: &Path) -> Result<Vec<Certificate>, UnusableAuthorities> {
    let (certificates, _) = read(path)?;
    let certificates = certificates.iter().map(|certificate| Certificate::from_der(certificate));
    certificates.collect::<Result<_, _>>().map_err(|error| UnusableAuthorities::new(path, &error))
}

/// TLS for a client of another protocol than HTTP, which shows no certificate itself. It believes the authorities of
/// `ca_file` alone, and without one those of this machine.
///
/// # Errors
/// Where the file can not be read or has no certificate that can be used, or this machine has no authorities.
pub fn tls_client(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let Some(path) = ca_file else {
        let builder = builder.with_platform_verifier().map_err(|error| error.to_string())?;
        return Ok(builder.with_no_client_auth());
    };
    let (_, roots) = read(path).map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The certificates of a file, and the same as authorities: only so is it known that each can be used.
fn read(path: &Path) -> Result<(Vec<CertificateDer<'static>>, RootCertStore), UnusableAuthorities> {
    let unusable = |error: &(dyn Error + 'static)| UnusableAuthorities::new(path, error);
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(|error| unusable(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| unusable(&error))?;
    }
    if certificates.is_empty() {
        return Err(UnusableAuthorities::empty(path));
    }
    Ok((certificates, roots))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn a_file_that_vouches_for_nobody_is_named_with_what_is_wrong() {
        let empty = file("# nobody\n");
        let broken = file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let nowhere = Path::new("/nowhere/ca.pem");
        for (path, reason) in
            [(empty.path(), "no certificate in PEM"), (broken.path(), ""), (nowhere, "No such file")]
        {
            let complaints = [of_file(path).unwrap_err().to_string(), tls_client(Some(path)).unwrap_err()];
            for complaint in complaints {
                let rest = complaint.strip_prefix(&format!("{}: ", path.display()));
                assert!(rest.is_some_and(|rest| !rest.is_empty() && rest.contains(reason)), "{complaint}");
            }
        }
    }

    #[test]
    fn a_bundle_may_hold_several_authorities_and_remarks() {
        let [one, two] = ["one", "two"].map(|name| {
            let key = rcgen::KeyPair::generate().unwrap();
            rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap().pem()
        });
        let bundle = file(&format!("first\n{one}\nsecond\n{two}"));
        assert_eq!(of_file(bundle.path()).unwrap().len(), 2);
        assert_eq!(read(bundle.path()).unwrap().1.len(), 2);
        tls_client(Some(bundle.path())).unwrap();
    }
}
