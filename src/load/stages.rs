//! Piecewise-linear ramps: the value at an instant, and when a value is crossed.

use crate::units::Nanos;

/// A linear ramp to `target` that takes `duration`, from wherever the stage before it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// How long it takes; zero is a jump.
    pub duration: Nanos,
    /// Users at its end.
    pub target: u32,
}
