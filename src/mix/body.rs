//! Writes a body behind a prefix that contains its length, although the body is written first.

/// Appends a prefix that contains the body's length, and the body. The length is only known once
/// the body is written. Room is left for the prefix of `estimate`, and a wrong estimate costs a
/// copy.
pub(super) fn framed(
    estimate: usize,
    out: &mut Vec<u8>,
    prefix: impl Fn(usize, &mut Vec<u8>),
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    prefix(estimate, out);
    let begin = out.len();
    body(out);
    let end = out.len();
    if end - begin == estimate {
        return;
    }
    prefix(end - begin, out);
    let (was, is) = (begin - start, out.len() - end);
    if was == is {
        out.copy_within(end.., start);
        out.truncate(end);
    } else {
        // Old prefix, body, new prefix → new prefix, old prefix, body.
        out[start..].rotate_right(is);
        out.drain(start + is..start + is + was);
    }
}

/// Writes the digits of `n` to the end of `digits`, and returns them.
pub(super) fn decimal(mut n: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_they_are(n in any::<u64>(), shift in 0..64u32) {
            let n = n >> shift;
            let mut digits = [0; 20];
            let (written, expected) = (decimal(n, &mut digits), n.to_string());
            prop_assert_eq!(written, expected.as_bytes());
        }

        #[test]
        fn any_estimate_frames_the_same(estimate in 0..2000usize, length in 0..2000usize) {
            let mut out = b"head ".to_vec();
            let prefix = |n: usize, out: &mut Vec<u8>| out.extend_from_slice(format!("{n}\n").as_bytes());
            framed(estimate, &mut out, prefix, |out| out.extend((0..length).map(|i| b'a' + (i % 26) as u8)));
            let body: String = (0..length).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
            prop_assert_eq!(String::from_utf8_lossy(&out), format!("head {length}\n{body}"));
        }
    }
}
