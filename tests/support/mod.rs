//! Shared parts of the process-level tests: a server that misbehaves on purpose, the tool as a
//! process, the embedded simulator as a guard, a folder to work in.
//!
//! Include it with `mod support;`. `support_selftest.rs` tests it.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]
#![allow(unreachable_pub, reason = "it is a module of several test programs, a library of none")]

mod bench;
mod browser;
mod damage;
mod embedded;
mod http;
mod misbehaving;
mod origin;
mod process;
mod prometheus;
mod secure;

pub use bench::{
    Bench, SOON, alive, check, children, count, document, eventually, free_port, peak_memory, sockets, two_requests,
};
pub use browser::{Browser, COLOURED, Trouble, browser, keep};
pub use damage::Damage;
pub use embedded::Embedded;
pub use http::{Reply, get, request};
pub use misbehaving::{Behaviour, Endless, Misbehaving, Request, body};
pub use origin::{origin, watched};
pub use process::{Output, Running, blast, blast_with, no_data, start, start_after, start_unheard, tool};
pub use prometheus::{Prometheus, Series, now, promtool};
pub use secure::{Front, Identity, Lab, Misdeed, Secure};
