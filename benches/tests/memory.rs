//! What streams and connections hold must not grow unnoticed: bounds on live octets of the heap, each end for
//! itself. The figures themselves are printed by the program `memory`.

use hbone_benches::held::{Held, Plan, Who, engines, over_pipe};
use hbone_benches::measure::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Octets that an idle stream costs at each end, the driver's part and the application's handle included.
const STREAM: i64 = 240;
/// Octets that it costs in the engine.
const ENGINE: i64 = 160;
/// Octets that an idle connection costs at each end.
const CONNECTION: i64 = 9 * 1024;
/// What a connection keeps of streams that have gone.
const LEFT: i64 = 5 * 1024;
/// Octets of the window that a stalled reader's stream has, and what may come on top.
const STALLED: i64 = (256 + 64) * 1024;

/// Just beyond powers of two, where what grows by doubling is half empty.
const STREAMS: [usize; 4] = [100, 129, 1025, 2049];

#[test]
fn a_stream_in_the_engine_costs_little_at_any_number_and_leaves_nothing() {
    let found = engines(&STREAMS);
    for (count, octets) in found.streams {
        assert!(octets.iter().all(|octets| *octets <= ENGINE * count as i64), "{count} streams: {octets:?}");
    }
    let last = STREAMS[STREAMS.len() - 1] as i64;
    assert!(found.used.iter().all(|octets| *octets <= ENGINE * last), "used: {:?}", found.used);
    assert!(found.gone.iter().all(|octets| *octets <= LEFT), "gone: {:?}", found.gone);
}

#[tokio::test(start_paused = true)]
async fn idle_streams_idle_connections_and_stalled_readers_stay_within_their_bounds() {
    let plan = Plan { streams: STREAMS.to_vec(), upload: 4 << 20 };
    let (client, server) = over_pipe(Who::Ours, &plan).await;
    println!("{client:?} {server:?}");
    for (end, held) in [("client", &client), ("server", &server)] {
        within(end, held);
    }
    assert!(server.stalled.iter().all(|octets| *octets <= STALLED), "stalled: {:?}", server.stalled);
}

fn within(end: &str, held: &Held) {
    for &(count, octets) in &held.streams {
        assert!(octets <= STREAM * count as i64, "{end}: {octets} octets for {count} streams");
    }
    let last = STREAMS[STREAMS.len() - 1] as i64;
    assert!(held.used <= STREAM * last, "{end}: {} octets for used streams", held.used);
    assert!(held.gone <= LEFT, "{end}: {} octets left of streams that have gone", held.gone);
    assert!(held.fresh <= CONNECTION, "{end}: {} octets for a new connection", held.fresh);
    assert!(held.idle <= CONNECTION, "{end}: {} octets for an idle connection", held.idle);
}
