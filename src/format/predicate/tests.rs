use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The least that each type needs, by its short name.
fn least() -> [(&'static str, Value); 8] {
    [
        ("slsaprovenance", json!({"builder": {"id": "b"}, "buildType": "t"})),
        (
            "slsaprovenance1",
            json!({
                "buildDefinition": {"buildType": "t", "externalParameters": {}},
                "runDetails": {"builder": {"id": "b"}},
            }),
        ),
        ("spdxjson", json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT"})),
        ("cyclonedx", json!({"bomFormat": "CycloneDX", "specVersion": "1.6"})),
        (
            "link",
            json!({
                "_type": "link", "name": "n", "materials": {}, "products": {"a": {"sha256": "00"}},
                "byproducts": {}, "command": ["make"], "environment": {},
            }),
        ),
        ("vuln", json!({"scanner": {"uri": "u", "result": []}, "metadata": {}})),
        (
            "openvex",
            json!({
                "@context": "https://openvex.dev/ns/v0.2.0", "@id": "i", "author": "a", "version": 1,
                "timestamp": "2026-01-02T03:04:05Z", "statements": [],
            }),
        ),
        ("custom", json!({})),
    ]
}

fn check(name: &str, predicate: &str) -> Result<(), PredicateError> {
    name.parse::<PredicateType>().unwrap().check(predicate.as_bytes())
}

/// What the caller is told of a predicate of this type.
fn told(name: &str, predicate: &str) -> String {
    check(name, predicate).unwrap_err().to_string()
}

#[test]
fn the_short_names_are_cosigns_and_everything_else_is_a_uri() {
    for (name, uri) in [
        ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
        ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
        ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
        ("spdx", "https://spdx.dev/Document"),
        ("spdxjson", "https://spdx.dev/Document"),
        ("cyclonedx", "https://cyclonedx.org/bom"),
        ("link", "https://in-toto.io/Link/v1"),
        ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
        ("openvex", "https://openvex.dev/ns"),
        ("custom", "https://cosign.sigstore.dev/attestation/v1"),
        ("https://example.com/Type?a=%20#b", "https://example.com/Type?a=%20#b"),
        ("urn:example:type", "urn:example:type"),
    ] {
        assert_eq!(name.parse::<PredicateType>().unwrap().as_str(), uri);
    }
    let long = format!("https://example.com/{}", "a".repeat(1024));
    for text in
        ["", "SPDX", "spdx-json", "example.com/x", "https://", "urn:a b", "urn:é", "urn:%zz", "urn:%1", &long]
    {
        assert_eq!(text.parse::<PredicateType>(), Err(PredicateTypeError::NotAUri), "{text}");
    }
    assert_eq!(SIGNATURE_PREDICATE.parse::<PredicateType>(), Err(PredicateTypeError::Signature));
}

#[test]
fn what_each_type_needs_is_enough_and_nothing_of_it_can_be_left_out() {
    for (name, least) in least() {
        assert_eq!(check(name, &least.to_string()), Ok(()), "{name}");
        for field in least.as_object().unwrap().keys() {
            let mut without = least.clone();
            without.as_object_mut().unwrap().remove(field);
            let error = check(name, &without.to_string()).unwrap_err();
            assert_eq!(error.path, "predicate", "{name} without {field}");
            // SPDX has two ways to be one.
            let or = if name == "spdxjson" { ", or `@context` and `@graph`" } else { "" };
            assert_eq!(error.fault, Fault::Missing(format!("`{field}`{or}")), "{name}");
        }
    }
    assert_eq!(check("spdx", r#"{"@context": "https://spdx.org/rdf/3.0.1/c", "@graph": []}"#), Ok(()));
}

#[test]
fn the_shape_of_a_type_counts_however_the_type_is_called() {
    for name in ["slsaprovenance", "slsaprovenance02", "https://slsa.dev/provenance/v0.2"] {
        assert!(check(name, "{}").is_err(), "{name}");
    }
    assert_eq!(check("https://example.com/any", "{}"), Ok(()));
}

#[test]
fn a_predicate_is_an_object() {
    for text in ["null", "[]", "1", "-1", "1.5", "true", "\"SPDXVersion: SPDX-2.3\""] {
        for name in ["custom", "spdx", "https://example.com/any"] {
            let error = check(name, text).unwrap_err();
            assert_eq!(
                (error.path.as_str(), &error.fault),
                ("predicate", &Fault::Shape("a JSON object".into()))
            );
        }
    }
}

#[test]
fn an_error_says_where_it_is_and_what_to_do() {
    assert_eq!(
        told(
            "slsaprovenance",
            r#"{"builder":{"id":"b"},"buildType":"t","materials":[{},{"digest":{"sha256":5}}]}"#
        ),
        "`predicate.materials[1].digest.sha256` must be a text; verifiers of this type could not read it otherwise"
    );
    assert_eq!(
        told("slsaprovenance", r#"{"builder":{},"buildType":"t"}"#),
        "`predicate.builder` lacks `id`, without which it is not of this type"
    );
    assert_eq!(
        told("custom", r#"{"a":[{"b":1,"c":2,"b":3}]}"#),
        "`predicate.a[0].b` stands there twice, and verifiers would read either; leave one out"
    );
    assert_eq!(told("custom", r#"{"a":1e999}"#), "`predicate.a` can not be read: number out of range");
    assert_eq!(
        told("custom", r#"{"a":["\ud800"]}"#),
        "`predicate.a[0]` can not be read: unexpected end of hex escape"
    );
    assert_eq!(
        told("custom", "{\"a\\n\u{202e}\":[1e999]}"),
        "`predicate.a\\n\\u{202e}[0]` can not be read: number out of range"
    );
}

#[test]
fn what_go_would_not_read_is_refused() {
    let slsa = |more: &str| format!(r#"{{"builder":{{"id":"b"}},"buildType":"t",{more}}}"#);
    for more in [
        r#""metadata":{"buildStartedOn":"yesterday"}"#,
        r#""metadata":{"reproducible":"true"}"#,
        r#""metadata":[]"#,
        r#""Metadata":[]"#,
        r#""material\u017f":{}"#,
        r#""invocation":{"configSource":{"digest":["sha256"]}}"#,
        r#""materials":{}"#,
    ] {
        assert!(check("slsaprovenance", &slsa(more)).is_err(), "{more}");
    }
    for more in [
        r#""metadata":null"#,
        r#""materials":[null]"#,
        r#""invocation":{"parameters":5,"environment":[]}"#,
        r#""buildConfig":[[1]],"unknown":{"materials":5}"#,
        r#""metadata":{"buildStartedOn":"2026-01-02T03:04:05.678+01:00"}"#,
    ] {
        assert_eq!(check("slsaprovenance", &slsa(more)), Ok(()), "{more}");
    }
    assert!(check("slsaprovenance", r#"{"builder":null,"buildType":"t"}"#).is_err());
    let mut link = least()[4].1.clone();
    link["products"] = json!(["a"]);
    assert_eq!(check("link", &link.to_string()).unwrap_err().path, "predicate.products");
}

#[test]
fn times_are_those_that_go_reads() {
    let vuln =
        |time: &str| json!({"scanner": {"uri": "u", "result": {}}, "metadata": {"scanStartedOn": time}});
    for time in ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.1Z", "2026-12-31T23:59:59-12:00"] {
        assert_eq!(check("vuln", &vuln(time).to_string()), Ok(()), "{time}");
    }
    for time in [
        "",
        "2026-01-02",
        "2026-01-02T03:04Z",
        "2026-01-02t03:04:05Z",
        "2026-01-02T03:04:05z",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04:60Z",
        "2026-02-30T03:04:05Z",
        "2026-01-02T03:04:05+01",
        "2026-01-02T03:04:05Z[UTC]",
        "+002026-01-02T03:04:05Z",
        "2026-01-02T03:04:05,5Z",
        "2026-01-02T03:04:0é",
    ] {
        assert!(check("vuln", &vuln(time).to_string()).is_err(), "{time}");
    }
}

#[test]
fn a_nest_is_refused_from_a_depth_on_and_however_deep() {
    let nest = |levels: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert_eq!(check("custom", &nest(MAX_DEPTH - 1)), Ok(()));
    for levels in [MAX_DEPTH, 10_000, 1_000_000] {
        let error = check("custom", &nest(levels)).unwrap_err();
        assert_eq!(error.fault, Fault::TooDeep);
        assert_eq!(error.path, format!("predicate.a{}…{}", "[0]".repeat(7), "[0]".repeat(8)));
    }
    let objects = r#"{"a":"#.repeat(10_000) + "1" + &"}".repeat(10_000);
    assert_eq!(check("https://example.com/any", &objects).unwrap_err().fault, Fault::TooDeep);
}

proptest! {
    /// Anything that is JSON gets an answer, and an object of no known type the right one.
    #[test]
    fn every_object_of_an_unknown_type_is_well(names in prop::collection::hash_set(".{0,12}", 0..6), number: f64) {
        let object: serde_json::Map<_, _> = names.into_iter().map(|name| (name, json!([number, {"b": null}]))).collect();
        let text = Value::Object(object).to_string();
        prop_assert_eq!(check("https://example.com/any", &text), Ok(()));
        for (name, _) in least() {
            let _ = check(name, &text);
        }
    }

    /// A shape refuses, it never panics, whatever stands at a place that has one.
    #[test]
    fn a_changed_byte_is_refused_or_read(at: prop::sample::Index, byte: u8) {
        for (name, least) in least() {
            let mut bytes = least.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let checked = name.parse::<PredicateType>().unwrap().check(&bytes);
            if serde_json::from_slice::<Value>(&bytes).is_err() {
                prop_assert!(checked.is_err());
            }
        }
    }
}
