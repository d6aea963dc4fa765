//! Counts tokens as a model does, with a `tokenizer.json` or one of OpenAI's vocabularies.
//!
//! A build without the feature `tokenizer` has no vocabularies, and its errors say so.

use std::fmt;
use std::sync::Arc;

/// Names of the built-in vocabularies, as OpenAI calls them.
pub const BUILT_IN: [&str; 2] = ["o200k_base", "cl100k_base"];

/// Counts tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer {
    name: String,
    vocabulary: Option<Arc<dyn Count>>,
}

/// Counts the tokens of a text, without the tokens that a chat template puts around it.
trait Count: Send + Sync {
    /// Returns `None` if the text cannot be cut into tokens.
    fn tokens(&self, text: &str) -> Option<usize>;
}

impl Tokenizer {
    /// Returns the vocabulary with this name, one of [`BUILT_IN`].
    ///
    /// # Errors
    ///
    /// Returns the names that were expected, or the error of the library.
    #[cfg(feature = "tokenizer")]
    pub fn built_in(name: &str) -> Result<Self, String> {
        let vocabulary = match name {
            "o200k_base" => tiktoken_rs::o200k_base(),
            "cl100k_base" => tiktoken_rs::cl100k_base(),
            _ => return Err(format!("expected {}, or the path of a tokenizer.json", BUILT_IN.join(", "))),
        };
        let vocabulary = vocabulary.map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), vocabulary: Some(Arc::new(vocabulary)) })
    }

    /// Reads a `tokenizer.json`, as Hugging Face defines it. `name` identifies it in results.
    ///
    /// # Errors
    ///
    /// Returns the reason why the bytes are not a tokenizer.
    #[cfg(feature = "tokenizer")]
    pub fn from_json(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let mut read = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| error.to_string())?;
        // The file may ask for padding or truncation, which training needs and counting does not.
        read.with_padding(None).with_truncation(None).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), vocabulary: Some(Arc::new(read)) })
    }

    /// Fails: this build has no vocabularies.
    #[cfg(not(feature = "tokenizer"))]
    pub fn built_in(_: &str) -> Result<Self, String> {
        Err(NONE_BUILT.to_owned())
    }

    /// Fails: this build cannot read tokenizers.
    #[cfg(not(feature = "tokenizer"))]
    pub fn from_json(_: &str, _: &[u8]) -> Result<Self, String> {
        Err(NONE_BUILT.to_owned())
    }

    /// Returns its name in results: that of the vocabulary, or the path of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of tokens of a text, or `None` if the text cannot be cut into tokens.
    pub fn tokens(&self, text: &str) -> Option<usize> {
        self.vocabulary.as_ref()?.tokens(text)
    }
}

#[cfg(not(feature = "tokenizer"))]
const NONE_BUILT: &str = "this build has no tokenizers: build it with the feature `tokenizer`";

#[cfg(feature = "tokenizer")]
impl Count for tiktoken_rs::CoreBPE {
    fn tokens(&self, text: &str) -> Option<usize> {
        // A `<|endoftext|>` in a response is text, not a control token.
        Some(self.encode_ordinary(text).len())
    }
}

#[cfg(feature = "tokenizer")]
impl Count for tokenizers::Tokenizer {
    fn tokens(&self, text: &str) -> Option<usize> {
        self.encode_fast(text, false).ok().map(|encoding| encoding.len())
    }
}

/// Tokenizers are equal if they have the same name.
impl PartialEq for Tokenizer {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tokenizer").field(&self.name).finish()
    }
}

#[cfg(all(test, feature = "tokenizer"))]
mod tests {
    use super::*;

    /// The smallest possible vocabulary of whole words.
    const WORDS: &str = r#"{"version":"1.0","truncation":{"max_length":2,"strategy":"LongestFirst","stride":0,"direction":"Right"},
        "padding":{"strategy":{"Fixed":9},"direction":"Right","pad_to_multiple_of":null,"pad_id":0,"pad_type_id":0,"pad_token":"?"},
        "added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},"post_processor":null,"decoder":null,
        "model":{"type":"WordLevel","vocab":{"?":0,"word":1},"unk_token":"?"}}"#;

    #[test]
    fn tokens_are_counted_as_the_vocabulary_has_them() {
        let of = |name: &str, text: &str| Tokenizer::built_in(name).expect("built in").tokens(text);
        for name in BUILT_IN {
            assert_eq!(
                (of(name, ""), of(name, " time"), of(name, " time time")),
                (Some(0), Some(1), Some(2)),
                "{name}"
            );
            assert!(of(name, "<|endoftext|>") > Some(1), "it is no command in a text");
        }
        let error = Tokenizer::built_in("o300k").expect_err("unknown");
        assert_eq!(error, "expected o200k_base, cl100k_base, or the path of a tokenizer.json");
    }

    #[test]
    fn a_file_counts_whole_texts_whatever_it_says_of_their_length() {
        let words = Tokenizer::from_json("words.json", WORDS.as_bytes()).expect("a tokenizer");
        assert_eq!(
            (words.name(), words.tokens("word word word other"), words.tokens("")),
            ("words.json", Some(4), Some(0))
        );
        for bad in ["", "{}", "[1]", "not json", r#"{"version":"1.0","model":{"type":"Other"}}"#] {
            assert!(Tokenizer::from_json("x", bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
