//! The budget of memory that connections share: what happens as it fills, and that honest streams go on.

use std::sync::Arc;
use std::time::Duration;

use hbone_frame::{ErrorCode, SettingId, Side};

use super::frames::*;
use super::pair::Pair;
use super::script::{Script, plain};
use crate::proto::{Config, MemoryBudget, OpenError, Read, Request, Response, StreamKey};

const KIB: usize = 1024;
/// What one connection's charge moves by.
const STEP: usize = 64 * KIB;

fn budget(steps: usize) -> Arc<MemoryBudget> {
    Arc::new(MemoryBudget::new(steps * STEP))
}

fn config(budget: &Arc<MemoryBudget>) -> Config {
    Config {
        memory: Some(Arc::clone(budget)),
        initial_window_size: 1 << 20,
        connection_window_size: 1 << 30,
        ..plain()
    }
}

/// An answered stream; credit of the connection may come with the answer.
fn tunnel(script: &mut Script, id: u32) -> StreamKey {
    let key = script.send(headers(id)).incoming();
    script.engine.respond(key, Response::new(200), false).unwrap();
    script.skip();
    key
}

/// A server whose peer has sent `octets` of DATA on streams that nobody reads, 256 KiB on each.
fn stalled(budget: &Arc<MemoryBudget>, octets: usize) -> (Script, Vec<StreamKey>) {
    let mut script = Script::with(Side::Server, config(budget));
    let mut keys = Vec::new();
    for n in 0..octets.div_ceil(256 * KIB) {
        keys.push(tunnel(&mut script, 2 * n as u32 + 1));
        let mut left = (octets - n * 256 * KIB).min(256 * KIB);
        while left > 0 {
            let piece = left.min(16 * KIB);
            script.send(data(2 * n as u32 + 1, piece));
            left -= piece;
        }
    }
    script.skip();
    (script, keys)
}

#[test]
fn f15_what_is_held_is_charged_and_returns_when_it_is_read_reset_or_dropped() {
    let budget = budget(1000);
    let (mut script, keys) = stalled(&budget, 20 * STEP);
    assert_eq!(budget.charged(), 20 * STEP);
    assert_eq!(script.read(keys[0]).0, 256 * KIB);
    assert_eq!(budget.charged(), 16 * STEP);
    script.send(rst(3, ErrorCode::CANCEL));
    assert_eq!(budget.charged(), 12 * STEP);
    script.engine.release(keys[2]);
    assert_eq!(budget.charged(), 8 * STEP);
    script.send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, 0)]));
    script.engine.write(keys[3], vec![0; 2 * STEP].into()).unwrap();
    assert_eq!(budget.charged(), 10 * STEP, "what waits to be sent counts too");
    let other = stalled(&budget, STEP);
    assert_eq!(budget.charged(), 11 * STEP);
    drop(script);
    assert_eq!(budget.charged(), STEP);
    drop(other);
    assert_eq!(budget.charged(), 0);
}

#[test]
fn f15_from_half_on_windows_shrink_to_64_kib_as_they_are_used() {
    let budget = budget(40);
    let (_held, _) = stalled(&budget, 20 * STEP);
    let mut script = Script::with(Side::Server, config(&budget));
    let key = script.tunnel(1);
    let mut credit = 1 << 20;
    // The peer has its whole first window; from then on 64 KiB at a time.
    for _ in 0..400 {
        let piece = credit.min(16 * KIB);
        assert!(piece > 0, "a reader that reads is never stopped");
        script.skip().send(data(1, piece));
        credit -= piece;
        assert_eq!(script.read(key).1, Ok(Read::Pending));
        credit += credited(&mut script, 1);
    }
    assert_eq!(script.engine.state.streams.get(key).unwrap().recv.window.parts().1, credit as i64);
    assert!(credit <= 64 * KIB, "{credit}");
}

/// Credit that the engine has announced for a stream since the last look.
fn credited(script: &mut Script, stream: u32) -> usize {
    let mut octets = 0;
    for seen in script.take() {
        if let super::script::Seen::Other(hbone_frame::Frame::WindowUpdate { stream: Some(id), increment }) =
            seen
            && id.get() == stream
        {
            octets += increment as usize;
        }
    }
    octets
}

#[test]
fn f15_from_three_quarters_on_only_those_who_read_everything_get_credit_until_there_is_room_again() {
    let budget = budget(40);
    let (mut holder, holding) = stalled(&budget, 30 * STEP);
    let mut script = Script::with(Side::Server, config(&budget));
    let (slow, fast) = (script.tunnel(1), script.tunnel(3));
    for _ in 0..64 {
        script.send(data(1, 16 * KIB)).send(data(3, 16 * KIB));
        assert_eq!(script.read(fast).1, Ok(Read::Pending));
    }
    script.skip();
    // The slow one reads nearly all of its window, and leaves something.
    let mut left = script.engine.unread(slow);
    while left > 1000 {
        match script.engine.read(slow, left - 1000) {
            Ok(Read::Data(data)) => left -= data.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(credited(&mut script, 1), 0, "withheld");
    let window = |script: &Script, key| script.engine.state.streams.get(key).unwrap().recv.window.parts().1;
    assert_eq!(window(&script, fast), 16 * KIB as i64, "enough to go on");
    for _ in 0..100 {
        script.send(data(3, 8 * KIB));
        assert_eq!(script.read(fast).1, Ok(Read::Pending));
        script.flush();
    }
    assert!(window(&script, fast) >= 8 * KIB as i64);
    // Somewhere else memory is given back: nobody sends anything here, and yet the credit comes.
    for key in &holding {
        assert_eq!(holder.read(*key).1, Ok(Read::Pending));
    }
    assert!(budget.charged() < 20 * STEP);
    script.skip().after(Duration::from_secs(1));
    assert_eq!(credited(&mut script, 1), (1 << 20) - 1000);
    assert_eq!(window(&script, fast), 1 << 20);
    let due = script.engine.poll_timeout();
    assert_eq!(due, None, "memory is no longer watched");
}

#[test]
fn f15_from_nine_tenths_on_new_streams_are_refused_and_those_that_live_go_on() {
    let budget = budget(40);
    let (mut holder, holding) = stalled(&budget, 36 * STEP);
    let mut script = Script::with(Side::Server, config(&budget));
    for n in 0..100 {
        script.send(headers(2 * n + 1)).expect(rst(2 * n + 1, ErrorCode::REFUSED_STREAM));
    }
    assert!(!script.has_incoming());
    assert_eq!(script.engine.stats().streams_refused, 100);
    assert_eq!(script.engine.stats().stream_violations, 0, "the peer is not to blame");
    let mut client = Script::with(Side::Client, config(&budget));
    let mut request = Some(Request::connect("10.0.0.1:80"));
    assert_eq!(client.engine.open(&mut request, false), Err(OpenError::Memory));
    assert!(request.is_some());
    holder.send(data(1, 5));
    assert_eq!(holder.read(holding[0]).0, 256 * KIB + 5);
    script.tunnel(201);
    assert!(client.engine.open(&mut request, false).is_ok());
}

#[test]
fn f15_a_tunnel_lives_however_many_streams_are_refused_beside_it_for_want_of_memory() {
    let budget = budget(40);
    let mut script = Script::with(Side::Server, config(&budget));
    let live = script.tunnel(1);
    let (_holder, _) = stalled(&budget, 36 * STEP);
    // At once as many as no budget against abuse allows.
    for n in 1..=5000 {
        script.send(headers(2 * n + 1)).expect(rst(2 * n + 1, ErrorCode::REFUSED_STREAM));
    }
    assert_eq!(script.engine.stats().streams_refused, 5000);
    script.send(data(1, 5));
    assert_eq!(script.read(live), (5, Ok(Read::Pending)));
}

#[test]
fn f15_who_holds_little_opens_streams_however_much_another_holds() {
    let budget = budget(100);
    let (mut hog, _) = stalled(&budget, 92 * STEP);
    hog.send(headers(1001)).expect(rst(1001, ErrorCode::REFUSED_STREAM));
    // Half of an equal share is 25: six windows of 4.
    let config = Config { initial_window_size: 4 * STEP as u32, ..config(&budget) };
    let mut script = Script::with(Side::Server, config.clone());
    for n in 0..6 {
        script.tunnel(2 * n + 1);
    }
    script.send(headers(13)).expect(rst(13, ErrorCode::REFUSED_STREAM));
    let mut client = Script::with(Side::Client, config);
    for n in 0..7 {
        let mut request = Some(Request::connect("10.0.0.1:80"));
        let opened = client.engine.open(&mut request, false);
        assert_eq!(opened.is_ok(), n < 6, "{opened:?}");
    }
}

#[test]
fn f15_from_half_on_who_holds_more_than_an_equal_share_opens_no_more_and_others_do() {
    let budget = budget(100);
    let (mut light, _) = stalled(&budget, 4 * STEP);
    // Below half one may have nearly all that is used.
    let (mut hog, keys) = stalled(&budget, 44 * STEP);
    tunnel(&mut hog, 1001);
    let step = |script: &mut Script, stream| {
        for _ in 0..4 {
            script.send(data(stream, STEP / 4));
        }
    };
    (0..3).for_each(|_| step(&mut light, 1));
    step(&mut hog, 1001);
    assert_eq!(budget.charged(), 52 * STEP);
    hog.skip();
    light.skip();
    hog.send(headers(1003)).expect(rst(1003, ErrorCode::REFUSED_STREAM));
    light.tunnel(1001);
    assert_eq!(hog.read(keys[0]).0, 4 * STEP);
    hog.tunnel(1005);
}

#[test]
fn f15_one_who_hovers_at_a_limit_neither_eases_nor_presses_with_every_input() {
    let budget = budget(160);
    let (mut holder, keys) = stalled(&budget, 80 * STEP);
    let mut script = Script::with(Side::Server, config(&budget));
    let key = script.tunnel(1);
    for _ in 0..32 {
        script.send(data(1, STEP / 4));
    }
    script.skip();
    assert_eq!(script.read(key).0, 8 * STEP);
    assert_eq!(credited(&mut script, 1), 0, "half of the window is left: more than is allowed now");
    // One step below the limit is not enough, a sixteenth is.
    for (n, eased) in [(0, false), (1, false), (2, true)] {
        assert_eq!(holder.read(keys[n]).0, 4 * STEP);
        script.after(Duration::from_secs(1));
        assert_eq!(credited(&mut script, 1) > 0, eased, "{}", budget.charged() / STEP);
    }
}

#[test]
fn f15_only_who_withholds_credit_watches_the_memory() {
    let budget = budget(40);
    let (_holder, _) = stalled(&budget, 30 * STEP);
    let mut idle = Script::with(Side::Server, config(&budget));
    idle.skip().send(ping(1)).flush();
    assert_eq!(idle.engine.poll_timeout(), None, "a connection without streams");
    let key = idle.skip().tunnel(1);
    idle.send(data(1, 100));
    assert_eq!(idle.engine.poll_timeout(), None, "nothing is due");
    for _ in 0..40 {
        idle.send(data(1, 16 * KIB));
    }
    // The reader has nearly all and leaves something.
    while idle.engine.unread(key) > 16 * KIB {
        idle.engine.read(key, 16 * KIB).unwrap();
    }
    assert!(idle.engine.poll_timeout().is_some(), "what is due is held back");
    idle.send(rst(1, ErrorCode::CANCEL)).after(Duration::from_secs(1));
    assert_eq!(idle.engine.poll_timeout(), None, "nobody is left who could use it");
}

#[test]
fn f15_honest_streams_arrive_whole_however_small_the_budget_is() {
    for octets in [1, STEP, 10 * STEP] {
        let budget = Arc::new(MemoryBudget::new(octets));
        // Both ends and all connections share it.
        let config = Config { memory: Some(Arc::clone(&budget)), ..Config::default() };
        let mut pairs: Vec<_> = (1..4).map(|seed| Pair::with(seed, config.clone(), config.clone())).collect();
        let keys: Vec<_> = pairs.iter_mut().map(Pair::tunnel).collect();
        let mut read = vec![0; pairs.len()];
        let mut written = vec![0; pairs.len()];
        for _ in 0..10_000 {
            for (n, pair) in pairs.iter_mut().enumerate() {
                let (near, far) = keys[n];
                let room = pair.client.engine.capacity(near).unwrap().min((2 << 20) - written[n]);
                pair.client.engine.write(near, vec![7; room].into()).unwrap();
                written[n] += room;
                pair.settle();
                read[n] += pair.server.read_all(far).0.len();
                pair.settle();
            }
        }
        assert_eq!(read, [2 << 20; 3], "a budget of {octets}");
        assert_eq!(budget.charged(), 0);
    }
}
