//! A run in Prometheus' terms: families of metrics, with labels.
//!
//! `counts.rs` adds up the seconds and names everything. `text.rs` writes the text of a scrape,
//! with classic buckets. `push.rs` sends the metrics by remote write, with native histograms.
//! Everything counts from the start of the run, warm-up and cooldown included, and counts never go
//! down, because Prometheus reads a falling counter as a restart.

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
