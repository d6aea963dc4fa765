//! One run against one server.

pub(crate) mod agreement;
pub(crate) mod check;
pub(crate) mod debug;
pub(crate) mod error;
pub(crate) mod facts;
pub(crate) mod measure;
pub(crate) mod reach;
pub(crate) mod signals;
pub(crate) mod start;
pub(crate) mod steady;
pub(crate) mod subject;
