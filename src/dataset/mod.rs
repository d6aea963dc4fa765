//! Data sets and traces: files of requests, read row by row. Bytes in, rows out: no file is opened
//! here, and no clock is read.
//!
//! ```text
//!  file ─▶ Records ──▶ one format's reader ──▶ Row ──▶ Loader ──▶ Rows: one arena, shared by all
//!          a line or     sharegpt, chat, …     body,    renders,   workers, in slices that are
//!          an element    one small file each   instant  counts     sent as they stand
//! ```
//!
//! Beyond the memory that they may take, what `Loader` has rendered goes on into a [`Spool`], a file
//! of which each row is fetched again ahead of its request.
//!
//! A row that is not what its format says ends the reading with an error that names its line. A row
//! that is well-formed and cannot be sent is counted with its reason, and never dropped silently.

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
