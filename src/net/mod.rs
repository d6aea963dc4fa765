//! Bytes ↔ kernel. The only HTTP in it is the `CONNECT` request to a proxy.
//!
//! A [`Target`] says where and [`Access`] how it is reached; a [`Dialer`] opens one [`Stream`]
//! after the other there. Reads and writes never block and answer in one of three routes,
//! [`IoStatus`]; everything else is an error of the operating system, passed on as it is, or of
//! TLS. A [`Call`] is the same for one blocking question before or after a test.

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
