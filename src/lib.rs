//! Load tester for LLM APIs.

pub mod api;
pub mod cli;
pub mod engine;
pub mod live;
pub mod load;
pub mod metrics;
pub mod net;
pub mod plan;
pub mod report;
pub mod scenario;
pub mod server;
pub mod threshold;
pub mod units;
pub mod wire;
