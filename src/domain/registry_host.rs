//! Which registry is meant.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A registry's host, with a port where that is not 443. However a registry is written, there is one form of its host:
/// lower case, no port 443, and `docker.io` for all names of Docker Hub.
///
/// A name in the preferred syntax of RFC 1123 or an IPv4 address in its usual form; no IPv6 address. It has a dot or a
/// port, or is `localhost`: otherwise an image reference could not tell it from a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistryHost(String);

/// A text is no registry's host. The sentence is meant for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a registry's host is a name of a-z, 0-9, `-` and `.` or an IPv4 address, with a port of 1 to 65535 where it needs one, \
     as in `registry.example.com:5000`"
)]
pub struct RegistryHostError;

impl RegistryHost {
    /// What Docker Hub's images are named after. It does not speak the protocol itself.
    pub const DOCKER_HUB: &str = "docker.io";

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The port where it is not 443.
    pub fn port(&self) -> Option<u16> {
        self.0.split_once(':').and_then(|(_, port)| port.parse().ok())
    }

    /// Without the port.
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(name, _)| name)
    }

    /// Whether `text` in the place of a host is one, and not the beginning of a path: what Docker goes by.
    pub fn stands_alone(text: &str) -> bool {
        text.contains(['.', ':']) || text.eq_ignore_ascii_case("localhost")
    }
}

impl FromStr for RegistryHost {
    type Err = RegistryHostError;

    fn from_str(text: &str) -> Result<Self, RegistryHostError> {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(self::port(port)?)),
            None => (text, None),
        };
        let name = name.to_ascii_lowercase();
        if !(RegistryHost::stands_alone(text) && is_domain_name(&name) && is_clear(&name)) {
            return Err(RegistryHostError);
        }
        // `registry:443` keeps its port, for without it this would be the beginning of a path.
        let port = port.filter(|port| *port != 443 || !RegistryHost::stands_alone(&name));
        Ok(Self(match (name.as_str(), port) {
            ("index.docker.io" | "registry-1.docker.io", None) => Self::DOCKER_HUB.to_owned(),
            (name, None) => name.to_owned(),
            (name, Some(port)) => format!("{name}:{port}"),
        }))
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Digits without zeros in front: `0443` may be read as another number.
fn port(text: &str) -> Result<u16, RegistryHostError> {
    let digits = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(RegistryHostError)
}

/// Section 2.1 of RFC 1123. A dot at the end is none of the forms: it would be a second name for the same.
fn is_domain_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Whether nobody takes `name` for another address: URLs read `127.1`, `0x7f.0.0.1` and `2130706433` as IPv4 addresses.
/// <https://url.spec.whatwg.org/#ends-in-a-number-checker>
fn is_clear(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = hexadecimal || last.bytes().all(|b| b.is_ascii_digit());
    !number || name.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_has_one_form() {
        for (text, canonical) in [
            ("registry.example.com", "registry.example.com"),
            ("Registry.EXAMPLE.com:443", "registry.example.com"),
            ("registry.example.com:80", "registry.example.com:80"),
            ("registry.example.com:5000", "registry.example.com:5000"),
            ("LOCALHOST", "localhost"),
            ("localhost:443", "localhost"),
            ("registry:443", "registry:443"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("docker.io", "docker.io"),
            ("index.docker.io", "docker.io"),
            ("registry-1.docker.io:443", "docker.io"),
            ("Index.Docker.IO:443", "docker.io"),
            ("index.docker.io:8443", "index.docker.io:8443"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            let host: RegistryHost = text.parse().unwrap();
            assert_eq!(host.as_str(), canonical, "{text}");
            assert_eq!(canonical.parse().as_ref(), Ok(&host), "{canonical}");
        }
        let host: RegistryHost = "registry.example.com:5000".parse().unwrap();
        assert_eq!((host.name(), host.port()), ("registry.example.com", Some(5000)));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "registry",
            ".",
            "registry.example.com.",
            "registry.example.com.:443",
            ".registry.example.com",
            "registry..example.com",
            "registry.example.com:",
            "registry.example.com:0",
            "registry.example.com:0443",
            "registry.example.com:+443",
            "registry.example.com:65536",
            "registry.example.com:443:443",
            "registry.example.com:https",
            "registry.example.com:４４３",
            "https:",
            ":443",
            "[::1]:5000",
            "::1",
            "-a.example.com",
            "a-.example.com",
            "a_b.example.com",
            "a b.example.com",
            "registry.еxample.com",
            "registry.example.com%2e",
            "registry\u{2024}example.com",
            "ｒegistry.example.com",
            "127.1:5000",
            "127.0.0.1.",
            "127.0.0.01:5000",
            "0x7f.0.0.1",
            "example.0x7f",
            "2130706433:5000",
            "1.2.3.4.5",
            "256.0.0.1",
        ] {
            assert_eq!(text.parse::<RegistryHost>(), Err(RegistryHostError), "{text}");
        }
        let long = format!("{}.com", "a".repeat(64));
        assert_eq!(long.parse::<RegistryHost>(), Err(RegistryHostError));
        let long = ["a"; 128].join(".");
        assert_eq!(long.parse::<RegistryHost>(), Err(RegistryHostError));
    }
}
