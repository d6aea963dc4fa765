//! The known formats, each with its reader.

use super::columns::Columns;
use super::error::ReadError;
use super::instant::Unit;
use super::row::Read;
use super::trace::JsonTrace;
use super::{bodies, chat, prompt, sharegpt};

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `{"conversations":[{"from":"human","value":…},…]}`
    Sharegpt,
    /// `{"messages":[…]}`
    Chat,
    /// `{"prompt":…}`, or another column with the prompt.
    Prompt,
    /// `{"custom_id":…,"body":{…}}`, as in `OpenAI`'s batches.
    Batch,
    /// Each record is a request's body.
    Body,
    /// A header line, and columns found by name.
    Csv,
    /// `{"timestamp","input_length","output_length","hash_ids"}` in ms with 512 tokens per block,
    /// and `AIPerf`'s additions.
    Mooncake,
    /// As [`Format::Mooncake`], but in seconds and with 16 tokens per block.
    Bailian,
    /// `TIMESTAMP,ContextTokens,GeneratedTokens`
    Azure,
    /// `Timestamp,…,Request tokens,Response tokens,…`
    Burstgpt,
    /// A trace with named columns, in seconds.
    Jsonl,
}

impl Format {
    pub const ALL: [Self; 11] = [
        Self::Sharegpt,
        Self::Chat,
        Self::Prompt,
        Self::Batch,
        Self::Body,
        Self::Csv,
        Self::Mooncake,
        Self::Bailian,
        Self::Azure,
        Self::Burstgpt,
        Self::Jsonl,
    ];

    /// Returns the name used in profiles.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sharegpt => "sharegpt",
            Self::Chat => "chat",
            Self::Prompt => "prompt",
            Self::Batch => "batch",
            Self::Body => "body",
            Self::Csv => "csv",
            Self::Mooncake => "mooncake",
            Self::Bailian => "bailian",
            Self::Azure => "azure",
            Self::Burstgpt => "burstgpt",
            Self::Jsonl => "jsonl",
        }
    }

    /// Returns true if the format has a header line with columns.
    pub(super) const fn is_csv(self) -> bool {
        matches!(self, Self::Csv | Self::Azure | Self::Burstgpt)
    }

    /// Returns true if rows have instants. A CSV file has them if it has such a column.
    pub const fn has_instants(self) -> bool {
        matches!(self, Self::Csv | Self::Mooncake | Self::Bailian | Self::Azure | Self::Burstgpt | Self::Jsonl)
    }

    /// Returns the default unit of instants.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Mooncake => Unit::Milliseconds,
            _ => Unit::Seconds,
        }
    }

    /// Returns the number of tokens per block.
    pub(super) const fn block_tokens(self) -> u32 {
        match self {
            Self::Bailian => 16,
            _ => 512,
        }
    }

    /// Reads one JSON record as a conversation.
    pub(super) fn talk(self, line: u64, record: &str) -> Read<'_> {
        match self {
            Self::Sharegpt => sharegpt::talk(line, record),
            Self::Chat => chat::talk(line, record),
            _ => {
                let name = self.name();
                let problem =
                    format!("has the format {name}, whose rows are not conversations: expected sharegpt or chat");
                Err(ReadError::at(line, problem))
            }
        }
    }

    /// Reads one JSON record.
    pub(super) fn row<'a>(self, line: u64, record: &'a str, columns: &Columns, unit: Unit) -> Read<'a> {
        match self {
            Self::Sharegpt => sharegpt::row(line, record),
            Self::Chat => chat::row(line, record),
            Self::Prompt => prompt::row(line, record, columns),
            Self::Batch => bodies::batch_row(line, record),
            Self::Body => bodies::row(line, record),
            Self::Mooncake | Self::Bailian | Self::Jsonl => {
                JsonTrace { unit, block_tokens: self.block_tokens(), columns }.row(line, record)
            }
            Self::Csv | Self::Azure | Self::Burstgpt => {
                let problem =
                    format!("is JSON: expected the header line of a CSV file, as the format {} has", self.name());
                Err(ReadError::at(line, problem))
            }
        }
    }
}
