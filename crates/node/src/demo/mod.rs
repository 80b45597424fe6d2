//! `hbone demo`: two throwaway nodes on loopback, real traffic through them, every octet checked, figures.
//! Called by main.rs. Everything is in this process and on ports that the system chose.

mod client;
mod cpu;
mod http;
mod keep;
mod measure;
mod nodes;
mod payload;
mod run;
mod server;
mod table;
mod watchdog;

pub use run::demo;
