//! Entry points for the fuzz targets (`fuzz/`). A result comes from a file, and a file may hold
//! anything.

use super::Document;

/// Checks that a result that can be read is written in a form that reads as the same.
///
/// # Panics
///
/// Panics when the contract is broken, which is what the fuzzer looks for.
pub fn fuzz_document(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(document) = Document::from_json(text) else { return };
    let written = document.to_json();
    let again = Document::from_json(&written).expect("what was written is read");
    assert_eq!(again.to_json(), written);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::document;

    #[test]
    fn small_inputs_hold() {
        for text in ["", "{", "[]", "null", "{\"schema\": \"llmsim-blast.run/1\"}", "\u{1b}"] {
            fuzz_document(text.as_bytes());
        }
        fuzz_document(&[0xff, 0xfe]);
        let whole = document(&crate::document::tests::busy_tally(), &[], false).to_json();
        fuzz_document(whole.as_bytes());
        for at in (0..whole.len()).step_by(997) {
            fuzz_document(&whole.as_bytes()[..at]);
        }
    }
}
