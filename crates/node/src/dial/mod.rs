//! `hbone dial`: one tunnel to a destination behind a peer, joined to standard input and output, so that
//! `ssh -o ProxyCommand='hbone dial %h:%p -c FILE'` works.

mod command;
mod octets;
mod stdio;

pub use command::dial;
