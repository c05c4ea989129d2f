//! Entries as messages of syslog (RFC 5424), in the frames of octet counting (RFC 6587, 3.4.1; RFC 5425, 4.3).

use super::ocsf;
use crate::domain::Entry;

/// Facility 13, "log audit".
const FACILITY: u8 = 13;

/// One frame: the length, a blank, and the message, whose text is `text`.
pub fn frame(entry: &Entry, text: &[u8]) -> Vec<u8> {
    let severity = if ocsf::is_success(entry) { 6 } else { 4 };
    let head = format!(
        "<{}>1 {} - signet - {} [origin software=\"signet\" swVersion=\"{}\"] ",
        FACILITY * 8 + severity,
        entry.time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        entry.kind(),
        env!("CARGO_PKG_VERSION"),
    );
    let mut frame = format!("{} {head}", head.len() + text.len()).into_bytes();
    frame.extend_from_slice(text);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Digest, Event, Timestamp};

    #[test]
    fn a_frame_has_the_length_of_its_message_and_all_parts_of_its_head() {
        let at = Timestamp::from_nanosecond(1_767_225_600_123_456_789).unwrap();
        let frame = frame(&Entry::of_service(at, Event::Archive { end: 256 }), "é".as_bytes());
        let text = String::from_utf8(frame).unwrap();
        let (length, message) = text.split_once(' ').unwrap();
        assert_eq!(length, message.len().to_string());
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            message,
            format!(
                "<110>1 2026-01-01T00:00:00.123456Z - signet - archive [origin software=\"signet\" swVersion=\"{version}\"] é"
            )
        );
        let refused = Event::PolicyRefused {
            digest: None,
            in_force: Digest::of(b""),
            reason: String::new(),
            instance: None,
        };
        assert!(super::frame(&Entry::of_service(at, refused), b"").windows(6).any(|part| part == b"<108>1"));
    }
}
