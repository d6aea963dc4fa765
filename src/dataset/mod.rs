//! Data sets and traces: files of requests, read row by row. This module turns bytes into rows. It
//! opens no file and reads no clock.
//!
//! ```text
//!  file ─▶ Records ──▶ one format's reader ──▶ Row ──▶ Loader ──▶ Rows: one arena, shared by all
//!          a line or     sharegpt, chat, …     body,    renders,   workers, in slices that are
//!          an element    one small file each   instant  counts     sent unchanged
//! ```
//!
//! If the rendered rows exceed their memory limit, `Loader` writes them to a [`Spool`]. Each row is
//! then fetched from this file ahead of its request.
//!
//! A row that violates its format ends the reading with an error that names its line. A row that is
//! well-formed but cannot be sent is counted with its reason. No row is dropped silently.

mod arena;
mod bodies;
mod chat;
mod columns;
mod csv;
mod detect;
mod error;
mod format;
mod instant;
mod json;
mod load;
mod members;
mod prompt;
mod records;
mod row;
mod said;
mod script;
mod session;
mod sharegpt;
mod spool;
mod talk;
mod trace;

pub use arena::{Body, Rows};
pub use columns::Columns;
pub use error::ReadError;
pub use format::Format;
pub use instant::Unit;
pub use load::{Facts, Loaded, Options, Unused, load};
pub use row::Form;
pub use script::Script;
pub use session::{Links, SessionTurn, Sessions};
pub use spool::{MakeSpool, Spool};
