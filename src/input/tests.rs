use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use proptest::prelude::*;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use super::format::MAX_YAML_DEPTH;
use super::{
    InputError, Node, Problem, Segment, from_json, from_json_around, from_node, from_yaml, yaml_place,
};

/// One of everything that requests, policies and configurations are made of.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    keys: Vec<Key>,
    count: u16,
    small: i8,
    ratio: f64,
    on: bool,
    format: Option<Format>,
    annotations: BTreeMap<String, String>,
    named: BTreeMap<Name, u8>,
    pair: Option<(u8, u8)>,
    address: Option<SocketAddr>,
    url: Option<Url>,
    time: Option<jiff::Timestamp>,
    password: Option<SecretString>,
    token_name: Option<Name>,
    identity: Option<Identity>,
    raw: Option<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    name: Name,
    #[serde(default)]
    hash: Option<String>,
    #[serde(default)]
    key_version: Option<NonZeroU32>,
}

/// A string that is checked when it is read, as the types of the domain are.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

const NOT_A_NAME: &str = "a name has letters, digits and dashes alone";

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        fits.then_some(Self(text)).ok_or(NOT_A_NAME)
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Cosign,
    Bundle,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Identity {
    Anybody,
    Token(String),
    Issuer { name: String },
}

fn refused(json: &str) -> InputError {
    from_json::<Document>(json.as_bytes()).expect_err(json)
}

#[test]
fn each_mistake_is_told_with_its_path_and_what_would_be_right() {
    let nothing_near = "unknown key; known keys: keys, count, small, ratio, on, format, annotations, named, pair, \
                        address, url, time, password, token_name, identity, raw";
    for (json, sentence) in [
        (
            r#"{"keys": [{"name": "a", "hsah": 1}]}"#,
            r#"keys[0].hsah: unknown key; did you mean "hash"? known keys: name, hash, key_version"#,
        ),
        (
            r#"{"keys": [{"name": "a", "Key_Version": 1}]}"#,
            r#"keys[0].Key_Version: unknown key; did you mean "key_version"? known keys: name, hash, key_version"#,
        ),
        (r#"{"something": 1}"#, &format!("something: {nothing_near}")),
        (r#"{"keys": [{"name": "a"}, {"hash": "b"}]}"#, "keys[1].name: missing"),
        (
            r#"{"keys": [{"name": "a", "key_version": "3"}]}"#,
            r#"keys[0].key_version: must be an integer from 1 to 4294967295, got the string "3""#,
        ),
        (
            r#"{"keys": [{"name": "a", "key_version": 0}]}"#,
            "keys[0].key_version: must be an integer from 1 to 4294967295, got the number 0",
        ),
        (r#"{"keys": [{"name": "a b"}]}"#, &format!("keys[0].name: {NOT_A_NAME}")),
        (r#"{"keys": {}}"#, "keys: must be a list, got a map"),
        (
            r#"{"keys": ["a"]}"#,
            r#"keys[0]: must be a map with the keys name, hash, key_version, got the string "a""#,
        ),
        (r#"{"count": 65536}"#, "count: must be an integer from 0 to 65535, got the number 65536"),
        (r#"{"count": -1}"#, "count: must be an integer from 0 to 65535, got the number -1"),
        (r#"{"count": 1.5}"#, "count: must be an integer from 0 to 65535, got the number 1.5"),
        (r#"{"count": null}"#, "count: must be an integer from 0 to 65535, got null"),
        (r#"{"small": 200}"#, "small: must be an integer from -128 to 127, got the number 200"),
        (r#"{"ratio": "1"}"#, r#"ratio: must be a number, got the string "1""#),
        (r#"{"on": "true"}"#, r#"on: must be true or false, got the string "true""#),
        (r#"{"on": 1}"#, "on: must be true or false, got the number 1"),
        (
            r#"{"format": "cosing"}"#,
            r#"format: must be "cosign" or "bundle", got "cosing"; did you mean "cosign"?"#,
        ),
        (r#"{"format": "x"}"#, r#"format: must be "cosign" or "bundle", got "x""#),
        (r#"{"format": 1}"#, "format: must be one of cosign, bundle, got the number 1"),
        (r#"{"format": {"cosign": 1}}"#, "format.cosign: must be null, got the number 1"),
        (r#"{"annotations": {"k": 1}}"#, "annotations.k: must be a string, got the number 1"),
        (r#"{"annotations": []}"#, "annotations: must be a map, got a list"),
        (r#"{"named": {"a/b": 1}}"#, &format!("named.\"a/b\": {NOT_A_NAME}")),
        (r#"{"pair": [1]}"#, "pair: must be a list of 2, got a list"),
        (r#"{"pair": [1, 256]}"#, "pair[1]: must be an integer from 0 to 255, got the number 256"),
        (
            r#"{"address": "localhost"}"#,
            r#"address: must be socket address, got the string "localhost": invalid socket address syntax"#,
        ),
        (r#"{"url": 5}"#, "url: must be a string, got the number 5"),
        (r#"{"identity": {"token": 5}}"#, "identity.token: must be a string"),
        (r#"{"identity": {"issuer": {}}}"#, "identity.issuer.name: missing"),
        (
            r#"{"identity": {"issuers": {}}}"#,
            r#"identity: must be "anybody", "token" or "issuer", got "issuers"; did you mean "issuer"?"#,
        ),
        (
            r#"{"identity": {"token": "a", "issuer": {}}}"#,
            "identity: must be one of anybody, token, issuer, got a map",
        ),
        ("[]", "the whole must be a map with the keys"),
    ] {
        let error = refused(json).to_string();
        let same =
            if sentence.starts_with("the whole") { error.starts_with(sentence) } else { error == sentence };
        assert!(same, "{json}\n  says:   {error}\n  should: {sentence}");
    }
}

#[test]
fn an_error_is_a_value_that_programs_can_read() {
    let error = refused(r#"{"keys": [{"name": "a", "hsah": 1}]}"#);
    assert_eq!(error.path(), "keys[0].hsah");
    let segments = [Segment::Key("keys".into()), Segment::Index(0), Segment::Key("hsah".into())];
    assert!(error.segments().eq(&segments));
    assert_eq!(error.problem(), &Problem::Unknown { known: &["name", "hash", "key_version"] });
}

#[test]
fn json_that_is_none_is_told_with_line_and_column() {
    for (json, sentence) in [
        ("", "this is no JSON: EOF while parsing a value (line 1, column 0)"),
        ("{\n  \"on\": yes}", "this is no JSON: expected value (line 2, column 9)"),
        ("{} {}", "this is no JSON: trailing characters (line 1, column 4)"),
        ("{\"on\": true,}", "this is no JSON: trailing comma (line 1, column 13)"),
        ("{\"count\": 1e999}", "this is no JSON: number out of range (line 1, column 15)"),
    ] {
        assert_eq!(refused(json).to_string(), sentence, "{json}");
    }
    let error = from_json::<Document>(b"{\"format\": \"\xff\"}").unwrap_err().to_string();
    assert!(error.starts_with("this is no JSON: invalid unicode code point"), "{error}");
}

#[test]
fn yaml_that_is_none_is_told_with_line_and_column() {
    for (yaml, part) in [
        ("keys: [\n", "this is no YAML: "),
        ("on: true\n  count: 1\n", "(line 2, column "),
        ("annotations: {a: *missing}\n", "(line 1, column "),
        ("on: true\n---\non: false\n", "this is no YAML: "),
        ("format: !!python/object:os.system cosign\n", "(line 1, column "),
        ("on: \"\\xZZ\"\n", "this is no YAML: "),
    ] {
        let error = from_yaml::<Document>(yaml).unwrap_err().to_string();
        assert!(error.contains(part) && error.starts_with("this is no YAML"), "{yaml}: {error}");
    }
}

#[test]
fn a_key_that_occurs_twice_is_refused_wherever_it_is() {
    for json in [
        r#"{"annotations": {"a": "1", "b": "2", "a": "3"}}"#,
        r#"{"annotations": {"a": "1", "\u0061": "3"}}"#,
    ] {
        let error = refused(json);
        assert_eq!((error.path().as_str(), error.problem()), ("annotations.a", &Problem::Duplicate));
        assert!(error.to_string().contains("line 1"), "{error}");
    }
    let nested = refused(r#"{"raw": [0, {"x": {"y": 1, "y": 2}}]}"#);
    assert_eq!(nested.path(), "raw[1].x.y");
    let yaml = from_yaml::<Document>("on: true\nannotations:\n  a: b\n  a: c\n").unwrap_err().to_string();
    assert!(yaml.starts_with("annotations.a: this key is here twice (line "), "{yaml}");
}

#[test]
fn a_value_is_cut_and_its_control_characters_are_escaped() {
    let long = "é".repeat(5_000);
    let error = refused(&format!(r#"{{"on": "{long}"}}"#)).to_string();
    assert!(error.contains(&format!("\"{}…\"", "é".repeat(80))) && error.len() < 300, "{error}");
    let evil = refused("{\"annotations\": {\"a\\u001b[31m\\n\": 5}, \"x\": 1}").to_string();
    assert_eq!(evil, "annotations.\"a\\u{1b}[31m\\u{a}\": must be a string, got the number 5");
    let turned = refused("{\"on\": \"\\u202etxet\"}").to_string();
    assert!(turned.contains(r#""\u{202e}txet""#), "{turned}");
    let key = refused(&format!(r#"{{"{long}": 1}}"#)).to_string();
    assert!(key.len() < 500, "{key}");
}

#[test]
fn what_may_be_a_secret_is_never_shown() {
    for json in [
        r#"{"password": 4711}"#,
        r#"{"password": ["hunter2"]}"#,
        r#"{"token_name": "hunter2 4711"}"#,
        r#"{"annotations": {"my-Secret": 4711}}"#,
        r#"{"identity": {"token": 4711}}"#,
    ] {
        let error = refused(json);
        for text in [error.to_string(), error.message()] {
            assert!(!text.contains("hunter2") && !text.contains("4711"), "{text}");
        }
    }
    let document: Document = from_json(br#"{"password": "hunter2"}"#).unwrap();
    assert_eq!(document.password.unwrap().expose_secret(), "hunter2");
}

#[test]
fn what_is_right_is_read_in_every_format() {
    let json = r#"{"keys": [{"name": "release", "key_version": 3}], "count": 7, "small": -3, "ratio": 2, "on": true,
        "format": "bundle", "annotations": {"a": "b"}, "named": {"x": 1}, "pair": [1, 2], "address": "[::1]:80",
        "url": "https://a/b", "time": "2026-01-02T03:04:05Z", "identity": {"issuer": {"name": "i"}}}"#;
    let yaml = "
keys: [{name: release, key_version: 3}]
count: 7
small: -3
ratio: 2
on: true
format: bundle
annotations: &a {a: b}
named: {x: 1}
pair: [1, 2]
address: '[::1]:80'
url: https://a/b
time: 2026-01-02T03:04:05Z
identity: {issuer: {name: i}}
raw: *a
";
    let documents = [from_json::<Document>(json.as_bytes()).unwrap(), from_yaml(yaml).unwrap()];
    for document in documents {
        let key = &document.keys[0];
        assert_eq!((key.name.0.as_str(), &key.hash, key.key_version), ("release", &None, NonZeroU32::new(3)));
        assert_eq!((document.count, document.small, document.ratio, document.on), (7, -3, 2.0, true));
        assert_eq!((document.format, document.pair), (Some(Format::Bundle), Some((1, 2))));
        assert_eq!(document.identity, Some(Identity::Issuer { name: "i".to_owned() }));
        assert_eq!(document.time.unwrap().as_second(), 1_767_323_045);
    }
    let unit: Document = from_yaml("identity: anybody\nformat: ~\n").unwrap();
    assert_eq!((unit.identity, unit.format), (Some(Identity::Anybody), None));
}

#[test]
fn in_yaml_no_and_on_are_strings() {
    let document: Document = from_yaml("annotations: {country: no, on: off}\n").unwrap();
    assert_eq!(document.annotations["country"], "no");
    let error = from_yaml::<Document>("on: yes\n").unwrap_err().to_string();
    assert_eq!(error, r#"on: must be true or false, got the string "yes" (line 1, column 5)"#);
}

#[test]
fn what_is_wrong_in_yaml_is_told_with_its_line_and_column() {
    for (yaml, expected) in [
        ("keys:\n  - name: a\n  - name: b c\n", "(line 3, column 11)"),
        ("keys:\n  - {name: a, hsah: b}\n", "(line 2, column 21)"),
        ("count: 1\nkeys:\n  - hash: b\n", "(line 3, column 5)"),
        ("raw: &a [no name]\nkeys: *a\n", "(line 2, column 7)"),
    ] {
        let error = from_yaml::<Document>(yaml).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{yaml}: {error}");
    }
    let at = |path: &[Segment]| yaml_place("a:\n  b: [1, 2]\n", path);
    let key = |key: &str| Segment::Key(key.to_owned());
    assert_eq!(at(&[key("a"), key("b"), Segment::Index(1)]), Some((2, 10)));
    assert_eq!(at(&[key("a"), key("x")]), Some((2, 3)), "the last step that exists");
}

#[test]
fn text_is_what_is_expected_of_it() {
    let text = |text: &str| Node::Text(text.to_owned());
    let read = |key: &str, value: &str| from_node::<Document>(Node::Map(vec![(key.to_owned(), text(value))]));
    assert!(read("on", "true").unwrap().on);
    assert_eq!(read("count", "42").unwrap().count, 42);
    assert_eq!(read("password", "42").unwrap().password.unwrap().expose_secret(), "42");
    assert_eq!(read("format", "cosign").unwrap().format, Some(Format::Cosign));
    let error = read("count", "many").unwrap_err().to_string();
    assert_eq!(error, r#"count: must be an integer from 0 to 65535, got "many""#);
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| format!("{{\"raw\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(from_json::<Document>(nested(126).as_bytes()).is_ok());
    assert!(from_yaml::<Document>(&nested(MAX_YAML_DEPTH - 2)).is_ok());
    assert!(from_json::<Document>(nested(128).as_bytes()).is_err());
    assert!(from_yaml::<Document>(&nested(MAX_YAML_DEPTH)).is_err());
    let bottomless = nested(100_000);
    assert!(from_json::<Document>(bottomless.as_bytes()).is_err());
    assert!(from_yaml::<Document>(&bottomless).is_err());
    let block = (0..1_000).map(|level| format!("{}- a:\n", " ".repeat(level * 2))).collect::<String>();
    assert!(from_yaml::<Node>(&block).is_err());
}

#[test]
fn a_few_lines_of_aliases_can_not_stand_for_a_million_values() {
    let mut bomb = "raw:\n  - &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let alias = format!("*a{}", level - 1);
        bomb.push_str(&format!("  - &a{level} [{}]\n", vec![alias; 10].join(", ")));
    }
    let error = from_yaml::<Document>(&bomb).unwrap_err().to_string();
    assert!(error.starts_with("this is no YAML"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = from_json::<Document>(&bytes).map_err(|error| error.to_string());
        let _ = from_yaml::<Document>(&String::from_utf8_lossy(&bytes)).map_err(|error| error.to_string());
    }

    #[test]
    fn nothing_that_looks_like_a_document_makes_it_panic(
        text in "(\\{|\\}|\\[|\\]|,|:|\\n| |- |\"keys\"|keys: |\"count\"|&a |\\*a|1|-|null|\"x\"|!!str |'|\\| ){0,60}"
    ) {
        let _ = from_json::<Document>(text.as_bytes()).map_err(|error| error.to_string());
        let _ = from_yaml::<Document>(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn every_json_is_the_same_tree_after_all(value in arbitrary(4)) {
        let node: Node = from_json(value.to_string().as_bytes()).unwrap();
        prop_assert_eq!(from_node::<serde_json::Value>(node).unwrap(), value);
    }
}

/// Any JSON of at most so many levels.
fn arbitrary(levels: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        ".*".prop_map(Into::into),
    ];
    leaf.prop_recursive(levels, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::btree_map(".{0,8}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A request with something large in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Around {
    name: Name,
    #[serde(rename = "large")]
    _large: (),
}

fn around(text: &str) -> Result<(Around, Option<&str>), String> {
    let read = from_json_around::<Around>(text.as_bytes(), "large").map_err(|error| error.to_string())?;
    Ok((read.0, read.1.map(|raw| std::str::from_utf8(raw).unwrap())))
}

#[test]
fn what_stands_under_the_key_is_returned_as_it_was_written_however_deep_it_is() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for raw in ["{ \"large\":\n1.50, \"a\": 1, \"a\": 2 }", "\"\\ud800\"", "null", &deep] {
        for text in
            [format!(r#" {{"name": "n", "large" : {raw} }} "#), format!(r#"{{"large":{raw},"name":"n"}}"#)]
        {
            let (read, found) = around(&text).unwrap();
            assert_eq!(read.name, Name("n".to_owned()));
            assert_eq!(found, Some(raw));
        }
    }
}

#[test]
fn around_the_key_everything_is_as_strict_as_ever() {
    for (text, expected) in [
        (r#"{"name": "n"}"#, "large: missing"),
        (r#"{"large": {}}"#, "name: missing"),
        (r#"{"name": 7, "large": {}}"#, "name: must be a string"),
        (r#"{"name": "n", "large": 1, "large": 2}"#, "large: this key is here twice (line 1"),
        (r#"{"name": "n", "name": "n", "large": 2}"#, "name: this key is here twice"),
        (r#"{"name": "n", "lage": {}, "large": {}}"#, "lage: unknown key; did you mean \"large\"?"),
        (r#"{"name": {"large": {}}, "large": {}}"#, "name: must be a string"),
        (r#"{"name": "n", "large": {]}"#, "this is no JSON"),
        (r#"{"name": "n", "large": {}"#, "this is no JSON"),
        (r#"{"name": "n", "large": {}} {}"#, "this is no JSON"),
        (r#"["large"]"#, "a map"),
        ("", "this is no JSON"),
    ] {
        let error = around(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = from_json_around::<Around>(b"{\"large\": \"\xff\"}", "large").unwrap_err();
    assert!(error.to_string().contains("this is no JSON"), "{error}");
}
