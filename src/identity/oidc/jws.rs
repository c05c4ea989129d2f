//! JSON Web Signatures in compact form (RFC 7515), as far as tokens need them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::refusal::{Refusal, cut, quoted};
use crate::config::TokenAlgorithm;
use crate::domain::Claims;
use crate::input::{self, Node};

/// A token that was read, and that nobody has verified yet.
pub(super) struct Jws<'a> {
    pub(super) algorithm: TokenAlgorithm,
    /// Names the key, among the issuer's. Nothing else is ever done with it.
    pub(super) kid: Option<String>,
    pub(super) claims: Claims,
    /// What the signature is over.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Bytes of a token.
    pub(super) const MAX: usize = 16 * 1024;

    /// Bytes of a `kid`.
    pub(super) const MAX_KID: usize = 256;

    /// # Errors
    /// Where it is no JWS with a header that is understood in full and claims that have one meaning: no key occurs twice.
    pub(super) fn parse(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > Self::MAX {
            return Err(Refusal::TooLong { limit: Self::MAX });
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Form)?;
        if payload.contains('.') || [header, payload, signature].contains(&"") {
            return Err(Refusal::Form);
        }
        let header = object("header", header)?;
        for member in ["jku", "x5u", "jwk", "x5c"] {
            if header.contains_key(member) {
                return Err(Refusal::OwnKey(member));
            }
        }
        if header.contains_key("crit") {
            return Err(Refusal::Critical);
        }
        let algorithm = algorithm(text(&header, "alg")?)?;
        check_type(text(&header, "typ")?)?;
        let kid = text(&header, "kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.len() > Self::MAX_KID) {
            let problem = format!("longer than {} bytes", Self::MAX_KID);
            return Err(Refusal::Header { member: "kid", problem });
        }
        let signature = bytes("signature", signature)?;
        let claims = object("claims", payload)?;
        Ok(Self { algorithm, kid, claims, signed: signed.as_bytes(), signature })
    }
}

/// Strictly without padding, and without bits that mean nothing: a token has one spelling.
fn bytes(part: &'static str, text: &str) -> Result<Vec<u8>, Refusal> {
    let reason = || "it is no base64url without padding".to_owned();
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Part { part, reason: reason() })
}

fn object(part: &'static str, text: &str) -> Result<Claims, Refusal> {
    let node = input::from_json::<Node>(&bytes(part, text)?);
    let problem = |error: input::InputError| Refusal::Part { part, reason: cut(error.to_string()) };
    input::from_node::<Claims>(node.map_err(problem)?)
        .map_err(|_| Refusal::Part { part, reason: "it is no JSON object".to_owned() })
}

fn text<'h>(header: &'h Claims, member: &'static str) -> Result<Option<&'h str>, Refusal> {
    match header.get(member).map(|value| value.as_str().filter(|text| !text.is_empty())) {
        None => Ok(None),
        Some(Some(text)) => Ok(Some(text)),
        Some(None) => Err(Refusal::Header { member, problem: "no text".to_owned() }),
    }
}

fn algorithm(name: Option<&str>) -> Result<TokenAlgorithm, Refusal> {
    let name = name.ok_or_else(|| Refusal::Header { member: "alg", problem: "missing".to_owned() })?;
    let known = TokenAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
    known.ok_or_else(|| Refusal::UnknownAlgorithm(quoted(name)))
}

/// What is a token of another kind, as one that logs somebody out, must not be taken for one that proves who calls
/// (RFC 8725, 3.11).
fn check_type(name: Option<&str>) -> Result<(), Refusal> {
    let Some(name) = name else { return Ok(()) };
    let short = name.to_ascii_lowercase();
    let short = short.strip_prefix("application/").unwrap_or(&short);
    if ["jwt", "jose", "at+jwt"].contains(&short) {
        return Ok(());
    }
    Err(Refusal::Header {
        member: "typ",
        problem: format!("{}, which is another kind of token", quoted(name)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(header), part(claims), part("signature"))
    }

    fn refused(token: &str) -> String {
        Jws::parse(token).map(|_| ()).expect_err(token).to_string()
    }

    #[test]
    fn a_token_of_each_documented_header_is_read() {
        for header in [
            r#"{"alg":"RS256"}"#,
            r#"{"kid":"k","typ":"JWT","alg":"RS256"}"#,
            r#"{"typ":"JWT","alg":"RS256","x5t":"eBZ_cn3sXYAd0ch4THBKHIgOwOE","kid":"78167F727DEC"}"#,
            r#"{"typ":"JOSE","alg":"ES384"}"#,
            r#"{"typ":"at+jwt","alg":"EdDSA"}"#,
            r#"{"typ":"application/at+JWT","alg":"PS512"}"#,
        ] {
            let text = token(header, r#"{"iss":"i","n":{"deep":[1,2.5]}}"#);
            let jws = Jws::parse(&text).unwrap_or_else(|error| panic!("{header}: {error}"));
            assert_eq!(serde_json::Value::Object(jws.claims), json!({"iss": "i", "n": {"deep": [1, 2.5]}}));
            assert_eq!(jws.signature, b"signature");
        }
    }

    #[test]
    fn what_has_no_one_meaning_is_refused() {
        let right = r#"{"alg":"RS256"}"#;
        for (header, claims, reason) in [
            (r#"{"alg":"none"}"#, "{}", "none that tokens may have"),
            (r#"{"alg":"HS256"}"#, "{}", "none that tokens may have"),
            (r#"{"alg":"rs256"}"#, "{}", "none that tokens may have"),
            (r#"{"alg":7}"#, "{}", "alg is no text"),
            ("{}", "{}", "alg is missing"),
            (r#"{"alg":"RS256","alg":"none"}"#, "{}", "here twice"),
            (r#"{"alg":"RS256","kid":7}"#, "{}", "kid is no text"),
            (r#"{"alg":"RS256","kid":""}"#, "{}", "kid is no text"),
            (r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, "{}", "crit"),
            (r#"{"alg":"RS256","crit":[]}"#, "{}", "crit"),
            (r#"{"alg":"RS256","jku":"https://evil.example.com/"}"#, "{}", "jku"),
            (r#"{"alg":"RS256","x5u":"https://evil.example.com/"}"#, "{}", "x5u"),
            (r#"{"alg":"RS256","jwk":{}}"#, "{}", "jwk"),
            (r#"{"alg":"RS256","x5c":[]}"#, "{}", "x5c"),
            (r#"{"alg":"RS256","typ":"logout+jwt"}"#, "{}", "another kind of token"),
            (right, r#"{"a":1,"a":2}"#, "here twice"),
            (right, r#"{"a":{"b":1,"\u0062":2}}"#, "here twice"),
            (right, "[]", "no JSON object"),
            (right, "{} {}", "no JSON"),
            (right, "", "no JSON Web Signature"),
        ] {
            let said = refused(&token(header, claims));
            assert!(said.contains(reason), "{header} {claims}: {said}");
        }
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
        assert!(refused(&token(right, &deep)).contains("no JSON"));
        assert!(
            refused(&token(&format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(257)), "{}"))
                .contains("kid")
        );
    }

    #[test]
    fn a_token_has_one_spelling() {
        let right = token(r#"{"alg":"RS256"}"#, "{}");
        assert!(Jws::parse(&right).is_ok());
        let (signed, signature) = right.rsplit_once('.').unwrap();
        for wrong in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            signed.to_owned(),
            format!("{signed}."),
            format!("{right}."),
            format!(".{right}"),
            format!("{right}.x"),
            format!("{right}="),
            format!("{right}=="),
            format!("{right} "),
            format!("{signed}.{}", signature.replace('U', "+")) + "+",
            // The same bytes, with bits behind them that mean nothing.
            format!("{signed}.AB"),
            "é.é.é".to_owned(),
        ] {
            assert!(Jws::parse(&wrong).is_err(), "{wrong}");
        }
        let long = format!("{right}{}", "A".repeat(Jws::MAX));
        assert!(refused(&long).contains("16384"));
    }

    #[test]
    fn what_a_stranger_wrote_is_cut_and_escaped() {
        let header = format!(r#"{{"alg":"\u001b[31m\u202e{}"}}"#, "x".repeat(1_000));
        let said = refused(&token(&header, "{}"));
        let deep =
            (0..100).fold("1,\"a\":1".to_owned(), |inner, _| format!("{{\"{}\":{inner}}}", "k".repeat(90)));
        let deep = refused(&token(r#"{"alg":"RS256"}"#, &deep.replacen("1,\"a\":1", "{\"a\":1,\"a\":1}", 1)));
        assert!(deep.contains("kkk") && deep.len() < 300, "{deep}");
        assert!(said.len() < 200 && said.contains(r"\u{1b}[31m\u{202e}xxx"), "{said}");
    }
}
