//! The only moving part: pinned workers, each with its own event loop.

mod timers;
