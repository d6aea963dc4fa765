//! Access control for the page: pages of other sites are refused, and other machines need the
//! token.

use sha2::{Digest as _, Sha256};
use std::net::{IpAddr, SocketAddr};

/// The conditions that every request must meet.
#[derive(Debug)]
pub(super) struct Door {
    port: u16,
    is_loopback: bool,
    /// Hash of the token, so that a comparison takes the same time for every guess.
    token: Option<[u8; 32]>,
}

/// The parts of a request that are checked.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Shown<'a> {
    /// The `Host` header.
    pub(super) host: Option<&'a str>,
    /// The `Authorization` header.
    pub(super) authorization: Option<&'a str>,
    /// The `Cookie` header.
    pub(super) cookie: Option<&'a str>,
    /// The query of the URL.
    pub(super) query: Option<&'a str>,
}

/// The decision about a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    ComeIn,
    /// The token was in the query. The browser is to store it in this cookie, and to repeat the
    /// request without it.
    Remember(String),
    /// The request names another host. A page of another site may have pointed that name here.
    WrongHost,
    NoToken,
}

impl Door {
    pub(super) fn new(addr: SocketAddr, token: Option<&str>) -> Self {
        Self { port: addr.port(), is_loopback: addr.ip().is_loopback(), token: token.map(hash) }
    }

    /// Returns the cookie's name. It includes the port, because all ports of a host share their
    /// cookies.
    fn cookie_name(&self) -> String {
        format!("llmsim_blast_{}", self.port)
    }

    pub(super) fn asks(&self, shown: Shown<'_>) -> Answer {
        // A name that resolves to an address of this machine is not sufficient (DNS rebinding). On
        // other addresses a foreign page lacks the token.
        if self.is_loopback && !shown.host.is_some_and(is_loopback_name) {
            return Answer::WrongHost;
        }
        let Some(token) = &self.token else { return Answer::ComeIn };
        let fits = |given: &str| hash(given) == *token;
        let bearer = shown.authorization.and_then(|value| value.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, given)| given.trim());
        let name = self.cookie_name();
        let cookies =
            shown.cookie.into_iter().flat_map(|all| all.split(';')).filter_map(|one| one.trim().split_once('='));
        let mut kept = cookies.filter(|(known, _)| *known == name).map(|(_, given)| given);
        if bearer.is_some_and(fits) || kept.any(fits) {
            return Answer::ComeIn;
        }
        let parameters = shown.query.into_iter().flat_map(|query| query.split('&'));
        let mut given = parameters.filter_map(|one| one.strip_prefix("token="));
        match given.find(|given| fits(given)) {
            Some(token) => Answer::Remember(format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict")),
            None => Answer::NoToken,
        }
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Accepts `localhost`, `127.0.0.1:9540`, `[::1]:9540`.
fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, port)) if port.is_empty() || port.starts_with(':') => ip,
        Some(_) => return false,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(addr: &str, token: Option<&str>) -> Door {
        Door::new(addr.parse().expect("an address"), token)
    }

    #[test]
    fn a_loopback_page_answers_to_loopback_names_only() {
        let door = door("127.0.0.1:9540", None);
        for host in ["127.0.0.1:9540", "localhost:9540", "LOCALHOST", "[::1]:9540", "127.0.0.2", "localhost:1"] {
            assert_eq!(door.asks(Shown { host: Some(host), ..Shown::default() }), Answer::ComeIn, "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "[::1]evil", "192.0.2.1:9540", ""] {
            assert_eq!(door.asks(Shown { host: Some(host), ..Shown::default() }), Answer::WrongHost, "{host}");
        }
        assert_eq!(door.asks(Shown::default()), Answer::WrongHost);
    }

    #[test]
    fn a_token_opens_the_door_in_three_ways() {
        let door = door("192.0.2.1:9540", Some("sesame-open"));
        let host = Some("bench.example:9540");
        let asks = |shown: Shown<'_>| door.asks(Shown { host, ..shown });
        assert_eq!(asks(Shown::default()), Answer::NoToken);
        for authorization in ["Bearer sesame-open", "bearer  sesame-open"] {
            assert_eq!(asks(Shown { authorization: Some(authorization), ..Shown::default() }), Answer::ComeIn);
        }
        let cookie = Some("other=1; llmsim_blast_9540=sesame-open");
        assert_eq!(asks(Shown { cookie, ..Shown::default() }), Answer::ComeIn);
        let Answer::Remember(cookie) = asks(Shown { query: Some("a=1&token=sesame-open"), ..Shown::default() }) else {
            panic!("it is to be remembered");
        };
        assert_eq!(cookie, "llmsim_blast_9540=sesame-open; Path=/; HttpOnly; SameSite=Strict");
        for wrong in ["Bearer sesame", "Basic sesame-open", "sesame-open"] {
            assert_eq!(asks(Shown { authorization: Some(wrong), ..Shown::default() }), Answer::NoToken, "{wrong}");
        }
        for wrong in [Some("llmsim_blast_1=sesame-open"), Some("llmsim_blast_9540=x"), Some(";;=")] {
            assert_eq!(asks(Shown { cookie: wrong, ..Shown::default() }), Answer::NoToken);
        }
        assert_eq!(asks(Shown { query: Some("token="), ..Shown::default() }), Answer::NoToken);
    }

    #[test]
    fn a_token_is_no_reason_to_answer_to_strange_names() {
        let door = door("127.0.0.1:9540", Some("sesame-open"));
        let shown = Shown { host: Some("evil.example"), query: Some("token=sesame-open"), ..Shown::default() };
        assert_eq!(door.asks(shown), Answer::WrongHost);
    }
}
