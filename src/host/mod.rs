//! This machine: its hardware, its limits, its processes, and the counts of its kernel.

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
