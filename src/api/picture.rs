//! A picture that accompanies the prompt of a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The first bytes of a file and the media type they imply (WHATWG, "MIME Sniffing", section 6.1).
const TYPES: [(&[u8], &str); 4] = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
];

/// The built-in picture: a landscape of 64 × 64 pixels.
const SMALL: &[u8] = include_bytes!("../../assets/small.png");

/// A picture in the form in which requests carry it. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The media type, such as `image/png`.
    pub media_type: &'static str,
    /// The size of the file.
    pub bytes: usize,
    base64: String,
}

impl Picture {
    /// Returns the picture in the content of a file. `None` if it is neither PNG, JPEG, GIF nor
    /// WebP.
    pub fn of(file: &[u8]) -> Option<Self> {
        let (_, media_type) = TYPES.into_iter().find(|(begin, _)| file.starts_with(begin))?;
        // RIFF files can also hold audio or video.
        if media_type == "image/webp" && file.get(8..12) != Some(b"WEBP") {
            return None;
        }
        Some(Self { media_type, bytes: file.len(), base64: STANDARD.encode(file) })
    }

    /// Returns the built-in picture.
    pub fn small() -> Self {
        Self { media_type: "image/png", bytes: SMALL.len(), base64: STANDARD.encode(SMALL) }
    }

    /// Returns the content of the file.
    pub fn file(&self) -> Vec<u8> {
        // Decoding cannot fail, because we encoded it.
        STANDARD.decode(&self.base64).unwrap_or_default()
    }

    /// Returns the file in base64 (RFC 4648, section 4).
    pub(super) fn base64(&self) -> &str {
        &self.base64
    }

    /// Returns the picture as a `data:` URL (RFC 2397).
    pub(super) fn url(&self) -> String {
        format!("data:{};base64,{}", self.media_type, self.base64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_how_it_begins() {
        for (file, media_type) in [
            (SMALL, Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\0\0\0\0WAVEfmt ", None),
            (b"RIFF", None),
            (b"", None),
            (b"<svg/>", None),
        ] {
            assert_eq!(Picture::of(file).map(|picture| picture.media_type), media_type, "{file:?}");
        }
        assert_eq!(Picture::of(SMALL), Some(Picture::small()));
        assert_eq!(Picture::small().file(), SMALL);
        assert!(Picture::small().url().starts_with("data:image/png;base64,iVBORw0KGgo"));
    }
}
