//! Entries as lines of JSON, in their exact bytes. <https://github.com/ndjson/ndjson-spec>

use serde_json::{Value, json};

/// `{"index":N,"entry":{…}}`: what stands behind `"entry":`, without the last brace, is what the log keeps and what its tree hashes.
pub fn entry(index: u64, bytes: &[u8]) -> Vec<u8> {
    let mut line = format!("{{\"index\":{index},\"entry\":").into_bytes();
    line.extend_from_slice(bytes);
    line.extend_from_slice(b"}\n");
    line
}

/// Any JSON as a line.
pub fn line(value: &Value) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("invariant: a JSON value becomes JSON");
    line.push(b'\n');
    line
}

/// The line behind the last entry: nothing is missing of the entries from `first` to before `end`, of which `count` are here.
pub fn end(first: u64, end: u64, count: u64) -> Vec<u8> {
    line(&json!({"complete": true, "first": first, "end": end, "entries": count}))
}
