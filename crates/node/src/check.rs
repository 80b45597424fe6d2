//! `hbone check`: reads a configuration with all its files and says what it means, or every fault in it.
//! Called by main.rs. Binds nothing and connects to nothing.

use std::fmt::Write;
use std::path::Path;

use hbone_tunnel::{Network, ProxyVersion};
use time::OffsetDateTime;

use crate::config::{self, Capture, Inbound, Resolved};
use crate::exit::Failure;
use crate::report;

/// Checks a file; gives back what to tell the user.
///
/// # Errors
/// Every fault.
pub fn check(path: &Path) -> Result<String, Failure> {
    config::load(path).map(|config| summary(path, &config)).map_err(|faults| report::faults(&faults))
}

fn summary(path: &Path, config: &Resolved) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}: no faults", path.display());
    let _ = writeln!(text, "identity   {}", config.identity.id());
    let _ = writeln!(text, "valid to   {}", date(config.not_after));
    if config.mark != 0 {
        let _ = writeln!(text, "mark       {}", config.mark);
    }
    let files = config.files.len();
    let _ = match config.watch {
        true => writeln!(text, "watch      {files} files: changes are taken up by themselves"),
        false => writeln!(text, "watch      off: SIGHUP takes changes up"),
    };
    for capture in &config.captures {
        let Capture { name, kind, bind, summary, proxies, .. } = capture;
        let _ = writeln!(text, "listener   {name}: {kind} {bind} to {summary}{}", behind(proxies));
    }
    for inbound in &config.inbounds {
        let onward = inbound.summary.as_ref().map(|it| format!(", {it}")).unwrap_or_default();
        let reverse = if inbound.reverse { ", takes reverse tunnels" } else { "" };
        let (kind, more) = (inbound.kind(), serving(inbound));
        let _ = writeln!(text, "listener   {}: {kind} {}{onward}{reverse}{more}", inbound.name, inbound.bind);
    }
    if let Some(admin) = &config.admin {
        let _ = writeln!(text, "admin      {admin}");
    }
    for reverse in &config.reverse {
        let _ = writeln!(text, "reverse    {}: {reverse}", reverse.name);
    }
    for (listener, rule) in &config.egress {
        let of = listener.as_ref().map(|name| format!(", for {name}")).unwrap_or_default();
        let _ = writeln!(text, "egress     {rule}{of}");
    }
    for (name, peer) in &config.peers {
        let _ = writeln!(text, "peer       {name}: {peer}");
    }
    for warning in &config.warnings {
        let _ = writeln!(text, "warning    {warning}");
    }
    if config.is_idle() {
        let _ =
            writeln!(text, "note       no listener: only `hbone dial` and `hbone connect` can use this file");
    }
    text.truncate(text.trim_end().len());
    text
}

/// Whom a listener of peers takes and what else it serves.
fn serving(inbound: &Inbound) -> String {
    let mut text = String::new();
    if let Some(trusted) = &inbound.trusted {
        let networks: Vec<_> = trusted.iter().map(ToString::to_string).collect();
        let _ = write!(text, ", from {}", networks.join(", "));
    }
    if inbound.tokens.is_some() {
        text.push_str(", POST with a token");
    }
    if let Some(handler) = inbound.other_requests {
        let _ = write!(text, ", other requests to {handler}");
    }
    text.push_str(&behind(&inbound.proxies));
    text.push_str(told(inbound));
    text
}

/// The proxies in front of a listener.
fn behind(proxies: &[Network]) -> String {
    let proxies: Vec<_> = proxies.iter().map(ToString::to_string).collect();
    if proxies.is_empty() { String::new() } else { format!(", behind proxies at {}", proxies.join(", ")) }
}

/// What destinations hear of who calls.
const fn told(inbound: &Inbound) -> &'static str {
    match inbound.proxy_protocol {
        None => "",
        Some(ProxyVersion::One) => ", tells destinations who calls (PROXY v1)",
        Some(ProxyVersion::Two) => ", tells destinations who calls (PROXY v2)",
    }
}

/// A time in UTC for people.
fn date(timestamp: i64) -> String {
    OffsetDateTime::from_unix_timestamp(timestamp).map_or_else(
        |_| timestamp.to_string(),
        |time| format!("{} {:02}:{:02}:{:02} UTC", time.date(), time.hour(), time.minute(), time.second()),
    )
}
