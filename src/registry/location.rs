//! Where a registry sends its client next: upload sessions, storage, further pages.

use url::Url;

/// `location` as seen from `base`, where it may be relative.
///
/// # Errors
/// Where it is no URL of a web server, carries a password, or leaves TLS.
pub(super) fn resolve(base: &Url, location: &str) -> Result<Url, &'static str> {
    let url = base.join(location).map_err(|_| "it is no URL")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("it is no URL of a web server");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it carries a user name");
    }
    if base.scheme() == "https" && url.scheme() == "http" {
        return Err("it leaves TLS");
    }
    Ok(url)
}

/// Whether credentials meant for `home` may go to `url`: the same scheme, host and port.
pub(super) fn is_home(home: &Url, url: &Url) -> bool {
    home.origin() == url.origin()
}

/// The target of the link `rel="next"` in a `Link` header.
/// <https://www.rfc-editor.org/rfc/rfc8288#section-3>
pub(super) fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (target, after) = rest.split_once('<')?.1.split_once('>')?;
        // A target may hold commas, so the next link is looked for behind this one's parameters.
        let (parameters, following) = match after.split_once(",") {
            Some((parameters, following)) => (parameters, Some(following)),
            None => (after, None),
        };
        let is_next =
            parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value
                        .trim()
                        .trim_matches('"')
                        .split_ascii_whitespace()
                        .any(|relation| relation.eq_ignore_ascii_case("next"))
            });
        if is_next {
            return Some(target);
        }
        rest = following?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_absolute_or_relative_to_the_call() {
        let base = Url::parse("https://registry.example.com/v2/team/app/blobs/uploads/").unwrap();
        for (location, url) in [
            ("/v2/x?state=a%2Fb", Ok("https://registry.example.com/v2/x?state=a%2Fb")),
            ("session-1", Ok("https://registry.example.com/v2/team/app/blobs/uploads/session-1")),
            ("https://storage.example.com/x", Ok("https://storage.example.com/x")),
            ("//storage.example.com/x", Ok("https://storage.example.com/x")),
            ("http://registry.example.com/x", Err("it leaves TLS")),
            ("https://user:word@storage.example.com/", Err("it carries a user name")),
            ("file:///etc/passwd", Err("it is no URL of a web server")),
            ("https://", Err("it is no URL")),
        ] {
            assert_eq!(resolve(&base, location).as_ref().map(Url::as_str), url.as_deref(), "{location}");
        }
    }

    #[test]
    fn credentials_stay_on_scheme_host_and_port() {
        let home = Url::parse("https://registry.example.com/v2/").unwrap();
        for (url, expected) in [
            ("https://registry.example.com:443/other", true),
            ("https://registry.example.com:5000/", false),
            ("http://registry.example.com/", false),
            ("https://registry.example.com.evil.example/", false),
        ] {
            assert_eq!(is_home(&home, &Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn the_next_page_is_found_among_links() {
        for (header, next) in [
            (r#"</v2/a?last=b&n=2>; rel="next""#, Some("/v2/a?last=b&n=2")),
            ("</a,b>; title=x; rel=next", Some("/a,b")),
            (r#"</a>; rel="prev", </b>; rel="last next""#, Some("/b")),
            (r#"</a>; rel="prev""#, None),
            ("</a>", None),
            ("", None),
        ] {
            assert_eq!(next_link(header), next, "{header}");
        }
    }
}
