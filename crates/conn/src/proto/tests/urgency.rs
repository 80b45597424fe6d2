//! Urgency: what is more urgent leaves earlier, everything leaves, and nothing changes where nobody uses it.

use std::collections::HashMap;

use hbone_frame::{SettingId, Side};

use super::frames::*;
use super::script::{Script, Seen, plain};
use crate::proto::{Config, Response, StreamKey};

const QUANTUM: usize = 16 * 1024;

/// A server with a wide path whose flights are of one turn.
fn server() -> Script {
    let config = Config { flight: QUANTUM, send_queue: 1 << 26, ..plain() };
    let mut script = Script::with(Side::Server, config);
    script.send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, 1 << 30), (SettingId::MAX_FRAME_SIZE, 1 << 20)]));
    script.send(update(0, 1 << 30)).skip();
    script
}

/// Opens a stream with that `priority` and answers it.
fn tunnel(script: &mut Script, id: u32, priority: Option<&str>) -> StreamKey {
    let mut fields = vec![(":method", "CONNECT"), (":authority", "10.0.0.1:80")];
    fields.extend(priority.map(|value| ("priority", value)));
    let key = script.send(head(id, &fields, false)).incoming();
    script.engine.respond(key, Response::new(200), false).unwrap();
    script.skip();
    key
}

/// Fills the queues and tells whose octets leave, by turns.
fn turns(script: &mut Script, keys: &[StreamKey], count: usize) -> Vec<u32> {
    script.reading = false;
    for key in keys {
        script.engine.write(*key, vec![7; count * QUANTUM].into()).unwrap();
    }
    (0..count).map(|_| turn(script)).collect()
}

/// Whose octets leave next.
fn turn(script: &mut Script) -> u32 {
    let mut one = crate::proto::Transmit::new();
    assert!(script.engine.poll_transmit(script.now, &mut one));
    script.engine.state.check();
    let octets: Vec<u8> = one.pieces().flatten().copied().collect();
    u32::from_be_bytes([octets[5], octets[6], octets[7], octets[8]])
}

fn shares(order: &[u32]) -> HashMap<u32, usize> {
    let mut shares = HashMap::new();
    for id in order {
        *shares.entry(*id).or_default() += 1;
    }
    shares
}

/// PRIORITY_UPDATE for that stream.
fn priority_update(stream: u32, value: &str) -> Vec<u8> {
    let payload: Vec<u8> = stream.to_be_bytes().into_iter().chain(value.bytes()).collect();
    raw(0x10, 0, 0, &payload)
}

#[test]
fn rfc9218_10_the_more_urgent_stream_has_four_turns_of_five_and_the_other_the_fifth() {
    let mut script = server();
    let keys = [tunnel(&mut script, 1, Some("u=5")), tunnel(&mut script, 3, Some("u=1"))];
    let shares = shares(&turns(&mut script, &keys, 100));
    assert_eq!((shares[&3], shares[&1]), (80, 20));
}

#[test]
fn streams_of_every_urgency_have_a_turn_of_35_at_the_least() {
    let mut script = server();
    let keys: Vec<_> = (0..8).map(|n| tunnel(&mut script, 2 * n + 1, Some(&format!("u={n}")))).collect();
    let order = turns(&mut script, &keys, 700);
    for id in keys.iter().map(|key| key.id().get()) {
        let at: Vec<_> =
            order.iter().enumerate().filter(|(_, found)| **found == id).map(|(at, _)| at).collect();
        assert!(at[0] < 35 && at.windows(2).all(|pair| pair[1] - pair[0] <= 35), "{id} starves: {at:?}");
    }
    assert!(shares(&order)[&1] >= 550, "the most urgent one has most");
}

#[test]
fn streams_of_one_urgency_take_turns_whatever_it_is() {
    for priority in [None, Some("u=3"), Some("u=3, i"), Some("u=6")] {
        let mut script = server();
        let keys = [1, 3, 5].map(|id| tunnel(&mut script, id, priority));
        let shares = shares(&turns(&mut script, &keys, 60));
        assert_eq!([shares[&1], shares[&3], shares[&5]], [20; 3], "{priority:?}");
        let nobody = script.engine.state.schedule.has_ranks();
        assert_eq!(nobody, priority == Some("u=6"), "lists of their own only where they are used");
    }
}

#[test]
fn rfc9218_7_1_a_priority_update_moves_an_open_stream() {
    let mut script = server();
    let keys = [tunnel(&mut script, 1, None), tunnel(&mut script, 3, None)];
    script.send(priority_update(3, "u=0"));
    let shares = shares(&turns(&mut script, &keys, 100));
    assert!(shares[&3] >= 78, "{shares:?}");
}

#[test]
fn rfc9218_7_1_a_priority_update_before_the_request_is_kept_and_overrides_its_field() {
    let mut script = server();
    script.send(priority_update(3, "u=7")).send(priority_update(3, "u=0"));
    let keys = [tunnel(&mut script, 1, None), tunnel(&mut script, 3, Some("u=6"))];
    let shares = shares(&turns(&mut script, &keys, 100));
    assert!(shares[&3] >= 78, "{shares:?}");
}

#[test]
fn rfc9218_7_a_priority_update_states_all_and_what_it_omits_is_the_usual() {
    let mut script = server();
    let key = tunnel(&mut script, 1, Some("u=0"));
    let urgency = |script: &Script| script.engine.state.streams.get(key).unwrap().send.urgency;
    assert_eq!(urgency(&script), 0);
    script.send(priority_update(1, "i"));
    assert_eq!(urgency(&script), 3);
    script.send(priority_update(1, "u=99, \u{7f}"));
    assert_eq!(urgency(&script), 3, "what cannot be read is no fault");
    script.expect_alive();
}

#[test]
fn the_application_sets_the_urgency_of_its_own_octets_on_either_side() {
    let mut script = server();
    let keys = [tunnel(&mut script, 1, None), tunnel(&mut script, 3, None)];
    script.engine.set_urgency(keys[0], 200);
    let shares = shares(&turns(&mut script, &keys, 100));
    assert!(shares[&3] >= 78, "{shares:?}");
}

#[test]
fn rfc9218_10_short_messages_of_less_urgent_streams_do_not_pass_for_urgent() {
    for (busy, messages) in [("u=0", "u=7"), ("u=0", "u=3"), ("u=3", "u=4")] {
        let mut script = server();
        let urgent = tunnel(&mut script, 1, Some(busy));
        let others = [3, 5, 7, 9].map(|id| tunnel(&mut script, id, Some(messages)));
        script.reading = false;
        script.engine.write(urgent, vec![7; 200 * QUANTUM].into()).unwrap();
        let mut order = vec![turn(&mut script)];
        while order.len() < 100 {
            for key in
                others.iter().filter(|key| order.len() == 1 || key.id().get() == order[order.len() - 1])
            {
                script.engine.write(*key, vec![7; 16_000].into()).unwrap();
            }
            order.push(turn(&mut script));
        }
        let shares = shares(&order);
        assert!(shares[&1] >= 80, "{busy} and {messages}: {shares:?}");
        assert!([3, 5, 7, 9].iter().all(|id| shares[id] >= 4), "nobody starves: {shares:?}");
    }
}

#[test]
fn an_end_keeps_its_place_before_urgent_octets_and_a_first_flight_before_those_of_its_urgency() {
    let mut script = server();
    let keys = [1, 3, 5].map(|id| tunnel(&mut script, id, Some(if id == 5 { "u=7" } else { "u=0" })));
    script.reading = false;
    turns(&mut script, &keys[..1], 3);
    script.engine.write(keys[0], vec![7; 1 << 20].into()).unwrap();
    script.engine.write(keys[1], "keystroke".into()).unwrap();
    script.engine.finish(keys[2]).unwrap();
    script.reading = true;
    let seen = script.take();
    let ids: Vec<_> = seen
        .iter()
        .filter_map(|frame| if let Seen::Data { stream, .. } = frame { Some(*stream) } else { None })
        .take(2)
        .collect();
    assert_eq!(ids, [5, 3]);
}
