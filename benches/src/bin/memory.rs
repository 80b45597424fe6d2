//! What connections and streams hold, in live octets of the heap: this engine and stock `h2` in one run.
//!
//! Octets per idle stream, per idle connection, and of a stalled reader, each end counted for itself. What the
//! application holds of a stream (its handle) counts, its tasks do not. `memory [--quick]`.

use std::process::ExitCode;

use hbone_benches::held::{Held, Plan, Who, churn, engines, over_tcp};
use hbone_benches::measure::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let mut quick = false;
    for argument in std::env::args().skip(1) {
        if argument != "--quick" {
            eprintln!("memory: unknown argument {argument:?}; usage: memory [--quick]");
            return ExitCode::from(2);
        }
        quick = true;
    }
    let mut streams = vec![100, 129, 1000, 1025, 10_000];
    if !quick {
        streams.extend([16_385, 65_537, 100_000]);
    }
    println!("live octets of the heap, after a silence; client + server = both ends\n");
    let found = engines(&streams);
    println!("hbone, the engine alone, two engines and no driver");
    for (count, [client, server]) in &found.streams {
        per_stream(*count, *client, *server);
    }
    let all = streams.last().copied().unwrap_or(1);
    print!("  used, ");
    per_stream(all, found.used[0], found.used[1]);
    println!("  left after their end: {} + {}", found.gone[0], found.gone[1]);
    println!("  a connection without streams: {} inline\n", size_of::<hbone_conn::Connection>());

    let plan = Plan { streams, upload: 64 << 20 };
    for (who, name, window) in [(Who::Ours, "hbone", 256 << 10), (Who::Stock, "h2", 65_535)] {
        let (client, server) = over_tcp(who, &plan);
        println!("{name}, over loopback TCP");
        table(&client, &server, window);
        println!("  allocations per stream that comes and goes, both ends: {:.1}\n", churn(who, 200));
    }
    ExitCode::SUCCESS
}

fn table(client: &Held, server: &Held, window: i64) {
    for ((count, client), (_, server)) in client.streams.iter().zip(&server.streams) {
        per_stream(*count, *client, *server);
    }
    let all = client.streams.last().map_or(1, |(count, _)| *count);
    print!("  used, ");
    per_stream(all, client.used, server.used);
    println!("  left after their end: {} + {}", client.gone, server.gone);
    println!("  a connection without streams: {} + {} octets", client.fresh, server.fresh);
    println!("  … after an upload: {} + {} octets", client.idle, server.idle);
    for (octets, pieces) in server.stalled.iter().zip(["64 KiB", "64 octets"]) {
        let over = octets - window;
        println!("  stalled reader, pieces of {pieces}: {octets} octets, its window and {over}");
    }
}

fn per_stream(count: usize, client: i64, server: i64) {
    let each = |octets: i64| octets as f64 / count as f64;
    println!(
        "  {count:>7} idle streams: {:>6.1} + {:>6.1} = {:>6.1} octets each",
        each(client),
        each(server),
        each(client + server)
    );
}
