//! This machine: what it is, its limits, its processes, and what its kernel counts.

mod counters;
mod courtesy;
pub mod limits;
mod machine;
mod process;
mod text;

pub use counters::{Counted, busy, counted};
pub use courtesy::{give_way, keep_off};
pub use machine::{Machine, cores, machine};
pub use process::{ProcessUsage, ignores, own, sample_pid};
