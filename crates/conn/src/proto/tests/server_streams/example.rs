//! The example of docs/protocol.md 4.4, octet by octet, against both ends.

use std::path::Path;

use hbone_frame::Side;

use super::super::script::Script;
use super::{connect, extended};
use crate::proto::{ConnectionError, Read, Response};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// Who says what, in order; a line without a speaker is only its comment.
fn example() -> Vec<(Side, Vec<u8>)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = page.split("```frames\n").nth(1).unwrap().split("```").next().unwrap();
    let lines = block.lines().filter_map(|line| {
        let side = match line.chars().next()? {
            'C' => Side::Client,
            'S' => Side::Server,
            _ => return None,
        };
        // The comment stands far behind.
        let octets = line[1..].trim_start().split("   ").next()?.replace(' ', "");
        let octet = |at: usize| u8::from_str_radix(&octets[at..at + 2], 16).unwrap();
        Some((side, (0..octets.len()).step_by(2).map(octet).collect()))
    });
    lines.collect()
}

/// An engine of `side` says what the page lets it say, and is told the rest.
fn play(side: Side) -> Script {
    let mut script = Script::strangers(side, extended());
    let mut key = None;
    for (speaker, octets) in example() {
        if speaker != side {
            script.send(octets);
            continue;
        }
        let [_, _, _, kind, flags, ..] = octets[..] else { panic!("a frame has a head") };
        match (kind, flags) {
            // The preface, which has no head but letters; our SETTINGS, which have more values; their acknowledgement,
            // which left in the flight before.
            (b' ' | SETTINGS, _) => {
                script.skip();
                continue;
            }
            (HEADERS, _) if side == Side::Client => {
                key = Some(script.skip().incoming());
                script.engine.respond(key.unwrap(), Response::new(200), false).unwrap();
            }
            (HEADERS, _) => {
                script.skip();
                key = Some(script.engine.open(&mut connect(), false).unwrap());
            }
            (0, end) => {
                let key = key.unwrap();
                script.engine.write(key, octets[9..].to_vec().into()).unwrap();
                if end == 1 {
                    script.engine.finish(key).unwrap();
                }
            }
            (GOAWAY, _) => {
                let now = script.now;
                script.engine.drain(now, None);
            }
            _ => {}
        }
        script.expect(octets);
    }
    let key = key.unwrap();
    assert_eq!(script.read(key), (4, Ok(Read::End)));
    script
}

#[test]
fn the_example_of_the_protocol_is_what_a_client_says_and_takes() {
    assert_eq!(play(Side::Client).closed(), Some(ConnectionError::Closed));
}

#[test]
fn the_example_of_the_protocol_is_what_a_server_says_and_takes() {
    let mut script = play(Side::Server);
    script.expect_nothing().eof();
    assert_eq!(script.closed(), Some(ConnectionError::Closed));
}
