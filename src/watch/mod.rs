//! A server seen from outside: requests that ask it how it is, what it says of itself, and what its
//! process uses.

pub mod exposition;
pub mod identify;
pub mod probe;
mod process;
pub mod round_trips;
pub mod scraper;
pub mod self_report;

pub use process::{Look, ProcessWatch, Used};
