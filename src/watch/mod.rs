//! A server seen from outside: requests that ask it how it is.

pub mod probe;
