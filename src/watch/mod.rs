//! Observes a server from outside: requests about its state, its own metrics, and the resource use
//! of its process.

pub mod exposition;
pub mod identify;
pub mod probe;
mod process;
pub mod round_trips;
pub mod scraper;
pub mod self_report;

pub use process::{Look, ProcessWatch, Used};
