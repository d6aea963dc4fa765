//! The tickets of earlier sessions, for resuming them.
//!
//! rustls' own store keeps eight tickets per name. This suits a browser, but if thousands of
//! connections are reopened at once, nearly all of them would need a full handshake. Each TLS 1.3
//! ticket is used once (RFC 8446, appendix C.4), so a worker keeps as many as it has connections.

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tickets of one worker. rustls requires a store that threads can share. Here only one thread
/// uses it, once per handshake.
pub(super) struct Tickets {
    /// Maximum number of tickets per name.
    most: usize,
    shelves: Mutex<HashMap<ServerName<'static>, Shelf>>,
}

/// The tickets of one server.
#[derive(Default)]
struct Shelf {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    tls13: VecDeque<Tls13ClientSessionValue>,
}

impl Tickets {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), shelves: Mutex::default() }
    }

    fn shelves(&self) -> MutexGuard<'_, HashMap<ServerName<'static>, Shelf>> {
        // A poisoned lock leaves the tickets usable.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("most", &self.most).finish_non_exhaustive()
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.shelves().entry(server_name).or_default().group = Some(group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.shelves().get(&server_name.to_owned())?.group
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.shelves().entry(server_name).or_default().tls12 = Some(value);
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.shelves().get(&server_name.to_owned())?.tls12.clone()
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        if let Some(shelf) = self.shelves().get_mut(server_name) {
            shelf.tls12 = None;
        }
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut shelves = self.shelves();
        let tickets = &mut shelves.entry(server_name).or_default().tls13;
        // The server will forget the oldest ticket first.
        if tickets.len() >= self.most {
            tickets.pop_front();
        }
        tickets.push_back(value);
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.shelves().get_mut(server_name)?.tls13.pop_back()
    }
}
