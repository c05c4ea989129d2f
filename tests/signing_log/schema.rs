//! What entries look like is what `docs/log-entry.schema.json` says.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use serde_json::{Value, json};
use signet::domain::{
    Alike, Annotations, AttachResult, Claim, Digest, Entry, Event, IdSource as _, MatchedClaims, Operation,
    Outcome, Principal, RandomIds, Ruling, Signing, Subject,
};

use crate::fixtures::{Story, at};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../docs/log-entry.schema.json")).unwrap()
}

/// Entries of every kind, with and without what may be left out.
fn samples() -> Vec<Entry> {
    let story =
        Story { annotations: BTreeMap::from([("build".to_owned(), "4711".to_owned())]), ..Story::new() };
    let digest = Digest::of(b"file");
    let attestation =
        Claim::Attestation { predicate_type: "https://example.com/x".to_owned(), predicate: digest };
    let blob = |name: Option<&str>| Claim::Blob {
        name: name.map(str::to_owned),
        media_type: name.map(|_| "text/plain".to_owned()),
    };
    let with = |claim| Signing { claim, annotations: Annotations::default(), ..story.signing() };
    let intent = |claim| Event::Intent { signing: with(claim), batch: story.batch };
    let attach = |result| Event::Attach { signing: with(attestation.clone()), result };
    let unknown = Outcome::Signed {
        batch: story.batch,
        signature: b"signature".to_vec(),
        signed_at: at(0),
        vault_request_id: None,
    };
    let key = || Some("release".parse().unwrap());
    let many = NonZeroU64::new(7).unwrap();
    let refusal = |alike| Event::Refusal { key: key(), count: many, alike, missing: Vec::new() };
    let query = || BTreeMap::from([("kind".to_owned(), "outcome".to_owned())]);
    let version = story.signing().key.version;
    let verification = |key_version, predicate_type: Option<&str>, signed| Event::Verification {
        key: key(),
        key_version,
        predicate_type: predicate_type.map(str::to_owned),
        signed,
    };
    let of_requests = [
        Event::refusal(None, Vec::new()),
        refusal(Alike::Kind),
        refusal(Alike::Principal),
        refusal(Alike::Nothing),
        intent(attestation.clone()),
        intent(blob(Some("chart.tgz"))),
        intent(blob(None)),
        Event::Outcome { signing: with(attestation.clone()), result: unknown },
        Event::Adopted {
            signing: with(attestation.clone()),
            signature: b"foreign".to_vec(),
            reference: "elsewhere".to_owned(),
            manifest: digest,
        },
        attach(AttachResult::Missing { reference: "registry".to_owned() }),
        attach(AttachResult::GivenUp { code: "registry-denied".to_owned() }),
        verification(Some(version), None, true),
        verification(None, Some("https://example.com/x"), false),
        Event::read(query()),
        Event::Read { query: BTreeMap::new(), count: many, alike: Alike::Principal },
        Event::export(query(), 0, 4711),
        Event::Export { query: query(), first: 5, end: 4711, count: many, alike: Alike::Nothing },
    ];
    let instance = || Some("0198".to_owned());
    let of_service = [
        Event::KeyVersion {
            key: "release".parse().unwrap(),
            key_version: version,
            fingerprint: story.signing().key.fingerprint,
            created_at: at(0),
        },
        Event::Policy { digest, previous: None, rules: 3, instance: instance() },
        Event::Policy { digest, previous: Some(digest), rules: 0, instance: None },
        Event::PolicyRefused {
            digest: Some(digest),
            in_force: digest,
            reason: "line 3".to_owned(),
            instance: instance(),
        },
        Event::PolicyRefused { digest: None, in_force: digest, reason: "gone".to_owned(), instance: None },
        Event::Configuration { digest, previous: None, changed: Vec::new(), instance: None },
        Event::Configuration {
            digest,
            previous: Some(digest),
            changed: vec!["limits".to_owned()],
            instance: instance(),
        },
        Event::Start { version: "0.1.0".to_owned(), instance: "0198".to_owned() },
        Event::Stop { instance: "0198".to_owned() },
        Event::Archive { end: 512 },
        Event::AnchorReset { anchored: 700, reason: "the disk broke".to_owned() },
    ];
    let ruling = Ruling {
        rule: Some("rule".to_owned()),
        policy: digest,
        claims: MatchedClaims::from([("ref".to_owned(), json!("main")), ("tags".to_owned(), json!(["a"]))])
            .into(),
    };
    let subjects = [Some(Subject::file(digest)), story.intent().subject];
    let mut samples = vec![
        story.intent(),
        story.signed(),
        story.failed(),
        story.attached(),
        story.not_attached(),
        story.adopted(),
        story.refusal(),
    ];
    for (place, event) in of_requests.into_iter().enumerate() {
        let is_about_none = matches!(event, Event::Read { .. } | Event::Export { .. });
        let ruling = match &event {
            Event::Refusal { .. } => {
                Ruling { rule: None, claims: MatchedClaims::new().into(), ..ruling.clone() }
            }
            _ => ruling.clone(),
        };
        samples.push(Entry::new(
            at(0),
            RandomIds.request_id(),
            &Principal::Token { name: "ci".to_owned() },
            Operation::ALL[place % Operation::ALL.len()],
            subjects[place % 2].clone().filter(|_| !is_about_none),
            ruling,
            event,
        ));
    }
    samples.extend(of_service.into_iter().map(|event| Entry::of_service(at(0), event)));
    samples
}

#[test]
fn every_kind_of_entry_is_as_the_schema_says_and_is_read_back_as_it_was() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let mut seen = BTreeSet::new();
    for entry in samples() {
        let bytes = entry.to_bytes();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{value}: {errors:?}");
        assert_eq!(serde_json::from_slice::<Entry>(&bytes).unwrap(), entry, "{value}");
        seen.insert(entry.kind());
    }
    assert_eq!(seen, BTreeSet::from(Entry::KINDS), "a sample of every kind");
}

#[test]
fn what_the_schema_does_not_name_is_refused() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    for entry in samples() {
        let value: Value = serde_json::from_slice(&entry.to_bytes()).unwrap();
        let mut other = value.clone();
        other["colour"] = json!("red");
        assert!(!validator.is_valid(&other), "{other}");
        for name in ["v", "time", "principal", "kind"] {
            let mut other = value.clone();
            other.as_object_mut().unwrap().remove(name);
            assert!(!validator.is_valid(&other), "without {name}: {other}");
        }
        if let Some(key) = value.get("key").filter(|key| key.is_object()) {
            let mut other = value.clone();
            other["key"]["secret"] = key["name"].clone();
            assert!(!validator.is_valid(&other), "{other}");
        }
    }
}

/// The schema says nothing of which there is no entry.
#[test]
fn the_schema_names_the_kinds_that_there_are_and_fields_that_entries_have() {
    let schema = schema();
    assert_eq!(schema["properties"]["kind"]["enum"], json!(Entry::KINDS));
    let mut written: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for entry in samples() {
        let value: Value = serde_json::from_slice(&entry.to_bytes()).unwrap();
        let fields: BTreeSet<_> = value.as_object().unwrap().keys().cloned().collect();
        all.extend(fields.clone());
        written.entry(entry.kind().to_owned()).or_default().extend(fields);
    }
    for kind in Entry::KINDS {
        let of_kind = &schema["$defs"][kind];
        let alternatives = of_kind["oneOf"].as_array().into_iter().flatten();
        for properties in alternatives.chain([of_kind]).map(|part| part["properties"].as_object().unwrap()) {
            for field in properties.keys() {
                assert!(written[kind].contains(field), "no {kind} has `{field}`");
            }
        }
    }
    for field in schema["$defs"]["head"]["properties"].as_object().unwrap().keys() {
        assert!(all.contains(field), "no entry has `{field}`");
    }
}
