//! A run as Prometheus knows it: families of metrics, with labels.
//!
//! `counts.rs` adds up the seconds and names everything; `text.rs` writes what a scrape reads, with
//! classic buckets; `push.rs` writes to a Prometheus by itself, with native histograms.
//! Everything counts from the start of the run, warm-up and cooldown included, and nothing is taken
//! back: a counter that falls would be read as a restart.

mod batch;
mod counts;
mod message;
mod native;
mod pause;
mod push;
mod text;

pub use counts::Counts;
pub use push::{Authorization, Push, PushError, Receiving};
pub use text::{Exposition, Format};
