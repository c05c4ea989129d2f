//! The name and the password for one registry.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::config::{RegistryConfig, Secret};
use crate::domain::RegistryHost;

/// Where the credentials come from. Files are read again when they change.
#[derive(Debug)]
pub(super) enum Credentials {
    Anonymous,
    Login { username: String, password: Secret },
    DockerConfig(DockerConfigFile),
}

/// A user name and a password that were valid when they were read.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: SecretString,
}

/// The entry for one host in a Docker `config.json`.
/// <https://docs.docker.com/reference/cli/docker/login/>
#[derive(Debug)]
pub(super) struct DockerConfigFile {
    host: String,
    path: PathBuf,
    text: Secret,
}

/// What of a `config.json` matters here. Helpers are looked for only to say that they are not run.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, DockerEntry>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct DockerEntry {
    #[serde(default)]
    auth: Option<SecretString>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<SecretString>,
    #[serde(default)]
    identitytoken: Option<SecretString>,
    #[serde(default)]
    registrytoken: Option<SecretString>,
}

impl Credentials {
    /// # Errors
    /// Where the configuration is not clear, or what it names can not be used as it is now. The
    /// sentence names the file.
    pub(super) fn from_config(config: &RegistryConfig) -> Result<Self, String> {
        let password = Secret::either(config.password.clone(), config.password_file.clone());
        let credentials = match (&config.username, password, &config.docker_config_file) {
            (None, None, None) => Self::Anonymous,
            (Some(username), Some(password), None) => Self::Login { username: username.clone(), password },
            (None, None, Some(path)) => Self::DockerConfig(DockerConfigFile {
                host: config.host.clone(),
                path: path.clone(),
                text: Secret::file(path),
            }),
            (_, _, Some(_)) => {
                return Err("give either `docker_config_file`, or `username` with a password".to_owned());
            }
            (Some(_), None, None) => {
                return Err("`username` needs `password` or `password_file` beside it".to_owned());
            }
            (None, Some(_), None) => return Err("a password needs `username` beside it".to_owned()),
        };
        credentials.current()?;
        Ok(credentials)
    }

    /// The credentials as they are now; `None` where there are none to give.
    ///
    /// # Errors
    /// Where a file can not be used. The sentence names it, and nothing that is in it.
    pub(super) fn current(&self) -> Result<Option<Login>, String> {
        match self {
            Self::Anonymous => Ok(None),
            Self::Login { username, password } => {
                let password = password.current().map_err(|error| error.to_string())?;
                Ok(Some(Login { username: username.clone(), password }))
            }
            Self::DockerConfig(file) => file.login().map(Some),
        }
    }
}

impl Login {
    /// As a header `Authorization`.
    /// <https://www.rfc-editor.org/rfc/rfc7617#section-2>
    pub(super) fn header(&self) -> HeaderValue {
        let pair = format!("{}:{}", self.username, self.password.expose_secret());
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
            .expect("invariant: base64 has visible ASCII characters only");
        value.set_sensitive(true);
        value
    }
}

impl DockerConfigFile {
    fn login(&self) -> Result<Login, String> {
        let text = self.text.current().map_err(|error| error.to_string())?;
        read_entry(text.expose_secret(), &self.host)
            .map_err(|reason| format!("the Docker configuration {}: {reason}", self.path.display()))
    }
}

fn read_entry(text: &str, host: &str) -> Result<Login, String> {
    // The parser's own message could quote the text.
    let config: DockerConfig =
        serde_json::from_str(text).map_err(|error| format!("no valid JSON in line {}", error.line()))?;
    let is_meant = |key: &str| server_of(key).is_some_and(|server| server.as_str() == host);
    if config.cred_helpers.keys().any(|key| is_meant(key)) {
        return Err(format!(
            "`credHelpers` names a helper for {host}, and helpers are not run; give `username` and `password_file`"
        ));
    }
    let entry = config.auths.into_iter().find(|(key, _)| is_meant(key)).map(|(_, entry)| entry);
    let Some(login) = entry.unwrap_or_default().login()? else {
        return Err(if config.creds_store.is_some() {
            format!(
                "`credsStore` keeps the password for {host}, and helpers are not run; give `username` and `password_file`"
            )
        } else {
            format!("`auths` has no user name and password for {host}")
        });
    };
    Ok(login)
}

impl DockerEntry {
    fn login(self) -> Result<Option<Login>, String> {
        let filled = |secret: &Option<SecretString>| {
            secret.as_ref().is_some_and(|secret| !secret.expose_secret().is_empty())
        };
        if filled(&self.identitytoken) || filled(&self.registrytoken) {
            return Err("identity tokens are not supported; give `username` and `password_file`".to_owned());
        }
        match (self.auth, self.username, self.password) {
            (Some(auth), _, _) if !auth.expose_secret().is_empty() => decode(auth.expose_secret()).map(Some),
            (_, Some(username), Some(password)) => Ok(Some(Login { username, password })),
            _ => Ok(None),
        }
    }
}

/// An `auth`: base64 of user name, colon, password.
fn decode(auth: &str) -> Result<Login, String> {
    let pair = STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (username, password) = pair
        .as_deref()
        .and_then(|pair| pair.split_once(':'))
        .ok_or("an `auth` is no base64 of `user:password`")?;
    // Docker pads short pairs with zero bytes.
    let password = password.trim_end_matches('\0').to_owned().into();
    Ok(Login { username: username.to_owned(), password })
}

/// The server that a key of `auths` means, without scheme and path: `https://index.docker.io/v1/` is Docker Hub. None where
/// it is no registry's.
fn server_of(key: &str) -> Option<RegistryHost> {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str, host: &str) -> Result<(String, String), String> {
        read_entry(text, host).map(|login| (login.username, login.password.expose_secret().to_owned()))
    }

    #[test]
    fn a_docker_configuration_names_its_servers_in_many_ways() {
        let pair = Ok(("signet".to_owned(), "a:b".to_owned()));
        for (key, host) in [
            ("registry.example.com", "registry.example.com"),
            ("registry.example.com:5000", "registry.example.com:5000"),
            ("https://registry.example.com/v2/", "registry.example.com"),
            ("http://registry.example.com", "registry.example.com"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("https://registry.example.com:443", "registry.example.com"),
        ] {
            let auth = STANDARD.encode("signet:a:b");
            let text = format!(r#"{{"auths":{{"other.example.com":{{}},"{key}":{{"auth":"{auth}"}}}}}}"#);
            assert_eq!(entry(&text, host), pair, "{key}");
            let text = format!(r#"{{"auths":{{"{key}":{{"username":"signet","password":"a:b"}}}}}}"#);
            assert_eq!(entry(&text, host), pair, "{key}");
        }
    }

    #[test]
    fn what_a_docker_configuration_can_not_give_is_said_without_secrets() {
        let token = STANDARD.encode("hunter2");
        for (text, reason) in [
            ("{".to_owned(), "JSON"),
            ("{}".to_owned(), "no user name and password for registry.example.com"),
            (r#"{"auths":{"example.com":{"auth":"eDp5"}}}"#.to_owned(), "no user name"),
            (format!(r#"{{"auths":{{"registry.example.com":{{"auth":"{token}"}}}}}}"#), "base64"),
            (r#"{"auths":{"registry.example.com":{"identitytoken":"hunter2"}}}"#.to_owned(), "identity"),
            (r#"{"auths":{"registry.example.com":{}},"credsStore":"desktop"}"#.to_owned(), "credsStore"),
            (r#"{"credHelpers":{"registry.example.com":"ecr-login"}}"#.to_owned(), "credHelpers"),
        ] {
            let error = entry(&text, "registry.example.com").unwrap_err();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("hunter2") && !error.contains(&token), "{error}");
        }
    }

    #[test]
    fn no_secret_is_shown_by_debug() {
        let login = decode(&STANDARD.encode("signet:hunter2")).unwrap();
        assert!(!format!("{login:?} {:?}", login.header()).contains("hunter2"));
        assert!(!format!("{:?}", login.header()).contains(&STANDARD.encode("signet:hunter2")));
    }
}
