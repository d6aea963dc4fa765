//! Prompts of exactly N tokens without a tokenizer: words that are one token each.
//!
//! `assets/one-token-words.txt` contains English words that are one token, with a space before
//! them, in every vocabulary that was checked. `assets/README.md` lists the vocabularies, and
//! explains how the list was made. So `N` words are `N` tokens, and a request can be written
//! without a tokenizer.

use fastrand::Rng;
use std::sync::LazyLock;

/// The words that may begin a prompt, an empty line, and the other words.
const LIST: &str = include_str!("../../assets/one-token-words.txt");
/// Bytes of a slot: a space and a word of at most 14 letters. The last byte is their length.
const SLOT: usize = 16;
/// Words that are drawn one by one and put together on the stack, to be appended in one go. They
/// come first, and are enough for all prompts to begin differently.
const BLOCK: usize = 64;
/// Words after those, which are drawn together: one draw and one copy for each run.
const RUN: usize = 8;
/// Bytes that are copied for a run. No run is longer.
const FRAME: usize = RUN * SLOT;
/// Room on the stack for runs.
const FRAMES: usize = 8 * FRAME;
/// Seed of the order of the words in runs, which is not alphabetical.
const ORDER: u64 = 0x576f_7264_7352_756e;
/// Mean bytes of a word with its space, to estimate a prompt's length.
const MEAN_BYTES: (usize, usize) = (15, 2);

/// All words: those that may begin a prompt, and then the others.
static WORDS: LazyLock<Words> = LazyLock::new(|| Words::read(LIST));

/// A list of words that are one token each.
#[derive(Debug)]
pub(super) struct Words {
    slots: Vec<[u8; SLOT]>,
    /// Number of words at the front that are one token even without a space before them.
    firsts: usize,
    /// All words as one text, each with a space before it, and enough padding to copy every run as
    /// a whole frame.
    text: Vec<u8>,
    /// The beginning of each word in the text, and the end of a run that begins with the last word.
    starts: Vec<usize>,
}

/// Estimates the number of bytes of `count` words.
pub(super) const fn estimate(count: u32) -> usize {
    count as usize * MEAN_BYTES.0 / MEAN_BYTES.1
}

/// Appends `count` words drawn by `rng`, all of them ASCII letters. With `begins`, nothing stands
/// before them, so the first word has no space. Fewer words are the beginning of more words: a
/// partial block of a trace is the beginning of the whole block. Does not allocate if `out` has
/// room.
pub(super) fn append(rng: &mut Rng, count: u32, begins: bool, out: &mut Vec<u8>) {
    WORDS.append(rng, count, begins, out);
}

impl Words {
    /// Reads a list. Longer words are left out, but the list has none.
    fn read(list: &str) -> Self {
        let slot = |word: &str| {
            let mut slot = [b' '; SLOT];
            slot.get_mut(1..=word.len()).filter(|_| word.len() + 1 < SLOT)?.copy_from_slice(word.as_bytes());
            slot[SLOT - 1] = word.len() as u8 + 1;
            Some(slot)
        };
        let (firsts, others) = list.split_once("\n\n").unwrap_or((list, ""));
        let mut slots: Vec<_> = firsts.lines().filter_map(slot).collect();
        let firsts = slots.len();
        slots.extend(others.lines().filter_map(slot));
        let mut order: Vec<&[u8; SLOT]> = slots.iter().collect();
        Rng::with_seed(ORDER).shuffle(&mut order);
        let (mut text, mut starts) = (Vec::new(), Vec::new());
        for slot in order.iter().cycle().take(order.len() + RUN) {
            starts.push(text.len());
            text.extend_from_slice(&slot[..usize::from(slot[SLOT - 1])]);
        }
        text.resize(text.len() + FRAME, b' ');
        Self { slots, firsts, text, starts }
    }

    fn append(&self, rng: &mut Rng, count: u32, begins: bool, out: &mut Vec<u8>) {
        let mut left = count as usize;
        if begins && left > 0 {
            let first = &self.slots[rng.usize(0..self.firsts)];
            out.extend_from_slice(&first[1..usize::from(first[SLOT - 1])]);
            left -= 1;
        }
        let alone = left.min(BLOCK);
        self.append_words(rng, alone, out);
        self.append_runs(rng, left - alone, out);
    }

    /// Appends at most [`BLOCK`] words, each of them drawn.
    fn append_words(&self, rng: &mut Rng, words: usize, out: &mut Vec<u8>) {
        // Each word is copied as a whole slot, and the next word overwrites the excess: a copy of a
        // fixed size takes two moves, without a call.
        let mut block = [0; BLOCK * SLOT];
        let mut end = 0;
        let mut draws = Draws::new(rng, self.slots.len());
        for _ in 0..words {
            let slot = &self.slots[draws.next()];
            block[end..end + SLOT].copy_from_slice(slot);
            end += usize::from(slot[SLOT - 1]);
        }
        out.extend_from_slice(&block[..end]);
    }

    /// Appends words in runs. The last run may be cut short. A word costs 3 ns if drawn by itself,
    /// and 1 ns in a run.
    fn append_runs(&self, rng: &mut Rng, mut words: usize, out: &mut Vec<u8>) {
        let mut frames = [0; FRAMES];
        let mut draws = Draws::new(rng, self.slots.len());
        while words > 0 {
            let mut end = 0;
            while words > 0 && end + FRAME <= FRAMES {
                let (word, run) = (draws.next(), words.min(RUN));
                let (from, to) = (self.starts[word], self.starts[word + run]);
                frames[end..end + FRAME].copy_from_slice(&self.text[from..from + FRAME]);
                end += to - from;
                words -= run;
            }
            out.extend_from_slice(&frames[..end]);
        }
    }
}

/// Numbers below a bound of at most 16 bits. Each drawn number yields four.
struct Draws<'a> {
    rng: &'a mut Rng,
    bound: usize,
    bits: u64,
    left: u32,
}

impl<'a> Draws<'a> {
    const fn new(rng: &'a mut Rng, bound: usize) -> Self {
        Self { rng, bound, bits: 0, left: 0 }
    }

    fn next(&mut self) -> usize {
        (self.bits, self.left) = if self.left == 0 { (self.rng.u64(..), 3) } else { (self.bits >> 16, self.left - 1) };
        // 16 bits hold many times as many numbers as there are words.
        ((self.bits & 0xffff) as usize * self.bound) >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn words(seed: u64, count: u32, begins: bool) -> String {
        let mut out = Vec::new();
        append(&mut Rng::with_seed(seed), count, begins, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn the_list_is_read_whole() {
        let listed: Vec<&str> = LIST.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(WORDS.slots.len(), listed.len());
        assert!(WORDS.firsts > 1000 && WORDS.slots.len() > 4000);
        assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), listed.len(), "each word stands there once");
        assert!(listed.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase())), "JSON needs no escapes");
        let mean = listed.iter().map(|word| word.len() + 1).sum::<usize>() * 100 / listed.len();
        assert!(mean.abs_diff(MEAN_BYTES.0 * 100 / MEAN_BYTES.1) < 10, "{mean}");
    }

    /// Returns the vocabularies that a crate carries. `assets/README.md` lists the others.
    fn vocabularies() -> [(&'static str, tiktoken_rs::CoreBPE); 3] {
        let read = |name, vocabulary: Result<_, _>| (name, vocabulary.expect("built in"));
        [
            read("cl100k", tiktoken_rs::cl100k_base()),
            read("o200k", tiktoken_rs::o200k_base()),
            read("r50k", tiktoken_rs::r50k_base()),
        ]
    }

    #[test]
    fn every_word_is_one_token_and_so_many_words_are_so_many_tokens() {
        for (name, vocabulary) in vocabularies() {
            let tokens = |text: &str| vocabulary.encode_ordinary(text).len();
            for (i, slot) in WORDS.slots.iter().enumerate() {
                let spaced = str::from_utf8(&slot[..usize::from(slot[SLOT - 1])]).expect("ASCII");
                assert_eq!(tokens(spaced), 1, "{name}: `{spaced}`");
                assert!(i >= WORDS.firsts || tokens(spaced.trim()) == 1, "{name}: `{spaced}` cannot begin a prompt");
            }
            let mut rng = Rng::with_seed(5);
            for seed in 0..100 {
                let count = if seed < 20 { seed + 1 } else { rng.u32(21..=3000) };
                assert_eq!(tokens(&words(seed.into(), count, true)), count as usize, "{name}, {count} words");
            }
        }
    }

    #[test]
    fn so_many_words_come_as_were_asked_for() {
        let listed: BTreeSet<&str> = LIST.lines().collect();
        for count in [0, 1, 2, 3, 63, 64, 65, 66, 71, 72, 73, 79, 80, 81, 128, 129, 135, 136, 137, 1000, 10_000] {
            let (begun, continued) = (words(7, count, true), words(7, count, false));
            assert!(begun.split_whitespace().chain(continued.split_whitespace()).all(|word| listed.contains(word)));
            assert_eq!(begun.split_whitespace().count(), count as usize);
            assert_eq!(continued.split_whitespace().count(), count as usize);
            let longer = (words(7, 20_000, true), words(7, 20_000, false));
            assert!(longer.0.starts_with(&begun) && longer.1.starts_with(&continued), "{count} words begin more");
            assert_eq!(begun, begun.trim(), "one space between two words and nowhere else");
            assert_eq!(begun.matches(' ').count(), (count as usize).saturating_sub(1));
            assert_eq!(continued.matches(' ').count(), count as usize);
        }
    }

    #[test]
    fn every_word_is_drawn_and_every_seed_draws_others() {
        let all = words(1, 100_000, false);
        assert_eq!(all.split_whitespace().collect::<BTreeSet<_>>().len(), WORDS.slots.len());
        let distinct: BTreeSet<String> = (0..1000).map(|seed| words(seed, 5, true)).collect();
        assert_eq!(distinct.len(), 1000);
        assert_eq!(words(3, 500, true), words(3, 500, true));
    }
}
