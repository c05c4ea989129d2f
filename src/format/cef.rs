//! Entries in ArcSight's Common Event Format, version 0.
//! <https://www.microfocus.com/documentation/arcsight/arcsight-smartconnectors/pdfdoc/cef-implementation-standard/cef-implementation-standard.pdf>

use std::fmt::Write as _;

use super::ocsf;
use crate::domain::{Entry, KeyName, KeyVersion};

/// The entry `index` as one line. Its exact bytes are not in it: CEF is for searching, and the log itself is the record.
pub fn line(index: u64, entry: &Entry) -> String {
    let severity = if ocsf::is_success(entry) { 3 } else { 6 };
    let version = header(env!("CARGO_PKG_VERSION"));
    let (kind, message) = (entry.kind(), ocsf::message(entry));
    let mut line = format!("CEF:0|Signet|Signet|{version}|{kind}|{}|{severity}|", header(&message));
    let subject = entry.subject.as_ref();
    let fields = [
        ("rt", Some(entry.time.as_millisecond().to_string())),
        ("externalId", Some(index.to_string())),
        ("suser", Some(entry.principal.clone())),
        ("act", entry.operation.map(|operation| operation.to_string())),
        ("outcome", Some(if ocsf::is_success(entry) { "success" } else { "failure" }.to_owned())),
        ("cs1Label", entry.rule().map(|_| "rule".to_owned())),
        ("cs1", entry.rule().map(str::to_owned)),
        ("cs2Label", subject.map(|_| "digest".to_owned())),
        ("cs2", subject.map(|subject| subject.digest.to_string())),
        ("cs3Label", entry.repository().map(|_| "repository".to_owned())),
        ("cs3", entry.repository().map(ToString::to_string)),
        ("cs4Label", entry.key().map(|_| "key".to_owned())),
        ("cs4", entry.key().map(KeyName::as_str).map(str::to_owned)),
        ("cs5Label", entry.request_id.as_ref().map(|_| "request_id".to_owned())),
        ("cs5", entry.request_id.as_ref().map(ToString::to_string)),
        ("cn1Label", entry.key_version().map(|_| "key_version".to_owned())),
        ("cn1", entry.key_version().map(KeyVersion::get).map(|version| version.to_string())),
    ];
    let mut separator = "";
    for (name, value) in fields {
        if let Some(value) = value {
            write!(line, "{separator}{name}={}", extension(&value))
                .expect("invariant: writing to a string does not fail");
            separator = " ";
        }
    }
    line
}

/// In the header a backslash and a pipe are escaped, and there are no lines.
fn header(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\r', '\n'], " ")
}

/// In the extension it is a backslash and an equals sign; lines are written as `\n` and `\r`.
fn extension(text: &str) -> String {
    text.replace('\\', "\\\\").replace('=', "\\=").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Event, Timestamp};

    #[test]
    fn nothing_that_a_caller_chooses_makes_a_field_or_a_line_of_its_own() {
        let mut entry = Entry::of_service(Timestamp::UNIX_EPOCH, Event::Archive { end: 256 });
        entry.principal = "a|b\\c=d\ne act=x".to_owned();
        let line = line(9, &entry);
        let (header, extension) = line.split_once("|3|").unwrap();
        assert!(
            header.starts_with("CEF:0|Signet|Signet|") && header.contains("by a\\|b\\\\c=d e act=x"),
            "{line}"
        );
        assert_eq!(extension, "rt=0 externalId=9 suser=a|b\\\\c\\=d\\ne act\\=x outcome=success");
    }
}
