//! Every way in which a token can be wrong: the caller learns nothing, the log says why, and nothing is fetched.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::{ask, believing, is_recognised, settled};
use crate::support::issuer::{AUDIENCE, Issuer, SigningKey, now};
use crate::support::{Answer, World};

/// What is wrong, a token that is wrong in this way and in no other, and what the log says of it.
type Case = (&'static str, String, &'static str);

#[tokio::test]
async fn every_wrong_token_is_401_with_the_same_body_and_the_reason_is_in_the_log_alone() {
    let setting = Setting::start().await;
    for (what, token) in setting.right_tokens() {
        assert!(is_recognised(&setting.world, &token).await, "{what}");
    }
    let fetched = (setting.issuer.requests(), setting.elliptic.requests());
    let reference = setting.body(&setting.get(&["Bearer wrong".to_owned()]).await);

    let mut cases = setting.headers();
    cases.extend(setting.claims());
    cases.extend(setting.signatures());
    cases.extend(setting.times());
    for (what, token, reason) in &cases {
        let known = setting.world.signet.log_lines().len();
        let answer = ask(&setting.world, token).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "unauthenticated"), "{what}: {answer:?}");
        assert_eq!(setting.body(&answer), reference, "{what}");
        assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer realm=\"signet\"", "{what}");
        let is_said = || {
            let lines = setting.world.signet.log_lines();
            lines[known..].iter().any(|line| line.contains("not authenticated") && line.contains(reason))
        };
        setting
            .world
            .eventually(&format!("{what}: the log says {reason:?}"), async || {
                // Of many refusals in one second, the log leaves some out.
                if !is_said() {
                    ask(&setting.world, token).await;
                }
                is_said().then_some(())
            })
            .await;
    }
    // One unknown key is looked for, once.
    let looked = |before: &[String], after: Vec<String>| after.len() - before.len();
    assert_eq!(looked(&fetched.0, setting.issuer.requests()), 2, "discovery and keys, once");
    assert_eq!(looked(&fetched.1, setting.elliptic.requests()), 2, "for EdDSA by the other key");
    assert_eq!(setting.trap.requests(), Vec::<String>::new(), "something was fetched that nobody configured");
    let tokens: Vec<_> = cases.iter().map(|(_, token, _)| token.as_str()).collect();
    setting.assert_no_part_was_logged(&tokens);
    assert!(
        setting.world.metric("signet_authentications_total{kind=\"workload\",outcome=\"refused\"}").await
            >= 30.0
    );
}

#[tokio::test]
async fn what_can_not_be_one_token_is_401_with_the_same_body() {
    let setting = Setting::start().await;
    let right = setting.rsa.sign(&setting.issuer.claims());
    assert!(is_recognised(&setting.world, &right).await);
    let reference = setting.body(&setting.get(&["Bearer wrong".to_owned()]).await);
    let cases: [(&str, Vec<String>); 6] = [
        ("the same token in two headers", vec![format!("Bearer {right}"), format!("Bearer {right}")]),
        ("a right token behind a wrong one", vec!["Bearer wrong".to_owned(), format!("Bearer {right}")]),
        ("two tokens in one header", vec![format!("Bearer {right}, Bearer {right}")]),
        ("a token without its scheme", vec![right.clone()]),
        ("a token as a password", vec![format!("Basic {right}")]),
        ("a token with something behind it", vec![format!("Bearer {right} x")]),
    ];
    for (what, authorizations) in cases {
        let answer = setting.get(&authorizations).await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        assert_eq!(setting.body(&answer), reference, "{what}");
    }
    setting.assert_no_part_was_logged(&[&right]);
}

/// A Signet that believes two issuers, and a third whom it does not know.
struct Setting {
    world: World,
    issuer: Issuer,
    rsa: SigningKey,
    elliptic: Issuer,
    ec: SigningKey,
    ed: SigningKey,
    trap: Issuer,
    /// In the first issuer's key set, where it has no place.
    password: Vec<u8>,
}

impl Setting {
    async fn start() -> Self {
        let (issuer, elliptic, trap) = (Issuer::start().await, Issuer::start().await, Issuer::start().await);
        let (rsa, ec, ed) = (SigningKey::rsa("rsa-1"), SigningKey::ec("ec-1"), SigningKey::ed("ed-1"));
        let password = b"a password that is in the key set".to_vec();
        let symmetric =
            json!({"kty": "oct", "kid": "password", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(&password)});
        issuer.publish([rsa.jwk(), symmetric]);
        elliptic.publish([ec.jwk(), ed.jwk()]);
        trap.publish([rsa.jwk()]);
        let world = believing(&[
            (&issuer, "corp", "max_token_age = '10m'"),
            (&elliptic, "elliptic", "algorithms = ['ES256', 'EdDSA']\naudience = ['one', 'two']"),
        ])
        .await;
        settled(&world, "corp").await;
        settled(&world, "elliptic").await;
        Self { world, issuer, rsa, elliptic, ec, ed, trap, password }
    }

    /// The first issuer's claims with one changed; `null` takes it away.
    fn with(&self, claim: &str, value: Value) -> String {
        self.rsa.sign(&changed(self.issuer.claims(), claim, value))
    }

    /// As the first issuer signs, with one member of the header changed.
    fn with_header(&self, member: &str, value: Value) -> String {
        self.rsa.sign_with(&changed(self.rsa.header(), member, value), &self.issuer.claims().to_string())
    }

    fn elliptic_claims(&self) -> Value {
        changed(self.elliptic.claims(), "aud", json!("two"))
    }

    fn right_tokens(&self) -> Vec<(&'static str, String)> {
        vec![
            ("RS256", self.rsa.sign(&self.issuer.claims())),
            ("ES256", self.ec.sign(&self.elliptic_claims())),
            ("EdDSA", self.ed.sign(&self.elliptic_claims())),
            ("an audience among others", self.with("aud", json!(["other", AUDIENCE]))),
            ("no `nbf`", self.with("nbf", Value::Null)),
            ("no `kid`, and one key that fits", self.with_header("kid", Value::Null)),
            ("no `typ`", self.with_header("typ", Value::Null)),
            ("`typ` of JWT-SVIDs", self.with_header("typ", json!("JOSE"))),
            ("a thumbprint beside `kid`", self.with_header("x5t", json!("abc"))),
            ("times with fractions", self.with("iat", json!(now() as f64 - 0.5))),
            ("a clock that is a little ahead", self.with("iat", json!(now() + 30))),
            ("expired within the skew", self.with("exp", json!(now() - 30))),
        ]
    }

    fn headers(&self) -> Vec<Case> {
        let trap = format!("{}/keys", self.trap.url);
        let none = self.with_header("alg", json!("none"));
        let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
        let mut with_key = self.rsa.header();
        with_key["jwk"] = self.rsa.jwk();
        vec![
            ("`alg` none with a signature", none, "none that tokens may have"),
            ("`alg` none without one", unsigned, "no JSON Web Signature"),
            ("`alg` nOnE", self.with_header("alg", json!("nOnE")), "none that tokens may have"),
            (
                "HS256 with the public key in DER",
                self.hmac("rsa-1", &self.rsa.public_der()),
                "none that tokens may have",
            ),
            (
                "HS256 with the public key in PEM",
                self.hmac("rsa-1", &self.public_pem()),
                "none that tokens may have",
            ),
            (
                "HS256 with a key of the set",
                self.hmac("password", &self.password),
                "none that tokens may have",
            ),
            ("a symmetric key named for RS256", self.with_header("kid", json!("password")), "no fitting key"),
            (
                "another algorithm than configured",
                self.with_header("alg", json!("RS512")),
                "not among the issuer's",
            ),
            (
                "another algorithm than the key's",
                self.with_header("alg", json!("ES256")),
                "not among the issuer's",
            ),
            ("an unknown `kid`", self.with_header("kid", json!("rsa-2")), "no fitting key"),
            ("a `kid` of 4 kB", self.with_header("kid", json!("k".repeat(4096))), "kid is longer than"),
            (
                "a `kid` that is a path",
                self.with_header("kid", json!("../../../../etc/passwd")),
                "no fitting key",
            ),
            ("a `kid` that is a URL", self.with_header("kid", json!(trap)), "no fitting key"),
            ("a `kid` of SQL", self.with_header("kid", json!("' OR 1=1 --")), "no fitting key"),
            ("a `kid` of another case", self.with_header("kid", json!("RSA-1")), "no fitting key"),
            ("an empty `kid`", self.with_header("kid", json!("")), "kid is no text"),
            ("`jku`", self.with_header("jku", json!(trap)), "`jku`"),
            ("`x5u`", self.with_header("x5u", json!(trap)), "`x5u`"),
            ("`x5c`", self.with_header("x5c", json!(["MIIB"])), "`x5c`"),
            ("an embedded `jwk`", self.rsa.sign_with(&with_key, &self.issuer.claims().to_string()), "`jwk`"),
            ("`crit`", self.with_header("crit", json!(["exp"])), "`crit`"),
            ("a token that logs out", self.with_header("typ", json!("logout+jwt")), "another kind of token"),
        ]
    }

    fn claims(&self) -> Vec<Case> {
        let url = &self.issuer.url;
        let text = self.issuer.claims().to_string();
        let twice = |more: &str| {
            self.rsa.sign_with(&self.rsa.header(), &text.replacen('{', &format!("{{{more},"), 1))
        };
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        vec![
            (
                "`iss` with a trailing slash",
                self.with("iss", json!(format!("{url}/"))),
                "none of the configuration",
            ),
            ("`iss` in upper case", self.with("iss", json!(url.to_uppercase())), "none of the configuration"),
            (
                "`iss` with something behind it",
                self.with("iss", json!(format!("{url}.evil.example"))),
                "none of the configuration",
            ),
            ("`iss` of a stranger", self.with("iss", json!(self.trap.url)), "none of the configuration"),
            ("`iss` missing", self.with("iss", Value::Null), "`iss` is missing"),
            ("`iss` as a list", self.with("iss", json!([url])), "`iss` is no text"),
            (
                "`iss` of the other issuer",
                self.with("iss", json!(self.elliptic.url)),
                "not among the issuer's",
            ),
            ("`aud` missing", self.with("aud", Value::Null), "`aud` is missing"),
            ("another `aud`", self.with("aud", json!("https://other.example.com")), "not our audience"),
            (
                "`aud` with a trailing slash",
                self.with("aud", json!(format!("{AUDIENCE}/"))),
                "not our audience",
            ),
            ("`aud` as a list without ours", self.with("aud", json!(["a", "b"])), "not our audience"),
            ("an empty list as `aud`", self.with("aud", json!([])), "not our audience"),
            ("`aud` with a number in its list", self.with("aud", json!([AUDIENCE, 7])), "`aud` is neither"),
            ("`aud` as a map", self.with("aud", json!({AUDIENCE: true})), "`aud` is neither"),
            (
                "the common audience where the issuer has its own",
                self.ec.sign(&self.elliptic.claims()),
                "not our audience",
            ),
            ("`sub` missing", self.with("sub", Value::Null), "`sub` is missing"),
            ("`sub` as a list", self.with("sub", json!(["a"])), "`sub` names the principal"),
            ("an empty `sub`", self.with("sub", json!("")), "`sub` names the principal"),
            ("`sub` with a line break", self.with("sub", json!("a\nb")), "`sub` names the principal"),
            ("a long `sub`", self.with("sub", json!("s".repeat(513))), "`sub` names the principal"),
            ("a claim twice", twice(r#""sub":"somebody else""#), "here twice"),
            ("a nested claim twice", twice(r#""more":{"a":1,"a":2}"#), "here twice"),
            ("a claim twice, once escaped", twice(r#""\u0073ub":"somebody else""#), "here twice"),
            ("a token of 64 kB", self.with("more", json!("x".repeat(48 * 1024))), "more than 16384 bytes"),
            ("claims that are too deep", twice(&format!("\"more\":{deep}")), "claims can not be read"),
            ("claims that are no map", self.rsa.sign_with(&self.rsa.header(), "[]"), "no JSON object"),
            ("claims that are no JSON", self.rsa.sign_with(&self.rsa.header(), "{\"iss\":"), "no JSON"),
        ]
    }

    fn times(&self) -> Vec<Case> {
        let now = now();
        vec![
            ("expired", self.with("exp", json!(now - 61)), "it has expired"),
            ("expired long ago", self.with("exp", json!(0)), "it has expired"),
            ("`exp` missing", self.with("exp", Value::Null), "`exp` is missing"),
            ("`exp` as text", self.with("exp", json!((now + 300).to_string())), "`exp` is no time"),
            ("`exp` far beyond time", self.with("exp", json!(1e300)), "`exp` is no time"),
            ("`exp` before 1970", self.with("exp", json!(-1)), "`exp` is no time"),
            ("`exp` at the end of integers", self.with("exp", json!(u64::MAX)), "`exp` is no time"),
            ("not valid yet", self.with("nbf", json!(now + 120)), "not valid yet"),
            ("`nbf` as text", self.with("nbf", json!("now")), "`nbf` is no time"),
            ("issued in the future", self.with("iat", json!(now + 120)), "issued in the future"),
            ("`iat` missing", self.with("iat", Value::Null), "`iat` is missing"),
            ("`iat` as a flag", self.with("iat", json!(true)), "`iat` is no time"),
            ("too old, and not expired", self.with("iat", json!(now - 661)), "max_token_age"),
        ]
    }

    fn signatures(&self) -> Vec<Case> {
        let right = self.rsa.sign(&self.issuer.claims());
        let (signed, signature) = right.rsplit_once('.').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let with_signature = |bytes: &[u8]| format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes));
        let mut flipped = bytes.clone();
        flipped[100] ^= 1;
        let other = changed(self.issuer.claims(), "sub", json!("somebody else"));
        let claims_swapped = format!(
            "{}.{}.{signature}",
            signed.split('.').next().unwrap(),
            URL_SAFE_NO_PAD.encode(other.to_string())
        );
        let elliptic = self.ec.sign(&self.elliptic_claims());
        let (elliptic_signed, _) = elliptic.rsplit_once('.').unwrap();
        let zero = |bytes: usize| format!("{elliptic_signed}.{}", URL_SAFE_NO_PAD.encode(vec![0; bytes]));
        let mut as_ed = self.ec.header();
        as_ed["alg"] = json!("EdDSA");
        let is_wrong = "not by the issuer's key";
        vec![
            ("one flipped bit", with_signature(&flipped), is_wrong),
            ("other claims under a right signature", claims_swapped, is_wrong),
            ("a signature that was cut", with_signature(&bytes[..255]), is_wrong),
            ("a signature with a byte more", with_signature(&[&bytes[..], &[0]].concat()), is_wrong),
            ("no signature", format!("{signed}."), "no JSON Web Signature"),
            ("the signature of another key", SigningKey::rsa("rsa-1").sign(&self.issuer.claims()), is_wrong),
            ("an ECDSA signature (0, 0)", zero(64), is_wrong),
            ("an ECDSA signature of zeros in DER's place", zero(8), is_wrong),
            (
                "an EC key for EdDSA",
                self.ec.sign_with(&as_ed, &self.elliptic_claims().to_string()),
                "no fitting key",
            ),
            ("padding behind the signature", format!("{right}="), "signature can not be read"),
            ("a token with a fourth part", format!("{right}.x"), "the token is unknown"),
        ]
    }

    fn hmac(&self, kid: &str, key: &[u8]) -> String {
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid});
        let part = |text: String| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(header.to_string()), part(self.issuer.claims().to_string()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn public_pem(&self) -> Vec<u8> {
        let der = self.rsa.public_der();
        pem_rfc7468::encode_string("RSA PUBLIC KEY", pem_rfc7468::LineEnding::LF, &der).unwrap().into_bytes()
    }

    async fn get(&self, authorizations: &[String]) -> Answer {
        let mut request = self.world.client.get(format!("{}/v1/log/entries", self.world.signet.api));
        for authorization in authorizations {
            request = request.header(AUTHORIZATION, authorization);
        }
        Answer::read(request.send().await.unwrap()).await
    }

    /// What the caller reads, but for the request's id.
    fn body(&self, answer: &Answer) -> String {
        let mut body = answer.body.clone();
        body["request_id"] = json!("the request's id");
        body.to_string()
    }

    fn assert_no_part_was_logged(&self, tokens: &[&str]) {
        let log = self.world.signet.log_lines().join("\n");
        let parts = tokens.iter().flat_map(|token| token.split('.')).filter(|part| part.len() >= 16);
        for part in parts {
            assert!(!log.contains(part), "the log has {part}");
            assert!(
                !log.contains(&part[..16]) || part.starts_with("eyJhbGciOiJ"),
                "the log has {}",
                &part[..16]
            );
        }
        assert!(!log.contains("eyJ"), "the log has the beginning of a token");
    }
}

fn changed(mut object: Value, member: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(object.as_object_mut().unwrap().remove(member)),
        value => object[member] = value,
    }
    object
}
