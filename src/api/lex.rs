//! The smallest parts of JSON: the ends of strings and numbers. The grammar is that of RFC 8259,
//! sections 6 and 7.

/// Maximum digits of a token count. Any number with so few digits fits a `u32`, and real counts are
/// far smaller.
const MAX_DIGITS: usize = 9;

/// Returns where the inside of a string ends: at its closing quote.
#[inline]
pub(super) fn text(bytes: &[u8]) -> Option<usize> {
    let end = plain(bytes);
    if *bytes.get(end)? == b'"' { Some(end) } else { text_with_more(bytes, end) }
}

/// Scans a string that contains escapes or non-ASCII characters at `at` or later.
fn text_with_more(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut is_ascii = true;
    loop {
        match *bytes.get(at)? {
            b'"' => break,
            b'\\' => at += escape(&bytes[at..])?,
            0x80.. => {
                is_ascii = false;
                at += bytes[at..].iter().take_while(|byte| **byte >= 0x80).count();
            }
            _ => return None,
        }
        at += plain(&bytes[at..]);
    }
    // JSON exchanged between systems is UTF-8 (RFC 8259, section 8.1). Other strings are rejected,
    // so that they count neither as tokens nor as empty.
    (is_ascii || std::str::from_utf8(&bytes[..at]).is_ok()).then_some(at)
}

/// Returns the length of an escape. Halves of surrogate pairs are accepted, because tokenizers
/// split characters and nothing here decodes the string.
fn escape(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => bytes.get(2..6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

/// Number of bytes examined per word. Strings in events are a few bytes long and rarely reach the
/// blocks.
const WORD: usize = 8;
/// Number of bytes examined together once a string has proved to be long. Compilers can vectorise
/// the loop over them.
const BLOCK: usize = 32;

/// Returns how many bytes at the front need no escape in a string: ASCII characters other than
/// control characters, the quote and the backslash.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<WORD>()) {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += WORD;
        if at == BLOCK {
            at += plain_blocks(&bytes[at..]);
        }
    }
    at + bytes[at..].iter().take_while(|byte| is_plain(**byte)).count()
}

/// Returns a number of bytes at the front that are plain for certain: a multiple of the block size.
fn plain_blocks(bytes: &[u8]) -> usize {
    let has_special = |block: &&[u8]| block.iter().fold(false, |special, byte| special | !is_plain(*byte));
    bytes.chunks_exact(BLOCK).take_while(|block| !has_special(block)).count() * BLOCK
}

const fn is_plain(byte: u8) -> bool {
    // As signed bytes, non-ASCII bytes are negative. So they are below the space, like control
    // characters.
    byte.cast_signed() >= 0x20 && byte != b'"' && byte != b'\\'
}

const ONES: u64 = u64::from_le_bytes([1; WORD]);
const HIGH: u64 = u64::from_le_bytes([0x80; WORD]);

/// Marks the *first* byte of a word that is not plain by its high bit. Bits of later bytes may be
/// set wrongly. The result is zero if all bytes are plain.
///
/// `x - 0x20` borrows in a byte below 0x20, and `x ^ quote - 1` in a byte that is the quote. A
/// borrow can falsify the bytes after the one that borrowed. That byte is itself marked, so the
/// first mark is always right.
#[inline]
const fn special(word: u64) -> u64 {
    let below_space = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    // A plain ASCII byte has a clear high bit in all four.
    (word | below_space | quote | backslash) & HIGH
}

/// Returns how many digits are at the front.
#[inline]
fn digits(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<WORD>()) {
        let other = not_digit(u64::from_le_bytes(*word));
        if other != 0 {
            return at + other.trailing_zeros() as usize / 8;
        }
        at += WORD;
    }
    at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Marks the *first* byte of a word that is not a digit by its high bit, as in [`special`].
/// `x + 0x46` sets the bit above `9`, and `x - 0x30` borrows below `0`. A byte that carries or
/// borrows out is itself marked.
#[inline]
const fn not_digit(word: u64) -> u64 {
    let above_nine = word.wrapping_add(ONES * (0x7f - b'9' as u64));
    let below_zero = word.wrapping_sub(ONES * b'0' as u64);
    (word | above_nine | below_zero) & HIGH
}

/// Returns where a number ends.
#[inline]
pub(super) fn number(bytes: &[u8]) -> Option<usize> {
    let end = digits(bytes);
    match bytes.get(end) {
        // Numbers have no leading zeros.
        Some(b',' | b'}' | b']') if end == 1 || (end > 1 && bytes[0] != b'0') => Some(end),
        _ => number_with_more(bytes),
    }
}

/// Scans a number that has a sign, a fraction or an exponent, or that is followed by white space or
/// by the end of the data.
fn number_with_more(bytes: &[u8]) -> Option<usize> {
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(&bytes[sign..]);
    if whole == 0 || (whole > 1 && bytes[sign] == b'0') {
        return None;
    }
    let mut at = sign + whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(&bytes[at + 1..]);
        at += 1 + (fraction > 0).then_some(fraction)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(&bytes[at + 1 + sign..]);
        at += 1 + sign + (exponent > 0).then_some(exponent)?;
    }
    Some(at)
}

/// Returns where a plain count of tokens above zero ends, and the count. It has no sign, fraction
/// or exponent.
#[inline]
pub(super) fn tokens(bytes: &[u8]) -> Option<(usize, u32)> {
    let end = digits(bytes);
    if end == 0 || end > MAX_DIGITS || bytes[0] == b'0' {
        return None;
    }
    Some((end, bytes[..end].iter().fold(0, |count, digit| count * 10 + u32::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    #[test]
    fn a_text_ends_at_its_quote() {
        for (bytes, end) in [
            (&b"\""[..], Some(0)),
            (b"a\",", Some(1)),
            (b"seven b\"", Some(7)),
            (b"eight by\"", Some(8)),
            (br#"a\"b\\"x"#, Some(6)),
            (br#"\n\t\r\b\f\/""#, Some(12)),
            (br#"\u00e9\uD83D""#, Some(12)),
            ("é☃😀\"".as_bytes(), Some(9)),
            ("\u{7f}\"".as_bytes(), Some(1)),
            (b"", None),
            (b"no end", None),
            (br"a\", None),
            (br#"\x""#, None),
            (br#"\u12g4""#, None),
            (br"\u123", None),
            (b"a\nb\"", None),
            (b"\x00\"", None),
            (b"\xff\"", None),
            (b"\xc3\"", None),
            (b"\xed\xa0\x80\"", None),
        ] {
            assert_eq!(text(bytes), end, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn every_byte_at_every_place_of_a_text_is_seen() {
        for len in [1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100] {
            for at in 0..len {
                for (byte, plain_one) in
                    (0..=255u8).flat_map(|byte| [(byte, b'~'), (byte, b' '), (byte, b'#'), (byte, b']')])
                {
                    let mut bytes = vec![plain_one; len];
                    bytes[at] = byte;
                    let expected = if is_plain(byte) { len } else { at };
                    assert_eq!(plain(&bytes), expected, "{byte:#x} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn every_byte_at_every_place_of_a_number_is_seen() {
        for len in [1, 7, 8, 9, 16, 17, 20] {
            for at in 0..len {
                for (byte, digit) in (0..=255u8).flat_map(|byte| [(byte, b'0'), (byte, b'9')]) {
                    let mut bytes = vec![digit; len];
                    bytes[at] = byte;
                    let expected = if byte.is_ascii_digit() { len } else { at };
                    assert_eq!(digits(&bytes), expected, "{byte:#x} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn a_number_is_one_of_json() {
        for (bytes, end) in [
            ("0,", Some(1)),
            ("1764000000,", Some(10)),
            ("-0.5e-10}", Some(8)),
            ("1E+9", Some(4)),
            ("1e999", Some(5)),
            ("", None),
            ("-", None),
            ("01", None),
            ("-01", None),
            ("1.", None),
            ("1.e1", None),
            ("1e", None),
            ("1e+", None),
            (".5", None),
            ("+1", None),
            ("null", None),
        ] {
            assert_eq!(number(bytes.as_bytes()), end, "{bytes}");
        }
    }

    #[test]
    fn a_count_is_plain_and_above_zero() {
        assert_eq!(tokens(b"7,"), Some((1, 7)));
        assert_eq!(tokens(b"999999999}"), Some((9, 999_999_999)));
        for bytes in ["", "0", "07", "-7", "1000000000", "99999999999999999999", "x"] {
            assert_eq!(tokens(bytes.as_bytes()), None, "{bytes}");
        }
    }

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => "[ -~]{0,40}".prop_map(String::into_bytes),
            2 => any::<String>().prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..4),
            2 => prop::sample::select(vec![r"\n", r#"\""#, r"\\", r"\u00", r"\ud83d", "\\", "\"", "\t"])
                .prop_map(|piece| piece.as_bytes().to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn a_text_that_is_vouched_for_is_one(pieces in prop::collection::vec(piece(), 0..5)) {
            let mut bytes = pieces.concat();
            bytes.push(b'"');
            if let Some(end) = text(&bytes) {
                let json = [b"\"", &bytes[..=end]].concat();
                prop_assert!(serde_json::from_slice::<&RawValue>(&json).is_ok());
                prop_assert!(!bytes[..end].iter().any(|byte| *byte < 0x20));
            } else {
                let json = [b"\"", &bytes[..]].concat();
                // A complete valid string is never rejected.
                prop_assert!(serde_json::from_slice::<&RawValue>(&json).is_err());
            }
        }

        #[test]
        fn a_number_that_is_vouched_for_is_one(text in "-?[0-9]{0,3}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,4})?") {
            let is_whole = number(text.as_bytes()) == Some(text.len());
            prop_assert_eq!(is_whole, serde_json::from_str::<&RawValue>(&text).is_ok(), "{}", text);
        }
    }
}
