//! Floods of frames: each costs the peer little and would cost us much.

use hbone_conn::{Flood, Violation};

use crate::frames::*;
use crate::prove;
use crate::row::{App, Row};

pub(super) fn all() -> Vec<Row> {
    vec![ping_flood(), settings_flood(), rapid_reset()]
}

fn ping_flood() -> Row {
    Row::on_server("h20", 20_000, |n, out| frame(out, PING, 0, 0, &u64::from(n).to_be_bytes()))
        .never_reads()
        .ends(Violation::Flood(Flood::Pings))
}

#[test]
fn h20_ping_flood() {
    prove(ping_flood());
}

fn settings_flood() -> Row {
    Row::on_server("h21", 10_000, |_, out| settings(out, &[])).ends(Violation::Flood(Flood::Settings))
}

#[test]
fn h21_settings_flood() {
    prove(settings_flood());
}

fn rapid_reset() -> Row {
    Row::on_server("h25", 20_000, |n, out| {
        connect(out, nth(n));
        reset(out, nth(n), 8);
    })
    .app(App::Dial)
    .ends(Violation::Flood(Flood::EarlyResets))
    .counted(|stats| stats.resets_received)
}

#[test]
fn h25_rapid_reset() {
    prove(rapid_reset());
}
