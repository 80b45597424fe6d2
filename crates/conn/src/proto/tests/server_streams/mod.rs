//! Streams that the server opens, by agreement of both ends (docs/protocol.md 4): every rule, in both roles.

use hbone_frame::{PREFACE, SettingId, Side};

use super::frames;
use super::pair::Pair;
use super::script::{Script, plain};
use crate::proto::{Config, Request};

mod agreement;
mod example;
mod going_away;
mod limits;
mod streams;

/// The setting with that value.
fn server_streams(value: u32) -> Vec<u8> {
    frames::settings(&[(SettingId::SERVER_STREAMS, value)])
}

fn extended() -> Config {
    Config { server_streams: true, ..plain() }
}

fn connect() -> Option<Request> {
    Some(Request::connect("10.0.0.1:80"))
}

/// An engine of `side` and a peer that have both announced it.
fn agreed_with(side: Side, config: Config) -> Script {
    let mut script = Script::strangers(side, Config { server_streams: true, ..config });
    if side == Side::Server {
        script.send(PREFACE.to_vec());
    }
    script.send(server_streams(1)).send(frames::settings_ack()).skip();
    script.events.clear();
    script
}

fn agreed(side: Side) -> Script {
    agreed_with(side, plain())
}

/// Two engines that have both announced it.
fn agreed_pair(client: Config, server: Config) -> Pair {
    let extended = |config| Config { server_streams: true, ..config };
    Pair::with(1, extended(client), extended(server))
}
