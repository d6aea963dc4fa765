//! The connections of a worker, one for each virtual user.

use super::connection::Connection;
use super::slot::Slot;
use std::ops::{Index, IndexMut};

/// The connections of a worker, by slot.
#[derive(Debug)]
pub(super) struct Connections {
    all: Vec<Connection>,
    /// Requests after which a connection is closed; `None` means never.
    max_requests: Option<u32>,
}

impl Connections {
    pub(super) fn new(slots: usize, max_requests: Option<u32>) -> Self {
        Self { all: (0..slots).map(|_| Connection::new()).collect(), max_requests }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.all.len() as u32).map(Slot)
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Connection> {
        self.all.iter_mut()
    }

    /// Returns true if the connection may carry another request after the present one.
    pub(super) fn may_serve(&self, slot: Slot) -> bool {
        self.max_requests.is_none_or(|most| self[slot].served().saturating_add(1) < most)
    }
}

impl Index<Slot> for Connections {
    type Output = Connection;

    #[inline]
    fn index(&self, slot: Slot) -> &Connection {
        &self.all[slot.index()]
    }
}

impl IndexMut<Slot> for Connections {
    #[inline]
    fn index_mut(&mut self, slot: Slot) -> &mut Connection {
        &mut self.all[slot.index()]
    }
}
