//! Chunked transfer coding (RFC 9112, section 7.1), resumable at any byte.
//!
//! ```text
//!            ┌──────────────────────────────────────────────────────┐
//!            ▼                                                      │ LF
//! Start ─▶ Size ─▶ (Pad ─▶ Extension) ─▶ SizeLf ─▶ Data ─▶ DataCr ─▶ DataLf
//!                                          │ size 0
//!                                          ▼
//!                        TrailerStart ⇄ Trailer ;  TrailerStart ─▶ EndLf ─▶ Done
//! ```
//!
//! The size is summed up digit by digit, so a size line that a read has cut needs no buffer. This
//! file does not know how large a body may be (its caller counts), nor the meaning of trailer
//! fields (they are skipped).

use super::WireError;

/// Longest size line, extensions included. Extensions are almost never used; hyper and others allow
/// a few KiB.
pub const MAX_SIZE_LINE_BYTES: u16 = 4 * 1024;
/// All trailer fields together. Real ones are checksums and timings of a few hundred bytes.
pub const MAX_TRAILER_BYTES: u16 = 16 * 1024;

/// Maximum digits of a size that is read in one go. Every real chunk size fits.
const MAX_PLAIN_DIGITS: usize = 8;

/// The next piece of a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'b> {
    Data(&'b [u8]),
    /// The last chunk and the trailers have passed.
    End,
}

/// The position of the next byte in the coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Step {
    /// The first digit of a size: an empty size line is not a size of zero.
    #[default]
    Start,
    /// Further digits of a size.
    Size,
    /// White space after a size.
    Pad,
    /// A chunk extension, up to its CR.
    Extension,
    /// The LF of a size line.
    SizeLf,
    Data,
    /// The CR after content.
    DataCr,
    /// The LF after content.
    DataLf,
    /// The first byte of a trailer field, or of the blank line.
    TrailerStart,
    /// Inside a trailer field, up to its LF.
    Trailer,
    /// The LF of the blank line.
    EndLf,
    /// The body is complete.
    Done,
}

/// Removes the framing of one chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decoder {
    /// In `Size`, the size read so far; in `Data`, the rest of the chunk.
    left: u64,
    /// Bytes of the size line or of the trailers so far.
    line: u16,
    step: Step,
}

impl Decoder {
    /// Returns how much of the current chunk is announced and not yet delivered. While its size
    /// line is being read, this is a lower bound.
    pub fn announced(&self) -> u64 {
        self.left
    }

    /// Returns the next piece. `None` means that all of `input` is used and more is needed. After
    /// [`Piece::End`] it takes nothing from `input` and returns [`Piece::End`] again.
    pub fn next<'b>(&mut self, input: &mut &'b [u8]) -> Option<Result<Piece<'b>, WireError>> {
        self.skip_size_line(input);
        loop {
            if self.step == Step::Done {
                return Some(Ok(Piece::End));
            }
            let (&first, rest) = input.split_first()?;
            if self.step == Step::Data {
                let len = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
                let (data, rest) = input.split_at(len);
                *input = rest;
                self.left -= len as u64;
                if self.left == 0 {
                    self.step = Step::DataCr;
                }
                return Some(Ok(Piece::Data(data)));
            }
            *input = rest;
            if let Err(error) = self.framing(first) {
                return Some(Err(error));
            }
        }
    }

    /// Takes the bytes between two chunks if they lie whole in `input` and have the usual form:
    /// line ends, and digits alone. All other input is left for [`framing`](Self::framing), which
    /// would also give the same result for the usual form.
    #[inline]
    fn skip_size_line(&mut self, input: &mut &[u8]) {
        let line = match self.step {
            Step::Start => *input,
            Step::DataCr => match input.strip_prefix(b"\r\n") {
                Some(line) => line,
                None => return,
            },
            _ => return,
        };
        let (mut size, mut rest) = (0, line);
        while let [digit, after @ ..] = rest {
            let Some(value) = value_of(*digit) else { break };
            (size, rest) = (size << 4 | value, after);
        }
        // More digits would not fit. Without digits, or with zeros alone, other lines follow.
        if size == 0 || line.len() - rest.len() > MAX_PLAIN_DIGITS {
            return;
        }
        let Some(rest) = rest.strip_prefix(b"\r\n") else { return };
        *input = rest;
        (self.left, self.line, self.step) = (size, 0, Step::Data);
    }

    /// Takes one byte that is not content.
    fn framing(&mut self, byte: u8) -> Result<(), WireError> {
        self.step = match self.step {
            Step::Start | Step::Size => return self.size(byte),
            Step::Pad => match byte {
                b' ' | b'\t' => self.counted(MAX_SIZE_LINE_BYTES, "chunk extensions", Step::Pad)?,
                b';' => self.counted(MAX_SIZE_LINE_BYTES, "chunk extensions", Step::Extension)?,
                b'\r' => Step::SizeLf,
                _ => return Err(WireError::BadChunk("a chunk size is not followed by CRLF")),
            },
            Step::Extension => match byte {
                b'\r' => Step::SizeLf,
                // A bare LF is refused here: request smuggling relies on two readers that disagree
                // about such a line.
                b'\n' => return Err(WireError::BadChunk("a chunk size is not followed by CRLF")),
                _ => self.counted(MAX_SIZE_LINE_BYTES, "chunk extensions", Step::Extension)?,
            },
            Step::SizeLf => {
                expect(byte, b'\n', "a chunk size is not followed by CRLF")?;
                self.line = 0;
                if self.left == 0 { Step::TrailerStart } else { Step::Data }
            }
            Step::DataCr => {
                expect(byte, b'\r', "a chunk is longer than its size")?;
                Step::DataLf
            }
            Step::DataLf => {
                expect(byte, b'\n', "a chunk is longer than its size")?;
                Step::Start
            }
            // Trailers are field lines, for which RFC 9112, section 2.2, allows a bare LF.
            Step::TrailerStart => match byte {
                b'\r' => Step::EndLf,
                b'\n' => Step::Done,
                _ => self.counted(MAX_TRAILER_BYTES, "trailers", Step::Trailer)?,
            },
            Step::Trailer => {
                let next = if byte == b'\n' { Step::TrailerStart } else { Step::Trailer };
                self.counted(MAX_TRAILER_BYTES, "trailers", next)?
            }
            Step::EndLf => {
                expect(byte, b'\n', "the blank line after the last chunk is not CRLF")?;
                Step::Done
            }
            Step::Data | Step::Done => self.step,
        };
        Ok(())
    }

    /// Takes one byte of a size line before any white space or extension.
    fn size(&mut self, byte: u8) -> Result<(), WireError> {
        let Some(value) = value_of(byte) else {
            self.step = match byte {
                _ if self.step == Step::Start => return Err(WireError::BadChunk("a chunk size is missing")),
                b'\r' => Step::SizeLf,
                b' ' | b'\t' => self.counted(MAX_SIZE_LINE_BYTES, "chunk extensions", Step::Pad)?,
                b';' => self.counted(MAX_SIZE_LINE_BYTES, "chunk extensions", Step::Extension)?,
                b'\n' => return Err(WireError::BadChunk("a chunk size is not followed by CRLF")),
                _ => return Err(WireError::BadChunk("a chunk size is not a hexadecimal number")),
            };
            return Ok(());
        };
        if self.left > u64::MAX >> 4 {
            return Err(WireError::BadChunk("a chunk size overflows"));
        }
        self.left = self.left << 4 | value;
        // Leading zeros do not overflow, so the digits are counted as well.
        self.step = self.counted(MAX_SIZE_LINE_BYTES, "chunk size line", Step::Size)?;
        Ok(())
    }

    /// Counts a byte of a line against its limit, on the way to `next`.
    fn counted(&mut self, limit: u16, what: &'static str, next: Step) -> Result<Step, WireError> {
        if self.line >= limit {
            return Err(WireError::TooLarge(what));
        }
        self.line += 1;
        Ok(next)
    }
}

/// Returns the value of a hexadecimal digit; `None` for any other byte.
fn value_of(digit: u8) -> Option<u64> {
    char::from(digit).to_digit(16).map(u64::from)
}

fn expect(byte: u8, wanted: u8, else_error: &'static str) -> Result<(), WireError> {
    if byte == wanted { Ok(()) } else { Err(WireError::BadChunk(else_error)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds the pieces in turn. Returns the content, whether the end came, and the rest of the
    /// last piece.
    fn feed(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), WireError> {
        let mut decoder = Decoder::default();
        let (mut body, mut ended, mut left) = (Vec::new(), false, Vec::new());
        for piece in pieces {
            let mut input = *piece;
            while !ended && let Some(next) = decoder.next(&mut input) {
                match next? {
                    Piece::Data(data) => {
                        assert!(!data.is_empty(), "empty pieces of content are noise");
                        body.extend_from_slice(data);
                    }
                    Piece::End => ended = true,
                }
            }
            assert!(ended || input.is_empty(), "None means that the input is used up");
            left.extend_from_slice(input);
        }
        Ok((body, ended, left))
    }

    fn feed_every_way(bytes: &[u8], wanted: &Result<(Vec<u8>, bool, Vec<u8>), WireError>) {
        assert_eq!(&feed(&[bytes]), wanted);
        assert_eq!(&feed(&bytes.chunks(1).collect::<Vec<_>>()), wanted);
        for cut in 0..=bytes.len() {
            assert_eq!(&feed(&[&bytes[..cut], &bytes[cut..]]), wanted, "cut at {cut}");
        }
    }

    #[test]
    fn chunks_are_joined_at_every_cut() {
        let whole = |body: &str| Ok((body.as_bytes().to_vec(), true, Vec::new()));
        feed_every_way(b"5\r\nhello\r\n0\r\n\r\n", &whole("hello"));
        feed_every_way(b"3\r\nfoo\r\n4\r\n\r\nba\r\n0\r\n\r\n", &whole("foo\r\nba"));
        feed_every_way(b"0\r\n\r\n", &whole(""));
        feed_every_way(b"00a\r\n0123456789\r\n0000\r\n\r\n", &whole("0123456789"));
        feed_every_way(b"B\r\nhello world\r\nb\r\nhello world\r\n0\r\n\r\n", &whole("hello worldhello world"));
    }

    #[test]
    fn extensions_and_trailers_are_skipped() {
        let whole = Ok((b"hello".to_vec(), true, Vec::new()));
        feed_every_way(b"5;a=b;c=\"d;e\"\r\nhello\r\n0;last\r\n\r\n", &whole);
        feed_every_way(b"5 \t ;a\r\nhello\r\n0 \r\n\r\n", &whole);
        feed_every_way(b"5\r\nhello\r\n0\r\nDigest: abc\r\nServer-Timing: x\r\n\r\n", &whole);
        feed_every_way(b"5\r\nhello\r\n0\r\nA: b\n\n", &whole);
    }

    #[test]
    fn what_follows_the_end_is_left_in_the_input() {
        let wanted = Ok((b"a".to_vec(), true, b"HTTP/1.1 200".to_vec()));
        feed_every_way(b"1\r\na\r\n0\r\n\r\nHTTP/1.1 200", &wanted);
    }

    #[test]
    fn an_unfinished_body_has_no_end() {
        for bytes in [&b""[..], b"5", b"5\r\nhel", b"5\r\nhello\r\n", b"0\r\n", b"0\r\n\r", b"0\r\nA: b\r\n"] {
            let (_, ended, _) = feed(&[bytes]).unwrap();
            assert!(!ended, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn broken_framing_is_refused() {
        for (bytes, message) in [
            (&b"\r\n"[..], "a chunk size is missing"),
            (b"5\r\nhello\r\n\r\n", "a chunk size is missing"),
            (b";a\r\n", "a chunk size is missing"),
            (b" 5\r\n", "a chunk size is missing"),
            (b"-5\r\n", "a chunk size is missing"),
            (b"5g\r\n", "a chunk size is not a hexadecimal number"),
            (b"0x5\r\n", "a chunk size is not a hexadecimal number"),
            (b"5\nhello\r\n", "a chunk size is not followed by CRLF"),
            (b"5\r\rhello", "a chunk size is not followed by CRLF"),
            (b"5 5\r\n", "a chunk size is not followed by CRLF"),
            (b"5;a\n", "a chunk size is not followed by CRLF"),
            (b"5\r\nhello!\r\n", "a chunk is longer than its size"),
            (b"5\r\nhello\rx", "a chunk is longer than its size"),
            (b"5\r\nhello\n", "a chunk is longer than its size"),
            (b"0\r\n\rx", "the blank line after the last chunk is not CRLF"),
            (b"10000000000000000\r\n", "a chunk size overflows"),
            (b"fffffffffffffffff\r\n", "a chunk size overflows"),
        ] {
            feed_every_way(bytes, &Err(WireError::BadChunk(message)));
        }
        assert_eq!(feed(&[b"ffffffffffffffff\r\na"]).unwrap().0, b"a", "the largest size is no overflow");
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        let endless = |head: &str, fill: &str| {
            let mut bytes = head.as_bytes().to_vec();
            bytes.extend(fill.bytes().cycle().take(1024 * 1024));
            feed(&[&bytes])
        };
        assert_eq!(endless("5", "0"), Err(WireError::BadChunk("a chunk size overflows")));
        assert_eq!(endless("0", "0"), Err(WireError::TooLarge("chunk size line")));
        assert_eq!(endless("5;", "a"), Err(WireError::TooLarge("chunk extensions")));
        assert_eq!(endless("5", " "), Err(WireError::TooLarge("chunk extensions")));
        assert_eq!(endless("0\r\n", "a: b\r\n"), Err(WireError::TooLarge("trailers")));
        assert_eq!(endless("0\r\n", "a"), Err(WireError::TooLarge("trailers")));
    }

    #[test]
    fn the_state_is_two_words() {
        assert!(size_of::<Decoder>() <= 16);
    }

    fn encode(chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    }

    proptest! {
        #[test]
        fn any_body_survives_any_cuts(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8),
            step in 1_usize..40,
        ) {
            let bytes = encode(&chunks);
            let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
            prop_assert_eq!(feed(&pieces), Ok((chunks.concat(), true, Vec::new())));
        }

        #[test]
        fn nonsense_gives_the_same_answer_however_it_is_cut(
            bytes in prop::collection::vec(prop::sample::select(b"0015aF;\r\n\r\n x".to_vec()), 0..60),
            step in 1_usize..10,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
            prop_assert_eq!(feed(&pieces), feed(&[&bytes]));
        }
    }
}
