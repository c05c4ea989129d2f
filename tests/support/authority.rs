//! A certificate authority of one test's own.

use std::path::{Path, PathBuf};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use reqwest::tls::{Certificate, Identity};
use tempfile::TempDir;

/// Signs certificates. Its files end with this value.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// A certificate with its key, both in PEM.
#[derive(Clone)]
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.file().display())
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    /// The authority's own certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// For a server on this machine, that calls itself `name`.
    pub fn server(&self, name: &str) -> Pair {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    /// For a client with this subject.
    pub fn client(&self, name: &str) -> Pair {
        self.sign(&client(name))
    }

    /// For a workload: an X.509-SVID.
    pub fn workload(&self, spiffe_id: &str) -> Pair {
        let mut params = client("workload");
        params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(spiffe_id).unwrap())];
        self.sign(&params)
    }

    /// For what `params` says, with a key of its own.
    pub fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Pair { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A client that trusts this authority alone, and shows `pair` where there is one.
    pub fn trusting_client(&self, pair: Option<&Pair>) -> reqwest::Client {
        self.builder(pair).build().unwrap()
    }

    pub fn builder(&self, pair: Option<&Pair>) -> reqwest::ClientBuilder {
        let builder = super::servers::client_builder()
            .tls_certs_only([Certificate::from_pem(self.pem().as_bytes()).unwrap()]);
        match pair {
            Some(pair) => builder.identity(pair.identity()),
            None => builder,
        }
    }
}

impl Pair {
    /// Writes the pair as `[http.tls]` wants it: the certificate first.
    pub fn write(&self, directory: &Path) {
        std::fs::write(directory.join("tls.pem"), &self.cert).unwrap();
        std::fs::write(directory.join("tls.key"), &self.key).unwrap();
    }

    pub fn identity(&self) -> Identity {
        Identity::from_pem(format!("{}{}", self.cert, self.key).as_bytes()).unwrap()
    }
}

/// What a client's certificate says; to be changed.
pub fn client(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
