//! A server seen from outside: requests that ask it how it is, and what its process uses.

pub mod identify;
pub mod probe;
mod process;

pub use process::{Look, ProcessWatch, Used};
