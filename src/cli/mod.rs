//! The command line as typed, and the dispatch.
