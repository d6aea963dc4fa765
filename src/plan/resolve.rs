//! built-in < file < environment < flags → Plan.
