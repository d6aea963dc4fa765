//! Functions that the fuzz targets call (`fuzz/`) with histograms as stored in results.

use super::{Buckets, Distribution};
use base64::Engine as _;
use flate2::{Compression, write::ZlibEncoder};
use std::io::Write as _;

/// Decodes the input as the text of a histogram, and as the counts inside one. A decoded histogram
/// must decode to the same again after it was encoded.
///
/// # Panics
///
/// When this does not hold, which is what fuzzing looks for.
pub fn fuzz_histogram(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        check(text);
    }
    check(&wrapped(input));
}

fn check(text: &str) {
    let Ok(buckets) = Buckets::decode(text) else { return };
    let written = Distribution::of_buckets(&buckets).encoded();
    assert_eq!(Buckets::decode(&written).as_ref(), Ok(&buckets), "{text}");
}

/// Wraps counts with the correct header and compresses them. Random text would never get that far.
fn wrapped(counts: &[u8]) -> String {
    let empty = Distribution::new().encoded();
    let bytes = base64::engine::general_purpose::STANDARD.decode(empty).expect("our own base64");
    let mut plain = Vec::new();
    std::io::copy(&mut flate2::read::ZlibDecoder::new(&bytes[8..]), &mut plain).expect("our own zlib");
    plain.truncate(40);
    plain[4..8].copy_from_slice(&(counts.len() as u32).to_be_bytes());
    plain.extend_from_slice(counts);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&plain).expect("a Vec takes everything");
    let body = zlib.finish().expect("a Vec takes everything");
    let whole = [&bytes[..4], &(body.len() as u32).to_be_bytes(), &body].concat();
    base64::engine::general_purpose::STANDARD.encode(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_inputs_hold() {
        for counts in [&b""[..], &[2], &[1, 2, 4], &[0, 0, 6], &[0x80], &[0xff; 9], &[0xfe, 0xff, 0xff, 0xff, 0x0f, 2]]
        {
            fuzz_histogram(counts);
        }
        fuzz_histogram(Distribution::new().encoded().as_bytes());
        assert!(Buckets::decode(&wrapped(&[2, 4])).is_ok_and(|b| b.count() == 3), "the header is right");
    }
}
