//! Entries as rows of CSV (RFC 4180), for people's tables.

use crate::domain::{AttachResult, Entry, Event, KeyName, KeyVersion, Outcome};

/// The columns. The last one has the entry's exact bytes; refusals and readings that were counted are as many as `count` says.
pub const COLUMNS: [&str; 18] = [
    "index",
    "time",
    "kind",
    "principal",
    "operation",
    "repository",
    "digest",
    "rule",
    "policy",
    "request_id",
    "key",
    "key_version",
    "signature_id",
    "result",
    "code",
    "reference",
    "count",
    "entry",
];

/// What a row's first column says behind the last entry.
pub const COMPLETE: &str = "complete";

/// The row with the names of the columns.
pub fn header() -> Vec<u8> {
    row(COLUMNS.map(str::to_owned))
}

/// The row of the entry `index`. `bytes` is what the log keeps of it.
pub fn entry(index: u64, entry: &Entry, bytes: &[u8]) -> Vec<u8> {
    let (result, code, reference) = match &entry.event {
        Event::Outcome { result: Outcome::Signed { .. }, .. } => ("signed", None, None),
        Event::Outcome { result: Outcome::Failed { code }, .. } => ("failed", Some(code), None),
        Event::Attach { result, .. } => match result {
            AttachResult::Attached { reference, .. } => ("attached", None, Some(reference)),
            AttachResult::Missing { reference } => ("missing", None, Some(reference)),
            AttachResult::Failed { code } => ("failed", Some(code), None),
            AttachResult::GivenUp { code } => ("given-up", Some(code), None),
        },
        Event::Adopted { reference, .. } => ("", None, Some(reference)),
        Event::Verification { signed: true, .. } => ("signed", None, None),
        Event::Verification { signed: false, .. } => ("unsigned", None, None),
        _ => ("", None, None),
    };
    let count = match &entry.event {
        Event::Refusal { count, .. } | Event::Read { count, .. } | Event::Export { count, .. } => count.get(),
        _ => 1,
    };
    let text = |text: Option<String>| text.unwrap_or_default();
    row([
        index.to_string(),
        entry.time.to_string(),
        entry.kind().to_owned(),
        entry.principal.clone(),
        text(entry.operation.map(|operation| operation.to_string())),
        text(entry.repository().map(ToString::to_string)),
        text(entry.subject.as_ref().map(|subject| subject.digest.to_string())),
        text(entry.rule().map(str::to_owned)),
        text(entry.ruling.as_ref().map(|ruling| ruling.policy.to_string())),
        text(entry.request_id.as_ref().map(ToString::to_string)),
        text(entry.key().map(KeyName::as_str).map(str::to_owned)),
        text(entry.key_version().map(KeyVersion::get).map(|version| version.to_string())),
        text(entry.signing().map(|signing| signing.id.to_string())),
        result.to_owned(),
        text(code.cloned()),
        text(reference.cloned()),
        count.to_string(),
        String::from_utf8_lossy(bytes).into_owned(),
    ])
}

/// The row behind the last entry: nothing is missing of the entries from `first` to before `end`, of which `count` are here.
pub fn end(first: u64, end: u64, count: u64) -> Vec<u8> {
    let mut cells = [const { String::new() }; COLUMNS.len()];
    COMPLETE.clone_into(&mut cells[0]);
    cells[COLUMNS.len() - 2] = count.to_string();
    cells[COLUMNS.len() - 1] = format!("entries from {first} to before {end}");
    row(cells)
}

fn row(cells: [String; COLUMNS.len()]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells.map(harmless)).expect("invariant: a row in memory is written");
    writer.into_inner().expect("invariant: a row in memory is written")
}

/// What a spreadsheet would take for a formula gets an apostrophe in front, and is text then.
/// <https://owasp.org/www-community/attacks/CSV_Injection>
fn harmless(cell: String) -> String {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => format!("'{cell}"),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn what_a_spreadsheet_would_calculate_becomes_text_and_a_row_stays_one_row() {
        let mut written = Entry::of_service(Timestamp::UNIX_EPOCH, Event::Archive { end: 256 });
        for name in ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a\"b\r\n,c"] {
            written.principal = name.to_owned();
            let text = [header(), entry(7, &written, b"{}"), end(0, 8, 1)].concat();
            let mut reader = ::csv::Reader::from_reader(&text[..]);
            let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
            assert_eq!(rows.len(), 2, "{name:?}");
            let harmless = if name.starts_with('a') { name.to_owned() } else { format!("'{name}") };
            assert_eq!((&rows[0][0], &rows[0][3]), ("7", harmless.as_str()));
            assert_eq!((&rows[1][0], &rows[1][16]), (COMPLETE, "1"));
        }
    }
}
