//! The address of the live page, and its token.

use super::source::Changed;
use super::{Overrides, PlanError};
use crate::mix::Secret;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The default port.
const DEFAULT_WEB_PORT: u16 = 9540;
/// Length of a token in bytes: shorter ones can be guessed, and longer ones do not fit a cookie.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 8..=512;

/// The address of the live page, and its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebPlace {
    pub addr: SocketAddr,
    /// The token that a browser must present. Required if other machines can reach the page.
    pub token: Option<Secret>,
}

impl WebPlace {
    /// Returns the token in clear text.
    pub fn token(&self) -> Option<&str> {
        self.token.as_ref().map(Secret::reveal)
    }
}

pub(super) fn web(overrides: &Overrides, changed: &mut Changed) -> Result<Option<WebPlace>, PlanError> {
    let token = overrides.one("web_token");
    let Some(given) = overrides.one("web") else {
        return match token.filter(|token| token.is_flag()) {
            Some(token) => Err(token.misplaced("cannot be used without --web")),
            None => Ok(None),
        };
    };
    let addr = address(&given.value)
        .ok_or_else(|| given.bad("a port, an address, or both, such as 9540, 127.0.0.1 or 127.0.0.1:9540"))?;
    changed.insert("web".to_owned(), given.origin.clone());
    if let Some(token) = token {
        changed.insert("web_token".to_owned(), token.origin.clone());
        let plain = token.value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !plain || !TOKEN_BYTES.contains(&token.value.len()) {
            let (least, most) = (TOKEN_BYTES.start(), TOKEN_BYTES.end());
            let problem = format!("expected {least} to {most} ASCII letters, digits, dashes, dots or underscores");
            return Err(token.unusable(problem));
        }
    }
    if !addr.ip().is_loopback() && token.is_none() {
        let problem = "can be reached from other machines: set --web-token, or use 127.0.0.1";
        return Err(given.wrong(problem));
    }
    Ok(Some(WebPlace { addr, token: token.map(|token| Secret::new(token.value.clone())) }))
}

/// Parses `9540`, `127.0.0.1`, `[::1]:9540` or `localhost:9540`. Names other than `localhost` are
/// not looked up: a page is served at an address.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    if text.is_empty() || text.eq_ignore_ascii_case("localhost") {
        return Some(local(DEFAULT_WEB_PORT));
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(local);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse() {
        return Some(SocketAddr::new(ip, DEFAULT_WEB_PORT));
    }
    match text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':')) {
        Some(port) => port.parse().ok().map(local),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Given;

    fn place(web: &str, token: Option<&str>) -> Result<Option<WebPlace>, String> {
        let mut overrides = Overrides::default();
        overrides.insert("web", vec![Given::flag("web", web)]);
        overrides.insert("web_token", token.map(|token| Given::flag("web-token", token)).into_iter().collect());
        super::web(&overrides, &mut Changed::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn places_are_addresses_or_ports() {
        for (text, addr) in [
            ("", "127.0.0.1:9540"),
            ("0", "127.0.0.1:0"),
            ("8000", "127.0.0.1:8000"),
            (":8000", "127.0.0.1:8000"),
            ("localhost", "127.0.0.1:9540"),
            ("localhost:81", "127.0.0.1:81"),
            ("127.0.0.3", "127.0.0.3:9540"),
            ("[::1]:8000", "[::1]:8000"),
            ("::1", "[::1]:9540"),
        ] {
            let place = place(text, None).expect(text).expect("a place");
            assert_eq!((place.addr.to_string().as_str(), place.token), (addr, None), "{text}");
        }
        for text in ["load", "70000", "host.example:80", "127.0.0.1:", "1.2.3.4.5"] {
            let error = place(text, None).expect_err(text);
            assert!(error.contains("--web") && error.contains("127.0.0.1:9540"), "{error}");
        }
    }

    #[test]
    fn other_machines_need_a_token_that_is_not_shown() {
        let error = place("0.0.0.0:80", None).expect_err("it is open to all");
        assert!(error.contains("set --web-token"), "{error}");
        assert!(place("0.0.0.0:80", Some("sesame-open")).is_ok());
        for token in ["short", "with space in it", "a;b;c;d;e;f"] {
            let error = place("0.0.0.0:80", Some(token)).expect_err(token);
            assert!(error.contains("--web-token") && !error.contains(token), "{error}");
        }
        let mut alone = Overrides::default();
        alone.insert("web_token", vec![Given::flag("web-token", "sesame-open")]);
        let error = super::web(&alone, &mut Changed::new()).expect_err("alone").to_string();
        assert!(error.contains("without --web") && !error.contains("sesame"), "{error}");
    }
}
