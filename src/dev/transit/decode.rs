//! Base64 as Vault reads it: the standard alphabet, padded, line breaks anywhere, bits behind the end of any value.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

const FORGIVING: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// # Errors
///
/// The place of the first byte that is at fault: one outside the alphabet, else the begin of the group that is incomplete.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, usize> {
    let breaks = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let symbols: Vec<u8> = text.bytes().filter(|byte| !breaks(byte)).collect();
    FORGIVING.decode(&symbols).map_err(|_| {
        let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
        symbols.iter().position(|&byte| !in_alphabet(byte)).unwrap_or(symbols.len() / 4 * 4)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_vault_reads_it() {
        for good in ["aGVsbG8=", "aGVsbG9=", "aGVs\nbG8=", "aGVsb\r\nG8="] {
            assert_eq!(base64(good), Ok(b"hello".to_vec()), "{good:?}");
        }
        assert_eq!(base64(""), Ok(Vec::new()));
        for (bad, place) in [("!!!", 0), ("_-_-", 0), ("aGVsbG8", 4), ("aGVs bG8=", 4), ("a", 0), ("1.5", 1)]
        {
            assert_eq!(base64(bad), Err(place), "{bad:?}");
        }
    }
}
