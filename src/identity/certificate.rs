//! Client certificates: workloads by their SPIFFE ID, others by their subject.
//!
//! - X.509: <https://www.rfc-editor.org/rfc/rfc5280>
//! - X.509-SVID: <https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md>
//! - SPIFFE ID: <https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md>
//! - Names as text: <https://www.rfc-editor.org/rfc/rfc4514>

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use x509_parser::asn1_rs::ToDer as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::domain::{Certificate, Claims, Clock, Digest, Principal, Timestamp};
use crate::ports::{AuthenticationError, Authenticator, Credentials};

/// Says whom a connection's certificate names. Which authorities may have signed it was looked at when the connection was
/// made; whether it is still valid is looked at with each request, because a connection may live longer than it.
pub struct CertificateAuthenticator {
    clock: Arc<dyn Clock>,
}

impl CertificateAuthenticator {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

#[async_trait]
impl Authenticator for CertificateAuthenticator {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthenticationError> {
        let shown = credentials.certificate.as_ref().ok_or(AuthenticationError::Missing)?;
        let certificate = read(&shown.der, self.clock.now()).map_err(AuthenticationError::Certificate)?;
        Ok(Principal::Certificate(Arc::new(certificate)))
    }

    /// A certificate is shown by each connection anew: there is no list here of those that were taken back.
    fn still_authentic(&self, _: &[u8; 32], _: &Principal) -> bool {
        true
    }
}

/// Why a certificate speaks of nobody.
type Reason = &'static str;

fn read(der: &[u8], now: Timestamp) -> Result<Certificate, Reason> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| "it can not be read")?;
    if !rest.is_empty() {
        return Err("there is something behind it");
    }
    is_valid(&certificate, now)?;
    // Also finds an extension that is there twice.
    certificate.extensions_map().map_err(|_| "its extensions are not clear")?;
    let names = Names::of(&certificate)?;
    let subject = distinguished_name(certificate.subject())?;
    let name = match &names.spiffe_id {
        Some(id) => {
            is_no_authority(&certificate)?;
            id.clone()
        }
        None if subject.is_empty() => return Err("it names nobody: no SPIFFE ID and no subject"),
        None => subject.clone(),
    };
    let mut claims = Claims::new();
    let mut claim = |key: &str, value: Option<Value>| value.map(|value| claims.insert(key.to_owned(), value));
    claim("spiffe_id", names.spiffe_id.map(Value::from));
    let attributes = |oid: &str| attributes(certificate.subject(), oid);
    let mut common_names = attributes(COMMON_NAME)?;
    if common_names.len() > 1 {
        return Err("it has several common names, and rules could mean any of them");
    }
    claim("common_name", common_names.pop().map(Value::from));
    claim("organization", list(attributes(ORGANIZATION)?));
    claim("organizational_unit", list(attributes(ORGANIZATIONAL_UNIT)?));
    claim("dns_names", list(names.dns));
    claim("uris", list(names.uris));
    claim("emails", list(names.emails));
    claim("subject", Some(subject).filter(|subject| !subject.is_empty()).map(Value::from));
    claim("issuer", Some(distinguished_name(certificate.issuer())?.into()));
    claim("fingerprint", Some(Digest::of(der).to_string().into()));
    Ok(Certificate { name, claims })
}

fn is_valid(certificate: &X509Certificate<'_>, now: Timestamp) -> Result<(), Reason> {
    let validity = certificate.validity();
    if now.as_second() < validity.not_before.timestamp() {
        Err("it is not valid yet")
    } else if now.as_second() > validity.not_after.timestamp() {
        Err("it has expired")
    } else {
        Ok(())
    }
}

/// What an X.509-SVID of a workload must not be (section 4).
fn is_no_authority(certificate: &X509Certificate<'_>) -> Result<(), Reason> {
    let usage = certificate.key_usage().map_err(|_| "its key usage can not be read")?;
    let signs_others = usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign());
    if certificate.is_ca() || signs_others {
        return Err("it has a SPIFFE ID, and is an authority's");
    }
    Ok(())
}

/// The subject's alternative names.
#[derive(Default)]
struct Names {
    spiffe_id: Option<String>,
    dns: Vec<String>,
    uris: Vec<String>,
    emails: Vec<String>,
}

impl Names {
    fn of(certificate: &X509Certificate<'_>) -> Result<Self, Reason> {
        let mut names = Self::default();
        let extension = certificate.subject_alternative_name();
        let Some(extension) = extension.map_err(|_| "its alternative names can not be read")? else {
            return Ok(names);
        };
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.dns.push(text(name)?),
                GeneralName::URI(name) => names.uris.push(text(name)?),
                GeneralName::RFC822Name(name) => names.emails.push(text(name)?),
                GeneralName::Invalid(..) => return Err("one of its alternative names can not be read"),
                // Nothing that rules could look at.
                GeneralName::OtherName(..)
                | GeneralName::X400Address(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EDIPartyName(_)
                | GeneralName::IPAddress(_)
                | GeneralName::RegisteredID(_) => {}
            }
        }
        // The scheme in any case: what is almost a SPIFFE ID must not pass for a name of another kind.
        let is_spiffe = |uri: &str| uri.split(':').next().is_some_and(|s| s.eq_ignore_ascii_case("spiffe"));
        if names.uris.iter().any(|uri| is_spiffe(uri)) {
            let [id] = names.uris.as_slice() else {
                return Err("it has a SPIFFE ID, and further URIs beside it");
            };
            if !is_spiffe_id(id) {
                return Err("its SPIFFE ID is none of a workload");
            }
            names.spiffe_id = Some(id.clone());
        }
        Ok(names)
    }
}

/// Whether `uri` is the SPIFFE ID of a workload: `spiffe://`, a trust domain, and a path that is not empty (sections 2.1
/// to 2.3). There is no other way to write the same: no upper case in the trust domain, no user, port, query, fragment
/// or percent, no segment that is empty, `.` or `..`.
fn is_spiffe_id(uri: &str) -> bool {
    let Some((domain, path)) = uri.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let in_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let in_segment = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    uri.len() <= 2048
        && (1..=255).contains(&domain.len())
        && domain.bytes().all(in_domain)
        && path
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | "..") && segment.bytes().all(in_segment))
}

/// The string of RFC 4514; empty for the empty name. Two names that differ never have the same string.
fn distinguished_name(name: &X509Name<'_>) -> Result<String, Reason> {
    let mut parts = Vec::new();
    for relative in name.iter_rdn() {
        let attributes: Result<Vec<_>, _> = relative.iter().map(attribute).collect();
        parts.push(attributes?.join("+"));
    }
    parts.reverse();
    Ok(parts.join(","))
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Result<String, Reason> {
    let oid = attribute.attr_type().to_id_string();
    match SHORT_NAMES.iter().find(|(known, _)| *known == oid) {
        Some((_, short)) => Ok(format!("{short}={}", escaped(&value(attribute)?))),
        None => {
            let der = attribute.attr_value().to_der_vec().map_err(|_| UNREADABLE)?;
            Ok(format!("{oid}=#{}", hex::encode(der)))
        }
    }
}

/// Section 2.4.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    let last = value.chars().count().saturating_sub(1);
    for (index, c) in value.chars().enumerate() {
        let at_the_edge = (c == ' ' && (index == 0 || index == last)) || (c == '#' && index == 0);
        if at_the_edge || "\"+,;<>\\=".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// The values of all attributes of this type.
fn attributes(name: &X509Name<'_>, oid: &str) -> Result<Vec<String>, Reason> {
    let of_type = name.iter_attributes().filter(|attribute| attribute.attr_type().to_id_string() == oid);
    of_type.map(value).collect()
}

/// Of UTF8String, PrintableString, IA5String and NumericString, which say the same to every reader. The others do not.
fn value(attribute: &AttributeTypeAndValue<'_>) -> Result<String, Reason> {
    text(attribute.as_str().map_err(|_| UNREADABLE)?)
}

fn text(text: &str) -> Result<String, Reason> {
    match text {
        "" => Err("one of its names is empty"),
        text if text.contains(char::is_control) => Err("one of its names has control characters"),
        text => Ok(text.to_owned()),
    }
}

fn list(values: Vec<String>) -> Option<Value> {
    (!values.is_empty()).then(|| values.into())
}

const UNREADABLE: Reason = "one of its names is in an encoding that is not read";

const COMMON_NAME: &str = "2.5.4.3";
const ORGANIZATION: &str = "2.5.4.10";
const ORGANIZATIONAL_UNIT: &str = "2.5.4.11";

/// Section 3 of RFC 4514.
const SHORT_NAMES: [(&str, &str); 9] = [
    (COMMON_NAME, "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    (ORGANIZATION, "O"),
    (ORGANIZATIONAL_UNIT, "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

#[cfg(test)]
mod tests {
    use rcgen::string::{BmpString, Ia5String, TeletexString};
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, KeyPair,
        KeyUsagePurpose, SanType,
    };

    use super::*;

    const NOW: &str = "2026-06-01T00:00:00Z";

    fn params(subject: &[(DnType, &str)], names: &[SanType]) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = names.to_vec();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        params
    }

    fn uri(uri: &str) -> SanType {
        SanType::URI(Ia5String::try_from(uri).unwrap())
    }

    fn named(params: &CertificateParams) -> Result<Certificate, Reason> {
        named_at(params, NOW)
    }

    fn named_at(params: &CertificateParams, now: &str) -> Result<Certificate, Reason> {
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        read(certificate.der(), now.parse().unwrap())
    }

    #[test]
    fn a_workload_is_named_by_its_spiffe_id() {
        let id = "spiffe://prod.example.com/ns/ci/sa/release_1";
        let dns = SanType::DnsName("ci.example.com".try_into().unwrap());
        let certificate = named(&params(&[(DnType::OrganizationName, "SPIRE")], &[uri(id), dns])).unwrap();
        assert_eq!(certificate.name, id);
        assert_eq!(certificate.claims["spiffe_id"], id);
        assert_eq!(certificate.claims["organization"], serde_json::json!(["SPIRE"]));
        assert_eq!(certificate.claims["dns_names"], serde_json::json!(["ci.example.com"]));
        assert!(certificate.claims["fingerprint"].as_str().unwrap().starts_with("sha256:"));
        assert!(!certificate.claims.contains_key("common_name"));
        // One without a subject.
        assert_eq!(named(&params(&[], &[uri(id)])).unwrap().name, id);
    }

    #[test]
    fn others_are_named_by_their_subject() {
        let subject = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Example, Inc. + Co"),
            (DnType::CommonName, "#release "),
        ];
        let certificate = named(&params(&subject, &[uri("https://ci.example.com/x")])).unwrap();
        assert_eq!(certificate.name, "CN=\\#release\\ ,O=Example\\, Inc. \\+ Co,C=DE");
        assert_eq!(certificate.claims["common_name"], "#release ");
        assert_eq!(certificate.claims["subject"], certificate.name);
        assert_eq!(certificate.claims["issuer"], certificate.name);
        assert_eq!(certificate.claims["uris"], serde_json::json!(["https://ci.example.com/x"]));
        assert!(!certificate.claims.contains_key("spiffe_id"));

        let own = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 4711]);
        let certificate = named(&params(&[(own, "x"), (DnType::CommonName, "a")], &[])).unwrap();
        assert_eq!(certificate.name, "CN=a,1.3.6.1.4.1.4711=#0c0178");
    }

    #[test]
    fn a_subject_that_looks_like_a_spiffe_id_is_none() {
        let subject = [(DnType::CommonName, "spiffe://prod.example.com/ns/ci")];
        let certificate = named(&params(&subject, &[])).unwrap();
        assert_eq!(certificate.name, "CN=spiffe://prod.example.com/ns/ci");
        assert!(!certificate.claims.contains_key("spiffe_id"));
    }

    #[test]
    fn a_certificate_counts_from_its_beginning_to_its_end() {
        let params = params(&[(DnType::CommonName, "a")], &[]);
        assert_eq!(named_at(&params, "2025-12-31T23:59:59Z"), Err("it is not valid yet"));
        assert!(named_at(&params, "2026-01-01T00:00:00Z").is_ok());
        assert!(named_at(&params, "2027-01-01T00:00:00Z").is_ok());
        assert_eq!(named_at(&params, "2027-01-01T00:00:01Z"), Err("it has expired"));
    }

    #[test]
    fn what_is_almost_a_spiffe_id_is_refused() {
        for id in [
            "spiffe://prod.example.com",
            "spiffe://prod.example.com/",
            "spiffe:///ns/ci",
            "spiffe://Prod.example.com/ns/ci",
            "SPIFFE://prod.example.com/ns/ci",
            "spiffe:prod.example.com/ns/ci",
            "spiffe://prod.example.com/ns//ci",
            "spiffe://prod.example.com/ns/ci/",
            "spiffe://prod.example.com/ns/../ci",
            "spiffe://prod.example.com/ns/./ci",
            "spiffe://prod.example.com/ns/ci?x",
            "spiffe://prod.example.com/ns/ci#x",
            "spiffe://prod.example.com:443/ns/ci",
            "spiffe://user@prod.example.com/ns/ci",
            "spiffe://prod.example.com/ns/%63i",
            "spiffe://prod.example.com/ns/c i",
            "spiffe://prod.example.com/ns\\ci",
        ] {
            let named = named(&params(&[(DnType::CommonName, "a")], &[uri(id)]));
            assert_eq!(named, Err("its SPIFFE ID is none of a workload"), "{id}");
        }
        let long = format!("spiffe://{}/ns/ci", "a".repeat(256));
        assert!(named(&params(&[], &[uri(&long)])).is_err());
        let long = format!("spiffe://a/{}", "a".repeat(2048));
        assert!(named(&params(&[], &[uri(&long)])).is_err());
    }

    #[test]
    fn one_uri_alone_makes_a_workload() {
        let id = "spiffe://prod.example.com/ns/ci";
        for other in ["spiffe://prod.example.com/ns/other", "https://example.com", id] {
            for names in [[uri(id), uri(other)], [uri(other), uri(id)]] {
                let named = named(&params(&[(DnType::CommonName, "a")], &names));
                assert_eq!(named, Err("it has a SPIFFE ID, and further URIs beside it"), "{other}");
            }
        }
    }

    #[test]
    fn an_authority_is_no_workload() {
        let mut authority = params(&[], &[uri("spiffe://prod.example.com/ns/ci")]);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        assert!(named(&authority).is_err());
        let mut signer = params(&[], &[uri("spiffe://prod.example.com/ns/ci")]);
        signer.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        assert!(named(&signer).is_err());
    }

    #[test]
    fn names_that_could_be_read_in_two_ways_are_refused() {
        let refused = |value: DnValue| {
            let mut params = params(&[], &[]);
            params.distinguished_name.push(DnType::CommonName, value);
            named(&params).unwrap_err()
        };
        assert_eq!(refused(DnValue::BmpString(BmpString::try_from("a").unwrap())), UNREADABLE);
        assert_eq!(refused(DnValue::TeletexString(TeletexString::try_from("a").unwrap())), UNREADABLE);
        for text in ["a\0b", "a\nb", "a\u{7f}", "a\u{85}b"] {
            assert_eq!(refused(text.into()), "one of its names has control characters", "{text:?}");
        }
        assert_eq!(refused("".into()), "one of its names is empty");
        assert_eq!(named(&params(&[], &[])), Err("it names nobody: no SPIFFE ID and no subject"));
        assert_eq!(
            named(&params(&[(DnType::CommonName, "a")], &[uri("https://a/\0")])),
            Err("one of its names has control characters")
        );
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let now = NOW.parse().unwrap();
        assert_eq!(read(b"", now), Err("it can not be read"));
        assert_eq!(read(b"-----BEGIN", now), Err("it can not be read"));
        let params = params(&[(DnType::CommonName, "a")], &[]);
        let mut der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        der.push(0);
        assert_eq!(read(&der, now), Err("there is something behind it"));
    }
}
