//! Prompts out of a file.

use clap::Args;

/// Prompts out of a file.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data set")]
pub(crate) struct DatasetArgs {
    /// Send the prompts, chats or request bodies in FILE instead of the
    /// profile's prompts: JSON, JSON lines or CSV, also as .gz.
    #[arg(long, value_name = "FILE")]
    dataset: Option<String>,
    /// Format of the data set [default: auto]: sharegpt, chat, prompt, batch,
    /// body, csv, mooncake, bailian, azure, burstgpt, jsonl.
    #[arg(long, value_name = "FORMAT")]
    dataset_format: Option<String>,
    /// Column that holds the prompt [default: prompt].
    #[arg(long, value_name = "NAME")]
    dataset_column: Option<String>,
    /// Order of the rows [default: sequential]: sequential, shuffled, once. With
    /// `once`, the test ends after every row has been sent.
    #[arg(long, value_name = "ORDER")]
    dataset_order: Option<String>,
    /// Set this field in request bodies that are otherwise sent unchanged: model,
    /// stream (repeatable).
    #[arg(long, value_name = "FIELD")]
    dataset_patch: Vec<String>,
    /// Limit the memory for rows of data sets and traces to SIZE [default: 1GiB].
    /// Further rows go to a temporary file and are read ahead of their requests.
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    dataset_memory: Option<String>,
}
