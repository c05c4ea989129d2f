//! The index of what refers to an image, as the referrers API lists it and as the fallback tag keeps it.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema>

use std::collections::BTreeMap;

use oci_distribution::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::domain::{Descriptor, Digest};
use crate::ports::{Change, Manifest, ManifestUpdate, Upload};

/// An image index. What it holds stays as it was written, byte by byte in each entry, known here or not.
#[derive(Debug)]
pub(super) struct ReferrersIndex {
    fields: BTreeMap<String, Box<RawValue>>,
    entries: Vec<Box<RawValue>>,
}

/// Adds one referrer to the index at an image's fallback tag.
#[derive(Debug)]
pub(super) struct AddReferrer {
    pub(super) subject: Digest,
    pub(super) referrer: Descriptor,
}

/// The tag that holds the index of what refers to `subject`, where there is no referrers API.
pub(super) fn fallback_tag(subject: Digest) -> String {
    format!("sha256-{}", subject.hex())
}

impl ReferrersIndex {
    /// # Errors
    /// Where `bytes` are no image index.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        const NONE: &str = "it is no image index";
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(bytes).map_err(|_| NONE)?;
        if let Some(media_type) = fields.get("mediaType") {
            let media_type: Option<String> = serde_json::from_str(media_type.get()).map_err(|_| NONE)?;
            if media_type.is_some_and(|media_type| media_type != OCI_IMAGE_INDEX_MEDIA_TYPE) {
                return Err("it is a manifest of another type than an image index");
            }
        }
        let entries = fields.remove("manifests").ok_or(NONE)?;
        // `null` is how some registries write an empty list.
        let entries: Option<Vec<_>> = serde_json::from_str(entries.get()).map_err(|_| NONE)?;
        Ok(Self { fields, entries: entries.unwrap_or_default() })
    }

    /// The index at the fallback tag of `subject`.
    ///
    /// # Errors
    /// Where it is anything else, which must not be touched. The sentence says what.
    pub(super) fn parse_fallback(manifest: &Manifest, subject: Digest) -> Result<Self, &'static str> {
        // GitLab's registry resolves `sha256-<hex>` as the digest that it resembles.
        if manifest.digest() == subject {
            return Err("its fallback tag resolves to the image itself");
        }
        if manifest.media_type != OCI_IMAGE_INDEX_MEDIA_TYPE {
            return Err("its fallback tag names something else than an image index");
        }
        Self::parse(&manifest.bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries that can be read here. Those by digests of other algorithms can not.
    pub(super) fn descriptors(&self) -> Vec<Descriptor> {
        self.entries.iter().filter_map(|entry| descriptor(entry)).collect()
    }

    fn has(&self, digest: Digest) -> bool {
        self.descriptors().iter().any(|descriptor| descriptor.digest == digest)
    }

    fn to_manifest(&self) -> serde_json::Result<Manifest> {
        let mut fields = self.fields.clone();
        fields.insert("manifests".to_owned(), to_raw_value(&self.entries)?);
        Ok(Manifest {
            media_type: OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned(),
            bytes: serde_json::to_vec(&fields)?,
        })
    }
}

impl ManifestUpdate for AddReferrer {
    fn apply(&self, current: Option<&Manifest>) -> Result<Change, String> {
        let mut index = match current {
            Some(manifest) => ReferrersIndex::parse_fallback(manifest, self.subject)?,
            None => empty().map_err(|error| error.to_string())?,
        };
        if index.has(self.referrer.digest) {
            return Ok(Change::None);
        }
        index.entries.push(to_raw_value(&self.referrer).map_err(|error| error.to_string())?);
        let manifest = index.to_manifest().map_err(|error| error.to_string())?;
        Ok(Change::Write(Upload { blobs: Vec::new(), manifest }))
    }
}

fn empty() -> serde_json::Result<ReferrersIndex> {
    let fields = BTreeMap::from([
        ("schemaVersion".to_owned(), to_raw_value(&2)?),
        ("mediaType".to_owned(), to_raw_value(OCI_IMAGE_INDEX_MEDIA_TYPE)?),
    ]);
    Ok(ReferrersIndex { fields, entries: Vec::new() })
}

fn descriptor(entry: &RawValue) -> Option<Descriptor> {
    let mut entry: BTreeMap<String, Value> = serde_json::from_str(entry.get()).ok()?;
    // What is not there is `null` for some writers.
    entry.retain(|_, value| !value.is_null());
    serde_json::from_value(Value::Object(entry.into_iter().collect())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referrer(content: &str) -> Descriptor {
        Descriptor {
            artifact_type: Some("application/vnd.example".to_owned()),
            annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            ..Descriptor::of("application/vnd.oci.image.manifest.v1+json", content.as_bytes())
        }
    }

    fn index(text: &str) -> Manifest {
        Manifest { media_type: OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned(), bytes: text.into() }
    }

    fn add(current: Option<&Manifest>, content: &str) -> Result<Change, String> {
        AddReferrer { subject: Digest::of(b"image"), referrer: referrer(content) }.apply(current)
    }

    fn written(change: Result<Change, String>) -> Manifest {
        match change {
            Ok(Change::Write(upload)) => upload.manifest,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_referrer_makes_an_index() {
        let manifest = written(add(None, "one"));
        let json: Value = serde_json::from_slice(&manifest.bytes).unwrap();
        assert_eq!(json["schemaVersion"], 2);
        assert_eq!(json["mediaType"], OCI_IMAGE_INDEX_MEDIA_TYPE);
        assert_eq!(json["manifests"][0]["artifactType"], "application/vnd.example");
        assert_eq!(json["manifests"][0]["annotations"]["a"], "b");
        assert_eq!(json["manifests"][0]["digest"], Digest::of(b"one").to_string());
    }

    #[test]
    fn a_referrer_is_added_once() {
        let manifest = written(add(None, "one"));
        assert_eq!(add(Some(&manifest), "one"), Ok(Change::None));
        let both = written(add(Some(&manifest), "two"));
        let descriptors = ReferrersIndex::parse(&both.bytes).unwrap().descriptors();
        assert_eq!(descriptors, [referrer("one"), referrer("two")]);
    }

    #[test]
    fn foreign_entries_stay_as_they_were_written() {
        let foreign = [
            r#"{ "z":1, "digest":"sha512:00", "size": 1.50, "mediaType":"a/b", "data":"é\u00e9" }"#,
            r#"{"platform":{"os":"linux"},"urls":[18446744073709551616]}"#,
            "7",
        ];
        let text = format!(
            r#"{{"x":{{"b":1, "a":2}},"annotations":{{"k":"v"}},"manifests":[{}],"schemaVersion":2}}"#,
            foreign.join(",")
        );
        let merged = String::from_utf8(written(add(Some(&index(&text)), "one")).bytes).unwrap();
        for part in foreign.iter().chain([&r#"{"b":1, "a":2}"#, &r#"{"k":"v"}"#]) {
            assert!(merged.contains(part), "{part} in {merged}");
        }
        assert_eq!(ReferrersIndex::parse(merged.as_bytes()).unwrap().descriptors(), [referrer("one")]);
    }

    #[test]
    fn an_empty_list_may_be_null() {
        let text = r#"{"schemaVersion":2,"manifests":null}"#;
        assert!(ReferrersIndex::parse(text.as_bytes()).unwrap().is_empty());
        let manifest = written(add(Some(&index(text)), "one"));
        assert_eq!(ReferrersIndex::parse(&manifest.bytes).unwrap().descriptors(), [referrer("one")]);
    }

    #[test]
    fn a_field_that_is_null_is_not_there() {
        let Descriptor { media_type, size, digest, .. } = referrer("one");
        let text = format!(
            r#"{{"manifests":[{{"mediaType":"{media_type}","size":{size},"digest":"{digest}","artifactType":null,"annotations":null}}]}}"#
        );
        let descriptors = ReferrersIndex::parse(text.as_bytes()).unwrap().descriptors();
        assert_eq!(descriptors, [Descriptor::of(&media_type, b"one")]);
    }

    #[test]
    fn what_is_no_index_of_referrers_is_not_touched() {
        let other = Manifest { media_type: "application/json".to_owned(), ..index(r#"{"manifests":[]}"#) };
        let list =
            r#"{"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[]}"#;
        for manifest in
            [index("image"), index("[]"), index("{}"), index(r#"{"manifests":{}}"#), index(list), other]
        {
            assert!(add(Some(&manifest), "one").is_err(), "{manifest:?}");
        }
    }
}
