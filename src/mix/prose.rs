//! Prompts of prose, for servers that random words would mislead: speculative decoding guesses
//! prose better than word salad. The number of tokens is only roughly the one that was asked for.

use super::escape::json_content;
use fastrand::Rng;
use std::sync::LazyLock;

/// A public-domain text, one paragraph per line. See `assets/README.md`.
const TEXT: &str = include_str!("../../assets/alice.txt");
/// The mean ratio of tokens to words with their punctuation, as cl100k and o200k count them.
const TOKENS: (usize, usize) = (117, 100);

/// The words, each with the separator before it as in a JSON string: a space, or the break of a
/// paragraph.
static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let paragraph = |line: &'static str| {
        line.split(' ').enumerate().map(|(i, word)| {
            let before = if i == 0 { "\\n\\n" } else { " " };
            format!("{before}{}", json_content(word))
        })
    };
    TEXT.lines().flat_map(paragraph).collect()
});

/// Estimates the number of bytes of `tokens` tokens of prose.
pub(super) const fn estimate(tokens: u32) -> usize {
    tokens as usize * 45 / 10
}

/// Appends a passage of about `tokens` tokens, between the quotes of a JSON string. `rng` draws its
/// beginning. After the end of the text it continues at the start.
pub(super) fn append(rng: &mut Rng, tokens: u32, begins: bool, out: &mut Vec<u8>) {
    let words = (tokens as usize * TOKENS.1 / TOKENS.0).max(1);
    let start = rng.usize(0..WORDS.len());
    for (i, word) in WORDS.iter().cycle().skip(start).take(words).enumerate() {
        let word = if i == 0 && begins { word.trim_start_matches("\\n").trim_start() } else { word };
        out.extend_from_slice(word.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(seed: u64, tokens: u32) -> String {
        let mut out = vec![b'"'];
        append(&mut Rng::with_seed(seed), tokens, true, &mut out);
        out.push(b'"');
        serde_json::from_slice(&out).expect("a JSON string")
    }

    #[test]
    fn a_passage_has_about_so_many_tokens() {
        let vocabulary = tiktoken_rs::o200k_base().expect("built in");
        for tokens in [512, 4_000] {
            let (mut all, mut bytes) = (0, 0);
            for seed in 0..50 {
                let passage = passage(seed, tokens);
                let counted = vocabulary.encode_ordinary(&passage).len();
                assert!(counted.abs_diff(tokens as usize) * 8 < tokens as usize, "{counted} for {tokens}");
                (all, bytes) = (all + counted, bytes + passage.len());
            }
            let asked = tokens as usize * 50;
            assert!(all.abs_diff(asked) * 50 < asked, "{all} for {asked}");
            assert!(bytes.abs_diff(estimate(tokens) * 50) * 20 < bytes, "{bytes}, {}", estimate(tokens) * 50);
        }
    }

    #[test]
    fn a_passage_begins_anywhere_and_is_clean() {
        let passages: std::collections::BTreeSet<String> = (0..100).map(|seed| passage(seed, 30)).collect();
        assert!(passages.len() > 80);
        assert!(passages.iter().all(|passage| passage.trim() == passage && !passage.contains('\\')), "{passages:?}");
        assert_eq!(passage(1, 1).split_whitespace().count(), 1);
    }
}
