//! What a registry asks for with `401`, and which token services may be asked on its behalf.

use std::net::IpAddr;

use http_auth::parse_challenges;
use url::{Host, Url};

use super::location::is_home;

/// How a registry wants to be told who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// The servers that may hand out a registry's tokens, and so see its password: the registry
/// itself, and those that the operator named. A registry that was taken over can not point elsewhere.
#[derive(Debug)]
pub(super) struct Realms {
    hosts: Vec<String>,
    plain_http: bool,
}

impl Challenge {
    /// The strongest scheme that the headers `WWW-Authenticate` offer and that is spoken here.
    /// <https://distribution.github.io/distribution/spec/auth/token/>
    pub(super) fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut basic = None;
        for header in headers {
            let Ok(challenges) = parse_challenges(header) else { continue };
            for challenge in challenges {
                let parameter = |name: &str| {
                    let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("Bearer") {
                    let realm = parameter("realm")?;
                    return Some(Self::Bearer { realm, service: parameter("service") });
                }
                if challenge.scheme.eq_ignore_ascii_case("Basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }
}

impl Realms {
    /// # Errors
    /// Where one of `hosts` is no host name, optionally with a port. The sentence names it.
    pub(super) fn new(hosts: Vec<String>, plain_http: bool) -> Result<Self, String> {
        for host in &hosts {
            let url = Url::parse(&format!("https://{host}/"));
            if !url.is_ok_and(|url| url.path() == "/" && url.username().is_empty() && url.query().is_none()) {
                return Err(format!(
                    "`token_hosts` has hosts as `host` or `host:port`, and `{host}` is none"
                ));
            }
        }
        Ok(Self { hosts, plain_http })
    }

    /// The token service at `realm`, if it may be asked.
    ///
    /// # Errors
    /// The sentence names the setting that would allow it.
    pub(super) fn admit(&self, realm: &str) -> Result<Url, String> {
        let url = Url::parse(realm).map_err(|_| "the token realm is no URL".to_owned())?;
        let Some(host) = url.host() else { return Err("the token realm has no host".to_owned()) };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the token realm carries a user name".to_owned());
        }
        let allowed = self.hosts.iter().any(|allowed| {
            Url::parse(&format!("{}://{allowed}/", url.scheme())).is_ok_and(|allowed| is_home(&allowed, &url))
        });
        if !allowed {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            return Err(format!(
                "it sends its clients to {host}{port} for tokens; if that is right, add `{host}{port}` to `token_hosts`"
            ));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.plain_http || is_loopback(&host) => Ok(url),
            _ => Err(format!("it sends its clients to {host} for tokens without TLS")),
        }
    }
}

/// Whether `host` is this machine, by its address or as `localhost`.
pub(super) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => IpAddr::V4(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(*address).is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_found_among_others() {
        let bearer = |service: Option<&str>| {
            let realm = "https://auth.example.com/token?a=b,c".to_owned();
            Some(Challenge::Bearer { realm, service: service.map(str::to_owned) })
        };
        for (headers, challenge) in [
            (&[r#"Basic realm="registry""#][..], Some(Challenge::Basic)),
            (
                &[r#"Bearer realm="https://auth.example.com/token?a=b,c",service="reg\"istry""#],
                bearer(Some("reg\"istry")),
            ),
            (&[r#"basic realm="x""#, r#"bearer Realm="https://auth.example.com/token?a=b,c""#], bearer(None)),
            (&[r#"Negotiate, Basic realm="x""#], Some(Challenge::Basic)),
            (&[r#"Bearer service="without a realm""#], None),
            (&["Digest realm=\"x\"", "=="], None),
            (&[], None),
        ] {
            assert_eq!(Challenge::parse(headers.iter().copied()), challenge, "{headers:?}");
        }
    }

    #[test]
    fn only_the_registry_and_named_hosts_hand_out_tokens() {
        let hosts = |plain_http| {
            let hosts = ["registry.example.com:5000", "auth.example.com", "127.0.0.1:5001", "[::1]:5002"];
            Realms::new(hosts.map(str::to_owned).to_vec(), plain_http).unwrap()
        };
        for (realm, refusal) in [
            ("https://registry.example.com:5000/token", None),
            ("https://auth.example.com/jwt/auth?x=y", None),
            ("https://AUTH.example.com:443/", None),
            ("http://127.0.0.1:5001/token", None),
            ("http://[::1]:5002/token", None),
            ("https://registry.example.com/token", Some("token_hosts")),
            ("https://auth.example.com:8443/", Some("add `auth.example.com:8443` to `token_hosts`")),
            ("https://auth.example.com.evil.example/", Some("token_hosts")),
            ("https://auth.example.com@evil.example/", Some("user name")),
            ("https://user:word@auth.example.com/", Some("user name")),
            ("http://auth.example.com/", Some("without TLS")),
            ("file:///etc/passwd", Some("no host")),
            ("/token", Some("no URL")),
        ] {
            match (hosts(false).admit(realm), refusal) {
                (Ok(_), None) => {}
                (Err(error), Some(part)) => assert!(error.contains(part), "{realm}: {error}"),
                (result, _) => panic!("{realm}: {result:?}"),
            }
        }
        assert!(hosts(true).admit("http://auth.example.com/").is_ok());
    }

    #[test]
    fn a_token_host_that_is_none_is_named() {
        for host in ["https://auth.example.com", "auth.example.com/token", "", "a b", "user@auth.example.com"]
        {
            let error = Realms::new(vec![host.to_owned()], false).unwrap_err();
            assert!(error.contains("token_hosts"), "{host}: {error}");
        }
    }
}
