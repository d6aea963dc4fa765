//! The report page: a single HTML file with everything in it, which a browser opens without a
//! network and without a server.
//!
//! `report::view` provides the texts, as on a terminal. Charts are added here. The page's only
//! scripts are those under `assets/`, whose hashes are in its Content-Security-Policy. The template
//! engine escapes texts of users and servers.

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
