//! The report page: one file of HTML with everything in it, which a browser opens without a network
//! and without a server.
//!
//! `report::view` says what there is to say, as on a terminal; here charts are
//! added. The page's only scripts are those under `assets/`, whose hashes stand in its
//! Content-Security-Policy. Texts of users and servers are escaped by the template engine.

mod asked;
mod chart;
mod comparison;
mod heat;
mod interval;
mod limit;
pub mod live;
mod over_time;
mod page;
mod quantiles;
mod run;
mod sweep;
mod thin;

pub use comparison::of_comparison;
pub use run::of_run;
pub use sweep::{of_capacity, of_sweep, of_throughput};

#[cfg(test)]
mod tests;
