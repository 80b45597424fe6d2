//! A reset is never an end (N1 to N7, F4, F5): a session cut at every octet of both directions.

use std::collections::HashMap;

use hbone_frame::Side;

use super::pair::{Cut, Pair};
use super::wire::Chop;
use crate::proto::{Config, Event, Read, Request, Response, StreamError, StreamKey};

/// What the server answers on its stream, after it has read everything.
fn answer(stream: u32) -> Vec<u8> {
    (0..100 + stream).map(|i| (i * 3 + stream) as u8).collect()
}

fn question(stream: u32) -> Vec<u8> {
    (0..50 * stream).map(|i| (i * 5 + stream) as u8).collect()
}

/// How a direction has ended, once it has.
type Outcome = Option<Result<(), StreamError>>;

/// What one side has read of its streams.
#[derive(Default)]
struct Reader {
    streams: HashMap<u32, (StreamKey, Vec<u8>, Outcome)>,
}

impl Reader {
    fn add(&mut self, key: StreamKey) {
        self.streams.insert(key.id().get(), (key, Vec::new(), None));
    }

    /// Reads what is there; the streams that have come to their clean end now.
    fn read(&mut self, pair: &mut Pair, side: Side) -> Vec<StreamKey> {
        let mut ended = Vec::new();
        for (key, octets, outcome) in self.streams.values_mut().filter(|stream| stream.2.is_none()) {
            let (more, last) = pair.end(side).read_all(*key);
            octets.extend_from_slice(&more);
            match last {
                Ok(Read::End) => {
                    ended.push(*key);
                    *outcome = Some(Ok(()));
                }
                Err(error) => *outcome = Some(Err(error)),
                Ok(_) => {}
            }
        }
        ended.sort_by_key(|key| key.id());
        ended
    }
}

/// Three streams: one without a body, two tunnels with questions and answers.
fn session(cut: Option<(Side, u64, Cut)>) -> (Pair, Reader, Reader) {
    let config = Config { idle_timeout: None, ..Config::default() };
    let mut pair = Pair::strangers(7, config.clone(), config);
    pair.chop(Chop::Whole);
    if let Some((receiver, at, _)) = cut {
        let leg = if receiver == Side::Server { &mut pair.up } else { &mut pair.down };
        leg.cut_at = Some(at);
    }
    let (mut near, mut far) = (Reader::default(), Reader::default());
    for stream in [1_u32, 3, 5] {
        let request = match stream {
            1 => Request::new("GET", "https", "a.example", "/"),
            _ => Request::connect("10.0.0.1:80"),
        };
        let key = pair.client.engine.open(&mut Some(request), stream == 1).unwrap();
        near.add(key);
        if stream > 1 {
            pair.client.engine.write(key, question(stream).into()).unwrap();
            pair.client.engine.finish(key).unwrap();
        }
    }
    for _ in 0..20 {
        pair.settle();
        if let Some((receiver, _, how)) = cut
            && (pair.up.is_cut() || pair.down.is_cut())
        {
            pair.cut(receiver, how);
            pair.settle();
            pair.cut(receiver.peer(), how);
        }
        near.read(&mut pair, Side::Client);
        serve(&mut pair, &mut far);
    }
    (pair, near, far)
}

/// The server's application: accepts, reads to the end, answers.
fn serve(pair: &mut Pair, far: &mut Reader) {
    while let Some(event) = pair.server.events.pop_front() {
        if let Event::Incoming { key, .. } = event {
            far.add(key);
            let _ = pair.server.engine.respond(key, Response::new(200), false);
        }
    }
    for key in far.read(pair, Side::Server) {
        if pair.server.engine.write(key, answer(key.id().get()).into()).is_ok() {
            pair.server.engine.finish(key).unwrap();
        }
    }
}

/// Every direction has come to an end, and to a clean one only if all of it has passed the wire.
fn judge(pair: &Pair, near: &Reader, far: &Reader, what: &str) {
    let whole = |stream| if stream == 1 { Vec::new() } else { question(stream) };
    for (id, (_, octets, outcome)) in &near.streams {
        judge_one(*id, octets, outcome.as_ref(), &answer(*id), pair.down.left.ended.contains(id), what);
    }
    for (id, (_, octets, outcome)) in &far.streams {
        judge_one(*id, octets, outcome.as_ref(), &whole(*id), pair.up.left.ended.contains(id), what);
    }
}

fn judge_one(
    id: u32,
    octets: &[u8],
    outcome: Option<&Result<(), StreamError>>,
    all: &[u8],
    ended: bool,
    what: &str,
) {
    assert!(all.starts_with(octets), "N1, stream {id}, {what}");
    match outcome.unwrap_or_else(|| panic!("N3, stream {id} hangs, {what}")) {
        Ok(()) => {
            assert!(ended, "N2, stream {id} ends without END_STREAM, {what}");
            assert_eq!(octets, all, "N2, stream {id}, {what}");
        }
        Err(error) => {
            assert!(!ended, "N4, stream {id} came whole and fails: {error}, {what}");
            assert!(matches!(error, StreamError::Connection(_)), "N7, stream {id}: {error}, {what}");
        }
    }
}

fn cut_everywhere(receiver: Side, how: Cut) {
    let (pair, near, far) = session(None);
    judge(&pair, &near, &far, "uncut");
    let total = match receiver {
        Side::Server => pair.up.left.octets,
        Side::Client => pair.down.left.octets,
    };
    assert!(total > 300);
    for at in 0..total {
        let (pair, near, far) = session(Some((receiver, at, how)));
        judge(&pair, &near, &far, &format!("{receiver:?} cut after {at} by {how:?}"));
    }
}

#[test]
fn f4_a_session_cut_by_fin_at_every_octet_towards_the_server_never_ends_cleanly() {
    cut_everywhere(Side::Server, Cut::Fin);
}

#[test]
fn f4_a_session_cut_by_fin_at_every_octet_towards_the_client_never_ends_cleanly() {
    cut_everywhere(Side::Client, Cut::Fin);
}

#[test]
fn f5_a_session_cut_by_an_error_at_every_octet_towards_the_server_never_ends_cleanly() {
    cut_everywhere(Side::Server, Cut::Error);
}

#[test]
fn f5_a_session_cut_by_an_error_at_every_octet_towards_the_client_never_ends_cleanly() {
    cut_everywhere(Side::Client, Cut::Error);
}
