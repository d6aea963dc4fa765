//! Parse arguments, call `cli`, print the error, choose the exit code.

fn main() {}
