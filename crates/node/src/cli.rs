//! The command line: what can be asked of `hbone`. Parsed by main.rs, carried out by the command modules.
//! Holds no behaviour.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use hbone_tunnel::Network;

use crate::capture::Ports;
use crate::connect::{Door, Forward};
use crate::log::Format;

/// Carries TCP connections over HTTP/2 CONNECT and mutual TLS (HBONE).
///
/// Exit codes: 0 done; 1 failed while running; 2 wrong usage or configuration; 3 refused by a policy, or the
/// peer has the wrong identity; 4 unreachable.
#[derive(Debug, Parser)]
#[command(name = "hbone", version, about, long_about, disable_help_subcommand = true)]
pub struct Cli {
    /// Form of the log on standard error; RUST_LOG sets how much of it.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub log_format: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `hbone` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the node that a configuration file describes.
    Run(Run),
    /// Check a configuration file and name every fault in it.
    Check(Check),
    /// Make a certificate authority.
    #[command(subcommand)]
    Ca(Ca),
    /// Make identities.
    #[command(subcommand)]
    Id(Id),
    /// Join standard input and output to a destination behind a peer (for ssh's ProxyCommand).
    Dial(Dial),
    /// Forward local ports through a peer, in the words of ssh: -L, -D; in the foreground until Ctrl-C.
    Connect(Connect),
    /// Rules of the packet filter that bring connections to the listeners of kinds redirect and tproxy.
    #[command(subcommand)]
    Capture(Capture),
    /// Say which route and which rule decide about a tunnel, and why; connects to nothing.
    Explain(Explain),
    /// Show a tunnel at work: two throwaway nodes on loopback, real traffic, figures.
    Demo(Demo),
}

/// `hbone run`
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", required_unless_present = "toml")]
    pub config: Option<PathBuf>,
    /// The configuration itself, in place of a file; its paths start here.
    #[arg(long, value_name = "TEXT", conflicts_with = "config")]
    pub toml: Option<String>,
}

/// `hbone check`
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration file.
    #[arg(value_name = "FILE")]
    pub config: PathBuf,
}

/// `hbone ca …`
#[derive(Debug, Subcommand)]
pub enum Ca {
    /// Make a new authority: ca.pem (give it to every node) and ca.key (keep it).
    Init(CaInit),
}

/// `hbone ca init`
#[derive(Debug, Args)]
pub struct CaInit {
    /// The folder to write into; made if it is missing.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    pub dir: PathBuf,
    /// The trust domain: the part that the identities of all nodes share.
    #[arg(long, default_value = "cluster.local", value_name = "NAME")]
    pub trust_domain: String,
    /// How long it is valid.
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
}

/// `hbone id …`
#[derive(Debug, Subcommand)]
pub enum Id {
    /// Issue an identity: a certificate and its key.
    Issue(IdIssue),
}

/// `hbone id issue`
#[derive(Debug, Args)]
pub struct IdIssue {
    /// The whole identity, in place of --ns and --sa.
    #[arg(value_name = "SPIFFE-ID", conflicts_with_all = ["ns", "sa"], required_unless_present_all = ["ns", "sa"])]
    pub identity: Option<String>,
    /// The namespace of the identity.
    #[arg(long, value_name = "NAME", requires = "sa")]
    pub ns: Option<String>,
    /// The service account of the identity.
    #[arg(long, value_name = "NAME", requires = "ns")]
    pub sa: Option<String>,
    /// The folder with ca.pem and ca.key.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    pub ca: PathBuf,
    /// The folder to write NAME.pem and NAME.key into.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    pub out: PathBuf,
    /// The name of the two files; the service account when left out.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How long it is valid.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
}

/// `hbone dial`
#[derive(Debug, Args)]
pub struct Dial {
    /// The destination, as the peer shall dial it.
    #[arg(value_name = "HOST:PORT")]
    pub destination: String,
    /// The configuration file that names the peers.
    #[arg(short, long, value_name = "FILE", required_unless_present = "peer")]
    pub config: Option<PathBuf>,
    /// The peer of the configuration to go through; what its routes say when left out.
    #[arg(long, value_name = "PEER", requires = "config")]
    pub via: Option<String>,
    /// Without a configuration: the peer's address.
    #[arg(long, value_name = "ADDR", conflicts_with = "config", requires_all = ["cert", "key", "ca", "expect"])]
    pub peer: Option<String>,
    /// Without a configuration: the own certificate.
    #[arg(long, value_name = "FILE", requires = "peer")]
    pub cert: Option<PathBuf>,
    /// Without a configuration: the own key.
    #[arg(long, value_name = "FILE", requires = "peer")]
    pub key: Option<PathBuf>,
    /// Without a configuration: the roots.
    #[arg(long, value_name = "FILE", requires = "peer")]
    pub ca: Option<PathBuf>,
    /// Without a configuration: who the peer must be.
    #[arg(long, value_name = "SPIFFE-ID", requires = "peer")]
    pub expect: Option<String>,
}

/// `hbone connect`
#[derive(Debug, Args)]
pub struct Connect {
    /// The peer: its name in the configuration, else its address.
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// Carry a local port (or /path or @name, a unix socket) to a destination, as the peer shall dial it.
    #[arg(short = 'L', value_name = "[BIND:]PORT:HOST:HOSTPORT")]
    pub local: Vec<Forward>,
    /// Carry what the peer sends down a reverse tunnel for that port to a destination as seen from here.
    #[arg(short = 'R', value_name = "PORT:HOST:HOSTPORT")]
    pub remote: Vec<Forward>,
    /// A SOCKS5 proxy whose connections go through the peer.
    #[arg(short = 'D', value_name = "[BIND:]PORT")]
    pub dynamic: Vec<Door>,
    /// A proxy for HTTP CONNECT, likewise.
    #[arg(long, value_name = "[BIND:]PORT")]
    pub http_proxy: Vec<Door>,
    /// Let other machines use the ports: with this host's identity. Else only loopback is bound.
    #[arg(short = 'g', long)]
    pub allow_remote: bool,
    /// The configuration file that names the peers.
    #[arg(short, long, value_name = "FILE", required_unless_present_all = ["cert", "key", "ca", "expect"])]
    pub config: Option<PathBuf>,
    /// Without a configuration: the own certificate.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub cert: Option<PathBuf>,
    /// Without a configuration: the own key.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub key: Option<PathBuf>,
    /// Without a configuration: the roots.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub ca: Option<PathBuf>,
    /// Without a configuration: who the peer must be.
    #[arg(long, value_name = "SPIFFE-ID", conflicts_with = "config")]
    pub expect: Option<String>,
}

/// `hbone capture …`
#[derive(Debug, Subcommand)]
pub enum Capture {
    /// Print nftables rules: `hbone capture rules -c FILE --shell | sudo sh`.
    Rules(CaptureRules),
}

/// `hbone capture rules`
#[derive(Debug, Args)]
pub struct CaptureRules {
    /// The configuration file whose listeners of kinds redirect and tproxy take the connections.
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["redirect", "tproxy"])]
    pub config: Option<PathBuf>,
    /// Without a configuration: the port of the listener of kind redirect.
    #[arg(long, value_name = "PORT", conflicts_with = "config", value_parser = clap::value_parser!(u16).range(1..))]
    pub redirect: Option<u16>,
    /// With --redirect: connections that pass through this host too; the listener is bound to all addresses.
    #[arg(long, requires = "redirect")]
    pub forwarded: bool,
    /// Without a configuration: the port of the listener of kind tproxy.
    #[arg(long, value_name = "PORT", conflicts_with = "config", value_parser = clap::value_parser!(u16).range(1..))]
    pub tproxy: Option<u16>,
    /// Without a configuration: the mark of the node's own connections.
    #[arg(long, value_name = "NUMBER", conflicts_with = "config", default_value_t = crate::config::MARK)]
    pub mark: u32,
    /// Capture only connections to these networks or addresses; all when left out.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub to: Vec<Network>,
    /// Leave connections to these networks or addresses alone.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub except: Vec<Network>,
    /// Capture only connections to these ports (80 or 8000-8999); all when left out.
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub ports: Vec<Ports>,
    /// Leave connections of this user alone, by number: the node's, when it may not mark its own.
    #[arg(long, value_name = "UID")]
    pub except_user: Option<u32>,
    /// A shell script that loads the rules and makes the routes that tproxy needs.
    #[arg(long)]
    pub shell: bool,
}

/// `hbone explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where the tunnel shall go.
    #[arg(long, value_name = "HOST:PORT")]
    pub to: String,
    /// The caller; one without an identity when left out.
    #[arg(long, value_name = "SPIFFE-ID")]
    pub from: Option<String>,
    /// The listener that is called; all of them when left out.
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// The address that the caller comes from.
    #[arg(long, value_name = "ADDR")]
    pub source_ip: Option<std::net::IpAddr>,
    /// The name that the caller gives in its ClientHello.
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,
    /// What the caller's token says; may be given several times.
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    pub claims: Vec<String>,
    /// What the destination's name resolves to: nothing is looked up.
    #[arg(long, value_name = "ADDR")]
    pub address: Option<std::net::IpAddr>,
    /// Answer in JSON.
    #[arg(long)]
    pub json: bool,
}

/// `hbone demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Stay up afterwards and print commands to try.
    #[arg(long)]
    pub keep: bool,
    /// Move 64 MiB instead of the whole amount, and measure less long.
    #[arg(long)]
    pub quick: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
