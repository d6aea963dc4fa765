//! The TOML shape of a profile as written.
