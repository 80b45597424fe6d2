//! This engine and stock `h2`, side by side in one process and one run.
//!
//! Bulk uploads over loopback TCP: the carriers take turns, each run's figures are compared with those of its
//! own round, and medians are printed with their spread. `versus [--quick]`.

use std::process::ExitCode;

use hbone_benches::bulk::{Carrier, Run, upload};
use hbone_benches::measure::{Counting, Spread};
use hbone_benches::runtime::Mode;
use hbone_benches::stock::Settings;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: u64 = 1024 * 1024;

fn main() -> ExitCode {
    let mut quick = false;
    for argument in std::env::args().skip(1) {
        if argument != "--quick" {
            eprintln!("versus: unknown argument {argument:?}; usage: versus [--quick]");
            return ExitCode::from(2);
        }
        quick = true;
    }
    let (rounds, octets) = if quick { (3, 64 * MIB) } else { (7, 256 * MIB) };
    let carriers = [
        Carrier::Ours(Box::default()),
        Carrier::Stock(Settings::DEFAULT),
        Carrier::Stock(Settings::WINDOWS),
        Carrier::Stock(Settings::LARGE),
        Carrier::Raw,
    ];
    println!(
        "bulk upload over loopback TCP, plain, chunks of 64 KiB, {} MiB a run, {rounds} rounds",
        octets / MIB
    );
    println!("medians (least..most); ratios are ours to theirs, of the same round\n");
    for streams in [1, 100] {
        for mode in Mode::ALL {
            bulk(&carriers, mode, streams, octets, rounds);
        }
    }
    allocations(&carriers);
    ExitCode::SUCCESS
}

fn bulk(carriers: &[Carrier], mode: Mode, streams: usize, octets: u64, rounds: usize) {
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); carriers.len()];
    for _ in 0..rounds {
        for (carrier, runs) in carriers.iter().zip(&mut runs) {
            runs.push(upload(carrier, mode, streams, octets, false));
        }
    }
    println!("{} streams, {}", streams, mode.name());
    println!("  {:<22} {:>24} {:>24} {:>10} {:>10}", "", "MiB/s", "CPU s/GiB", "speed", "CPU");
    let ours = &runs[0];
    for (carrier, theirs) in carriers.iter().zip(&runs) {
        let speed = Spread::of(theirs.iter().map(Run::throughput));
        let cpu = Spread::of(theirs.iter().map(Run::cpu_per_gib));
        let pairs = || ours.iter().zip(theirs);
        let faster = Spread::of(pairs().map(|(ours, theirs)| ours.throughput() / theirs.throughput()));
        let cheaper = Spread::of(pairs().map(|(ours, theirs)| ours.cpu_per_gib() / theirs.cpu_per_gib()));
        println!(
            "  {:<22} {:>24} {:>24} {:>10.2} {:>10.2}",
            carrier.name(),
            format!("{:.0} ({:.0}..{:.0})", speed.median, speed.least, speed.most),
            format!("{:.3} ({:.3}..{:.3})", cpu.median, cpu.least, cpu.most),
            faster.median,
            cheaper.median,
        );
    }
    println!();
}

/// Counted in runs of their own: counting costs, and both sides alike only if both are counted.
fn allocations(carriers: &[Carrier]) {
    println!("allocations per MiB, one stream, both ends");
    for mode in Mode::ALL {
        let figures = carriers.iter().map(|carrier| {
            let run = upload(carrier, mode, 1, 256 * MIB, true);
            format!("{} {:.1}", carrier.name(), run.allocations_per_mib())
        });
        println!("  {:<4} {}", mode.name(), figures.collect::<Vec<_>>().join(" · "));
    }
}
