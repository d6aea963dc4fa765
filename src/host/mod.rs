//! This machine: its limits, its processes, and what its kernel counts.

pub mod limits;
pub mod procfs;
