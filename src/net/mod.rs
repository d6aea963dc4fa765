//! Bytes ↔ kernel. The only HTTP in this folder is the `CONNECT` request to a proxy.
//!
//! A [`Target`] says where to connect and [`Access`] how. A [`Dialer`] opens [`Stream`]s to it, one
//! after another. Reads and writes never block and end in one of three ways, [`IoStatus`].
//! Everything else is an error of the operating system, passed on unchanged, or of TLS. A [`Call`]
//! is a blocking connection for one request before or after a test.

pub mod access;
mod call;
mod diag;
mod dialer;
mod names;
#[cfg(any(test, feature = "scripted"))]
pub(crate) mod script;
mod socket;
mod stamp;
mod stream;
mod target;
pub mod tls;
mod tunnel;

pub use access::Access;
pub use call::{Call, Endpoint};
pub use diag::{Tcp, TcpLook, established};
pub use dialer::{Dialer, Route};
pub use names::{drop_dead_family, look_up};
pub use stamp::{KeepStamping, Stamp};
pub use stream::{IoStatus, Opening, Received, Stream};
pub use target::{Target, TargetError};
