//! One run against one server, as a chain of types. Each type consumes the one before it:
//!
//! ```text
//!   Plan ──prepare──▶ Ready ──measure──▶ Measured ──conclude──▶ Concluded ──▶ Document
//!                     │   ▲
//!                     └───┘ step (capacity, throughput: many loads against one server)
//! ```
//!
//! A plan is never changed after it was resolved. Facts that are learned on the way (addresses, the
//! port of a started server, requests that the server does not support) make a new plan from the
//! old one, in `prepare` only.
//!
//! This module does not know the command line, or where results go.

mod agreement;
mod answers;
mod cold_start;
mod conclude;
mod desk;
mod discover;
mod early;
mod ended;
mod endpoints;
mod error;
pub(crate) mod keys;
mod measure;
mod meeting;
mod prefixes;
mod prepare;
pub(crate) mod provenance;
mod reach;
mod requests;
mod round_trips;
mod server_metrics;
mod server_under_test;
mod setup;
mod signals;
mod so_far;
mod start;
mod step;
mod template;
mod terms;
mod tokens;
mod viewers;
mod whole;

pub(crate) use discover::discover;
pub(crate) use error::TrialError;
pub(crate) use meeting::{Collected, Cut, Meeting};
pub(crate) use prepare::{Ready, prepare};
pub(crate) use requests::dump_requests;
pub(crate) use setup::Setup;
pub(crate) use signals::Stop;
pub(crate) use step::SweepStep;
pub(crate) use viewers::{Beginning, Moment, Viewers, WholeMoment};
