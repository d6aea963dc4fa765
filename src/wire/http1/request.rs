//! Writes request heads.

/// The part of a request that is the same each time it is sent.
#[derive(Debug, Clone, Copy)]
pub struct HeadSpec<'a> {
    /// The method. `POST` has a body, the others do not.
    pub method: &'a str,
    /// The path with its query, percent-encoded.
    pub path: &'a str,
    /// Name and port as in the URL: IPv6 in brackets, without the scheme's own port.
    pub host: &'a str,
    /// True to ask for an event stream; false for JSON.
    pub stream: bool,
    /// The user's own fields. They replace our fields of the same name. See [`check_header`].
    pub headers: &'a [(String, String)],
}

/// The fields that every request has, in their order.
const OURS: [&str; 5] = ["Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type"];
/// The fields that only this file may set: a wrong value would change where the request ends.
const FRAMING: [&str; 2] = ["Content-Length", "Transfer-Encoding"];

impl HeadSpec<'_> {
    /// Writes the head. With `POST` it ends in `Content-Length: `, and the caller adds the digits,
    /// an empty line and the body. Otherwise it is complete.
    pub fn write(&self, out: &mut Vec<u8>) {
        let post = self.method == "POST";
        for part in [self.method, " ", self.path, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        for name in OURS {
            let value = match name {
                "Host" => self.host,
                "User-Agent" => concat!("llmsim-blast/", env!("CARGO_PKG_VERSION")),
                "Accept" if self.stream => "text/event-stream",
                "Accept" => "application/json",
                // A compressed stream cannot be timed: its tokens would come out in blocks.
                "Accept-Encoding" => "identity",
                _ if post => "application/json",
                _ => "",
            };
            let mut replaced = false;
            for (user_name, user_value) in self.headers.iter().filter(|(user, _)| user.eq_ignore_ascii_case(name)) {
                write_field(out, user_name, user_value);
                replaced = true;
            }
            if !replaced && !value.is_empty() {
                write_field(out, name, value);
            }
        }
        let is_one_of = |names: &[&str], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        for (name, value) in self.headers {
            if !is_one_of(&OURS, name) && !is_one_of(&FRAMING, name) {
                write_field(out, name, value);
            }
        }
        out.extend_from_slice(if post { b"Content-Length: " } else { b"\r\n" });
    }
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// A complete request for a small resource over a connection that is used once: `/health`,
/// `/llmsim/stats`.
pub fn simple_get(host: &str, path: &str) -> Vec<u8> {
    let close = [("Connection".to_owned(), "close".to_owned())];
    let mut out = Vec::new();
    HeadSpec { method: "GET", path, host, stream: false, headers: &close }.write(&mut out);
    out
}

/// Checks that a header of the user can be sent. The error names the problem without repeating the
/// value, which may be a secret.
pub fn check_header(name: &str, value: &str) -> Result<(), String> {
    // A field name is a token: RFC 9110, sections 5.1 and 5.6.2.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!(
            "'{}' is not the name of a header: expected letters, digits and dashes",
            name.escape_debug()
        ));
    }
    if FRAMING.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Err(format!("`{name}` frames the request and is always set from the body: expected another header"));
    }
    // RFC 9110, section 5.5, allows neither line breaks nor other controls. With them the value
    // could pretend to be another header.
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!(
            "the value of `{name}` has a line break or another control character: expected one line of text"
        ));
    }
    Ok(())
}
