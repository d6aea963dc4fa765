//! Timer wheel: takes pairs of deadline and key, returns due keys. It is pure: time is an argument.
//!
//! There are two wheels. The near one has a slot for each millisecond of the current *block* of
//! 4,096. The far one has a slot for each of the next 1,023 blocks (70 minutes). When the near
//! wheel moves on to a block, the entries of that block come down from the far wheel. Later
//! deadlines wait in the last far slot and are sorted in again at its turn, so no deadline is too
//! far away.
//!
//! An entry is in the slot of the first full millisecond at or *after* its deadline. So a slot is
//! due as a whole: never early, and late by less than a millisecond. Each key has one entry, linked
//! through the keys themselves: setting and cancelling take a few stores, and nothing is allocated
//! once all keys are known. With bitmaps of the occupied slots the next deadline takes a few
//! instructions.

use crate::units::Nanos;

/// Length of a near slot.
const TICK: u64 = 1_000_000;
/// Near slots, a power of two: one block.
const NEAR: u64 = 4096;
/// Far slots, a power of two: one for each block.
const FAR: u64 = 1024;
/// Stands for a missing key or slot.
const NONE: u32 = u32::MAX;

/// Words of a bitmap of all slots: the near wheel's 64, then the far wheel's 16.
const NEAR_WORDS: usize = NEAR as usize / 64;
const FAR_WORDS: usize = FAR as usize / 64;

#[derive(Debug)]
pub(super) struct Timers {
    entries: Vec<Entry>,
    /// First key of each slot: the near ones, then the far ones.
    heads: Vec<u32>,
    near: [u64; NEAR_WORDS],
    /// Which words of `near` are not zero.
    near_words: u64,
    far: [u64; FAR_WORDS],
    /// Every entry before this tick has been popped. Its block is the one on the near wheel.
    tick: u64,
}

/// The state of a key.
#[derive(Debug, Clone, Copy)]
struct Entry {
    deadline: Nanos,
    prev: u32,
    next: u32,
    /// The slot that links the entry, or `NONE`.
    slot: u32,
}

impl Timers {
    /// Creates wheels with room for keys below `capacity_keys`. More room is made when keys are
    /// set.
    pub(super) fn new(capacity_keys: usize) -> Self {
        let mut timers = Self {
            entries: Vec::new(),
            heads: vec![NONE; (NEAR + FAR) as usize],
            near: [0; NEAR_WORDS],
            near_words: 0,
            far: [0; FAR_WORDS],
            tick: 0,
        };
        timers.grow(capacity_keys);
        timers
    }

    /// Makes `key` due at `deadline` only: an earlier setting is forgotten.
    pub(super) fn set(&mut self, key: u32, deadline: Nanos) {
        debug_assert_ne!(key, NONE, "the last number is not a key");
        self.cancel(key);
        self.grow(key as usize + 1);
        self.entries[key as usize].deadline = deadline;
        self.link(key);
    }

    /// Forgets `key`, if it is set.
    pub(super) fn cancel(&mut self, key: u32) {
        if self.entries.get(key as usize).is_some_and(|entry| entry.slot != NONE) {
            self.unlink(key);
        }
    }

    /// Removes and returns one key whose deadline has passed. Call until `None`.
    pub(super) fn pop_due(&mut self, now: Nanos) -> Option<u32> {
        let now = now.0 / TICK;
        loop {
            let block = self.tick / NEAR;
            if now / NEAR < block {
                return None;
            }
            let last = if now / NEAR == block { now % NEAR } else { NEAR - 1 };
            if let Some(slot) = self.first_near().filter(|&slot| slot <= last) {
                let key = self.heads[slot as usize];
                self.unlink(key);
                return Some(key);
            }
            if now / NEAR == block {
                self.tick = self.tick.max(now);
                return None;
            }
            // The near wheel is empty: move on to the next block with entries.
            let next = self.first_far().map_or(now / NEAR, |ahead| (block + ahead).min(now / NEAR));
            self.tick = next * NEAR;
            self.come_down(next % FAR);
        }
    }

    /// Returns when to call `pop_due` again: when an entry is due, or when the near wheel has to
    /// move on first. This is less than a millisecond after the earliest deadline, or before it.
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        let block = self.tick / NEAR;
        let near = self.first_near().map(|slot| block * NEAR + slot);
        near.or_else(|| self.first_far().map(|ahead| (block + ahead) * NEAR))
            .map(|tick| Nanos(tick.saturating_mul(TICK)))
    }

    /// Returns the first occupied near slot. All near slots belong to the current block.
    fn first_near(&self) -> Option<u64> {
        if self.near_words == 0 {
            return None;
        }
        let word = self.near_words.trailing_zeros();
        Some(u64::from(word * 64 + self.near[word as usize].trailing_zeros()))
    }

    /// Returns how many blocks ahead the first occupied far slot is.
    fn first_far(&self) -> Option<u64> {
        // The current block's own far slot is always empty, so the search may start at it and end
        // before it.
        let start = self.tick / NEAR % FAR;
        let (first, bit) = (start as usize / 64, start % 64);
        for i in 0..=FAR_WORDS {
            let word = (first + i) % FAR_WORDS;
            let seen = match i {
                0 => u64::MAX << bit,
                FAR_WORDS => !(u64::MAX << bit),
                _ => u64::MAX,
            };
            let bits = self.far[word] & seen;
            if bits != 0 {
                let slot = word as u64 * 64 + u64::from(bits.trailing_zeros());
                return Some((slot + FAR - start) % FAR);
            }
        }
        None
    }

    /// Sorts the entries of a far slot in again, now that its block has come.
    fn come_down(&mut self, far_slot: u64) {
        let mut key = self.heads[(NEAR + far_slot) as usize];
        while key != NONE {
            let next = self.entries[key as usize].next;
            self.unlink(key);
            self.link(key);
            key = next;
        }
    }

    /// Returns the slot for an entry with that deadline, as of now.
    fn slot_for(&self, deadline: Nanos) -> u32 {
        let tick = deadline.0.div_ceil(TICK).max(self.tick);
        let ahead = tick / NEAR - self.tick / NEAR;
        let slot = match ahead {
            0 => tick % NEAR,
            _ => NEAR + (self.tick / NEAR + ahead.min(FAR - 1)) % FAR,
        };
        slot as u32
    }

    fn link(&mut self, key: u32) {
        let slot = self.slot_for(self.entries[key as usize].deadline);
        let next = std::mem::replace(&mut self.heads[slot as usize], key);
        if next != NONE {
            self.entries[next as usize].prev = key;
        }
        let entry = &mut self.entries[key as usize];
        (entry.prev, entry.next, entry.slot) = (NONE, next, slot);
        self.mark(slot as usize, true);
    }

    fn unlink(&mut self, key: u32) {
        let Entry { prev, next, slot, .. } = self.entries[key as usize];
        if next != NONE {
            self.entries[next as usize].prev = prev;
        }
        if prev == NONE {
            self.heads[slot as usize] = next;
        } else {
            self.entries[prev as usize].next = next;
        }
        self.entries[key as usize].slot = NONE;
        if self.heads[slot as usize] == NONE {
            self.mark(slot as usize, false);
        }
    }

    /// Updates the bitmaps.
    fn mark(&mut self, slot: usize, occupied: bool) {
        fn set(word: &mut u64, bit: usize, on: bool) {
            *word = *word & !(1 << bit) | (u64::from(on) << bit);
        }
        if let Some(far) = slot.checked_sub(NEAR as usize) {
            set(&mut self.far[far / 64], far % 64, occupied);
        } else {
            set(&mut self.near[slot / 64], slot % 64, occupied);
            set(&mut self.near_words, slot / 64, self.near[slot / 64] != 0);
        }
    }

    fn grow(&mut self, keys: usize) {
        if self.entries.len() < keys {
            self.entries.resize(keys, Entry { deadline: Nanos::ZERO, prev: NONE, next: NONE, slot: NONE });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn ms(n: u64) -> Nanos {
        Nanos::from_millis(n)
    }

    fn pop_all(timers: &mut Timers, now: Nanos) -> Vec<u32> {
        let mut keys: Vec<u32> = std::iter::from_fn(|| timers.pop_due(now)).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn never_early_and_less_than_a_millisecond_late() {
        let mut timers = Timers::new(4);
        timers.set(0, Nanos(1_500_001));
        timers.set(1, ms(2));
        timers.set(2, ms(3));
        assert_eq!(timers.next_deadline(), Some(ms(2)));
        assert_eq!(timers.pop_due(Nanos(1_999_999)), None);
        assert_eq!(pop_all(&mut timers, ms(2)), [0, 1]);
        assert_eq!(timers.next_deadline(), Some(ms(3)));
        assert_eq!(pop_all(&mut timers, ms(90_000_000)), [2]);
        assert_eq!((timers.next_deadline(), timers.pop_due(Nanos::MAX)), (None, None));
    }

    #[test]
    fn setting_again_moves_and_cancelling_forgets() {
        let mut timers = Timers::new(0);
        timers.cancel(9);
        timers.set(3, ms(5));
        timers.set(3, ms(50_000));
        assert_eq!(timers.pop_due(ms(49_999)), None);
        timers.set(3, ms(49_999));
        assert_eq!(pop_all(&mut timers, ms(49_999)), [3]);
        timers.set(3, ms(60_000));
        timers.cancel(3);
        timers.cancel(3);
        assert_eq!((timers.next_deadline(), timers.pop_due(Nanos::MAX)), (None, None));
    }

    #[test]
    fn a_deadline_in_the_past_is_due_at_once() {
        let mut timers = Timers::new(1);
        assert_eq!(timers.pop_due(ms(10_000)), None);
        timers.set(0, ms(3));
        assert!(timers.next_deadline() <= Some(ms(10_000)));
        assert_eq!(timers.pop_due(ms(10_000)), Some(0));
    }

    #[test]
    fn the_farthest_deadlines_wait_for_their_time() {
        let mut timers = Timers::new(2);
        let day = Nanos::from_secs(24 * 3600);
        timers.set(0, day);
        timers.set(1, Nanos::MAX);
        let mut naps = 0;
        loop {
            let wake = timers.next_deadline().expect("both are set");
            naps += 1;
            if let Some(key) = timers.pop_due(wake) {
                assert_eq!((key, wake), (0, day));
                break;
            }
        }
        assert!(naps < 30, "{naps} wakes in a day");
        assert!(timers.next_deadline() > Some(day));
        assert_eq!(timers.pop_due(Nanos::from_secs(365 * 24 * 3600)), None);
    }

    #[test]
    fn what_fires_can_be_set_again_while_popping() {
        let mut timers = Timers::new(1);
        timers.set(0, ms(4095));
        let mut fired = 0;
        while let Some(key) = timers.pop_due(ms(4100)) {
            fired += 1;
            timers.set(key, ms(4095 + fired * 2));
        }
        assert_eq!((fired, timers.next_deadline()), (3, Some(ms(4101))));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set(u32, u64),
        Cancel(u32),
        Wait(u64),
        Sleep,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Within a slot, a block, the far wheel, and beyond it.
        let length = || prop_oneof![0..3 * TICK, 0..5000 * TICK, 0..5_000_000 * TICK, 0..20_000_000 * TICK];
        let step = prop_oneof![
            4 => (0..20u32, length()).prop_map(|(key, after)| Step::Set(key, after)),
            1 => (0..20u32).prop_map(Step::Cancel),
            2 => length().prop_map(Step::Wait),
            3 => Just(Step::Sleep),
        ];
        prop::collection::vec(step, 0..120)
    }

    proptest! {
        #[test]
        fn a_sorted_map_says_the_same(steps in steps()) {
            let mut timers = Timers::new(3);
            let mut model: BTreeMap<u32, Nanos> = BTreeMap::new();
            let mut now = Nanos::ZERO;
            for step in steps {
                match step {
                    Step::Set(key, after) => {
                        // Some deadlines are in the past.
                        let deadline = Nanos((now.0 + after).saturating_sub(2 * TICK));
                        timers.set(key, deadline);
                        model.insert(key, deadline);
                    }
                    Step::Cancel(key) => {
                        timers.cancel(key);
                        model.remove(&key);
                    }
                    Step::Wait(length) => now += Nanos(length),
                    Step::Sleep => now = timers.next_deadline().map_or(now, |wake| wake.max(now)),
                }
                let expected: Vec<u32> = model
                    .iter()
                    .filter(|(_, deadline)| deadline.0.div_ceil(TICK) <= now.0 / TICK)
                    .map(|(key, _)| *key)
                    .collect();
                prop_assert_eq!(pop_all(&mut timers, now), &expected[..]);
                for key in expected {
                    model.remove(&key);
                }
                let earliest = model.values().min();
                prop_assert_eq!(timers.next_deadline().is_some(), earliest.is_some());
                if let (Some(wake), Some(earliest)) = (timers.next_deadline(), earliest) {
                    prop_assert!(wake.0 < earliest.0 + TICK, "{:?} is late for {:?}", wake, earliest);
                    prop_assert!(wake > now, "a loop would spin");
                    if earliest.0.div_ceil(TICK) / NEAR == now.0 / TICK / NEAR {
                        prop_assert!(wake >= *earliest, "{:?} is early for {:?}", wake, earliest);
                    }
                }
            }
        }
    }
}
