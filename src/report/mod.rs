//! Report pages: a document goes in, text comes out. Pure. One file for each format.

pub mod capacity;
pub mod compare;
pub mod csv;
pub mod github;
pub mod hgrm;
pub mod html;
pub(crate) mod human;
pub mod junit;
pub(crate) mod requests;
pub mod self_test;
mod server_says;
pub mod terminal;
pub mod throughput;
pub(crate) mod view;
pub mod vllm;
