//! `hbone capture rules`: what the packet filter must do so that connections come to the listeners of kinds
//! `redirect` and `tproxy`. Prints; loads nothing.

mod command;
mod ports;
mod rules;

pub use command::rules;
pub use ports::{Ports, PortsError};
