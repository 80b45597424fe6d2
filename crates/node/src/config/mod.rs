//! The configuration of a node: read, resolved, and every fault named at once with line and column.

mod admin;
mod behind;
mod bind;
mod egress;
mod fault;
mod files;
mod gateways;
mod kind;
mod limits;
mod listeners;
mod load;
mod peers;
mod policies;
mod proxies;
mod raw;
mod reader;
mod resolve;
mod resolved;
mod resolver;
mod reverse;
mod serving;
mod source;
mod transparent;
mod value;
mod web;

pub use bind::Bind;
pub use fault::{Cause, Fault, Faults};
pub use files::Files;
pub use kind::Kind;
pub use limits::Limits;
pub(crate) use load::now;
pub use load::{load, load_text, parse};
pub use resolved::{Capture, Inbound, MARK, PeerRoute, Resolved};
pub use reverse::Reverse;
pub(crate) use reverse::names as reverse_names;
pub use source::{At, Position, Source};
