//! All cases, in the order of the report. Runs nothing.

use std::time::Duration;

use super::job::Job;
use crate::contender::{Contender, Count, Situation};
use crate::path::Path;
use crate::runtime::Mode;
use crate::script::Work;
use crate::stock::Settings;

/// Cases that belong together.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// Its name, with which the ids of its cases begin.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What a reader has to know.
    pub note: &'static str,
    /// The cases.
    pub jobs: Vec<Job>,
}

/// All of them.
pub fn chapters() -> Vec<Chapter> {
    vec![bulk(), churn(), round_trips(), delay(), counts(), seeds()]
}

/// Enough to find the size of a path with delay, and to use it.
const FOUND: Duration = Duration::from_secs(2);
/// Enough to count: counts hardly differ.
const COUNTED: Duration = Duration::from_millis(200);
const PATHS: [Path; 3] = [Path::Duplex, Path::Tcp, Path::Tls];

fn bulk() -> Chapter {
    let mut jobs = Vec::new();
    for streams in [1, 10, 100, 1000] {
        for (direction, work) in [("up", Work::Up(streams)), ("down", Work::Down(streams))] {
            for path in PATHS {
                for mode in Mode::ALL {
                    let at = Situation { path, mode, work };
                    if !tells_more(at) {
                        continue;
                    }
                    let plural = if streams == 1 { "stream" } else { "streams" };
                    let title = format!("{streams} {plural} {direction}");
                    let name = format!("bulk/{direction}/{}/{}/{streams}", path.name(), mode.name());
                    let contenders = bulk_contenders(at, streams);
                    jobs.push(Job { quick: quick_bulk(at), ..job(name, title, at, contenders) });
                }
            }
        }
    }
    jobs.push(engine_alone());
    Chapter {
        id: "bulk",
        title: "Bulk",
        note: "Pieces of 64 KiB from a source of 8 MiB, one direction at a time, until the time is over; then what \
               is queued is delivered, and counts. CPU is user and system time of both ends. The ceilings carry \
               everything in one stream: raw TCP without TLS also where the others have TLS. With 1000 streams stock \
               h2 with default settings ends its own connection (too_many_data_frames), and takes no part.",
        jobs,
    }
}

/// Without threads memory tells what the engines cost, with them it tells nothing that a socket does not; and one
/// number of streams down is enough to see how the number matters.
fn tells_more(at: Situation) -> bool {
    let mode = at.path != Path::Duplex || at.mode == Mode::Ct;
    mode && matches!(at.work, Work::Up(_) | Work::Down(1 | 100))
}

/// No socket, no threads, and frames of the same size: what the engines themselves cost.
fn engine_alone() -> Job {
    let at = Situation { path: Path::Duplex, mode: Mode::Ct, work: Work::Up(1) };
    let mut contenders = vec![Contender::ours_16k()];
    contenders.extend([Settings::DEFAULT, Settings::WINDOWS].map(Contender::stock));
    let title = "1 stream up, frames of 16 KiB at both ends".to_owned();
    Job { quick: true, ..job("bulk/up/duplex/ct/1/16K".to_owned(), title, at, contenders) }
}

/// The settings that are sometimes the best for bulk.
fn all_stock() -> impl Iterator<Item = Contender> {
    [Settings::DEFAULT, Settings::WINDOWS, Settings::MEDIUM, Settings::LARGE]
        .into_iter()
        .map(Contender::stock)
}

fn bulk_contenders(at: Situation, streams: usize) -> Vec<Contender> {
    let mut contenders = vec![Contender::ours()];
    if streams == 1 {
        contenders.extend(all_stock());
        match at.path {
            Path::Duplex => contenders.push(Contender::bare("raw duplex")),
            Path::Tcp | Path::Delayed(_) => contenders.push(Contender::tcp()),
            Path::Tls => {
                contenders.extend([Contender::tcp(), Contender::bare("raw TLS"), Contender::cipher()])
            }
        }
    } else {
        // With 1000 streams in 64 KiB its own budget for small DATA frames ends the connection.
        let default = (streams < 1000).then_some(Settings::DEFAULT);
        let settings = default.into_iter().chain([Settings::WINDOWS, Settings::LARGE]);
        contenders.extend(settings.map(Contender::stock));
    }
    contenders
}

fn quick_bulk(at: Situation) -> bool {
    match (at.path, at.work) {
        (Path::Duplex, work) => work == Work::Up(1) && at.mode == Mode::Ct,
        (_, Work::Up(1)) => true,
        (Path::Tcp, Work::Down(1)) => at.mode == Mode::TwoCt,
        (_, Work::Up(100 | 1000)) => at.mode == Mode::Mt,
        _ => false,
    }
}

fn churn() -> Chapter {
    let mut jobs = Vec::new();
    for path in PATHS {
        for mode in Mode::ALL {
            for together in [1, 10, 100] {
                let at = Situation { path, mode, work: Work::Churn(together) };
                let name = format!("churn/{}/{}/{together}", path.name(), mode.name());
                let quick = together == 100
                    && (mode == Mode::Mt && path != Path::Duplex || mode == Mode::Ct && path != Path::Tls)
                    || path == Path::Tcp && mode == Mode::Ct;
                // Windows do not matter to 64 octets.
                let contenders = vec![Contender::ours(), Contender::stock(Settings::DEFAULT)];
                jobs.push(Job { quick, ..job(name, format!("{together} at a time"), at, contenders) });
            }
        }
    }
    Chapter {
        id: "churn",
        title: "Streams that come and go",
        note: "Open, 64 octets each way, close; so many at a time. The server answers once it has read to the end.",
        jobs,
    }
}

fn round_trips() -> Chapter {
    let mut jobs = Vec::new();
    for beside in [0, 1, 8] {
        for path in [Path::Tcp, Path::Tls] {
            for mode in Mode::ALL {
                let at = Situation { path, mode, work: Work::RoundTrip(beside) };
                let words = if beside == 0 { "idle".to_owned() } else { format!("beside-{beside}") };
                let name = format!("rtt/{words}/{}/{}", path.name(), mode.name());
                let mut contenders = vec![Contender::ours()];
                if beside > 0 {
                    contenders.extend(all_stock());
                } else {
                    contenders.extend([Settings::DEFAULT, Settings::LARGE].map(Contender::stock));
                    contenders.push(if path == Path::Tls {
                        Contender::bare("raw TLS")
                    } else {
                        Contender::tcp()
                    });
                }
                let quick = mode != Mode::TwoCt && (beside > 0 || path == Path::Tcp);
                let title = format!("64 octets to and fro, {}", words.replace('-', " "));
                jobs.push(Job { quick, ..job(name, title, at, contenders) });
            }
        }
    }
    Chapter {
        id: "rtt",
        title: "Round trips",
        note: "64 octets to and fro. Idle: on one stream, one after the other. Beside streams of the same connection \
               that send pieces of 64 KiB in the same run, whose throughput is told too: a message every \
               millisecond, on one of 64 streams that awaits no answer, so that who stalls is not asked less \
               often. Bulk begins a tenth of the time earlier.",
        jobs,
    }
}

fn delay() -> Chapter {
    let jobs = [50, 100].into_iter().map(|milliseconds| {
        let path = Path::Delayed(Duration::from_millis(milliseconds));
        let at = Situation { path, mode: Mode::TwoCt, work: Work::Up(1) };
        let settings = [Settings::DEFAULT, Settings::WINDOWS, Settings::FAR];
        let mut contenders = vec![Contender::ours()];
        contenders.extend(settings.into_iter().map(Contender::stock));
        contenders.push(Contender::bare("raw TCP"));
        let title = format!("one stream up, {milliseconds} ms for a round trip");
        let quick = milliseconds == 100;
        Job { quick, time: Some(FOUND), ..job(format!("delay/{}/2ct/1", path.name()), title, at, contenders) }
    });
    Chapter {
        id: "delay",
        title: "Delay",
        note: "One stream over TCP through a relay in this process that delays octets by half of the round trip in \
               each direction and limits no bandwidth. Windows begin as they are set: the time includes what it \
               takes to find the path's size. CPU includes the relay's.",
        jobs: jobs.collect(),
    }
}

fn counts() -> Chapter {
    let mut jobs = Vec::new();
    for path in PATHS {
        for mode in Mode::ALL {
            for (what, work) in [("bulk", Work::Up(1)), ("churn", Work::Churn(100))] {
                let at = Situation { path, mode, work };
                let mut contenders = vec![Contender::ours()];
                contenders.extend(all_stock());
                if what == "churn" {
                    contenders.truncate(2);
                }
                let name = format!("allocations/{what}/{}/{}", path.name(), mode.name());
                let title = format!("allocations, {what}");
                let quick = match what {
                    "bulk" => path != Path::Duplex && mode == Mode::TwoCt,
                    _ => path != Path::Tls && mode == Mode::Ct,
                };
                jobs.push(Job {
                    count: Count::Allocations,
                    quick,
                    time: Some(COUNTED),
                    ..job(name, title, at, contenders)
                });
            }
        }
    }
    for mode in Mode::ALL {
        let at = Situation { path: Path::Tcp, mode, work: Work::Up(1) };
        let mut contenders = vec![Contender::ours()];
        contenders.extend(all_stock());
        contenders.push(Contender::tcp());
        let quick = mode == Mode::TwoCt;
        let name = format!("calls/bulk/tcp/{}", mode.name());
        jobs.push(Job {
            count: Count::Calls,
            quick,
            ..job(name, "system calls, bulk".into(), at, contenders)
        });
    }
    Chapter {
        id: "counts",
        title: "Allocations and system calls",
        note: "Both ends together, in runs of their own, since counting costs. One allocation per stream is the \
               benchmark's own: the server's task. System calls are reads and writes of the sockets that moved \
               something; not counted are waiting (epoll), waking (futex), and reads that found nothing.",
        jobs,
    }
}

fn seeds() -> Chapter {
    let named = [
        (
            "NoData",
            Work::Open,
            "a stream is opened and its answer awaited, one after the other, 100 stay open",
        ),
        (
            "NoDataClose",
            Work::OpenClose,
            "a stream is opened and ended without data, the server's end awaited",
        ),
        ("DataBlocking", Work::Blocking, "1 KiB to and 1 KiB fro on one stream, one at a time"),
        ("DataSend", Work::Pieces, "pieces of 1 KiB one way on one stream"),
    ];
    let mut jobs = Vec::new();
    for (name, work, title) in named {
        for mode in [Mode::Ct, Mode::Mt] {
            let at = Situation { path: Path::Tcp, mode, work };
            let mut contenders = vec![Contender::ours()];
            contenders.extend([Settings::DEFAULT, Settings::LARGE].map(Contender::stock));
            jobs.push(job(format!("seed/{name}/tcp/{}", mode.name()), title.to_owned(), at, contenders));
        }
    }
    Chapter {
        id: "seed",
        title: "The first project's four",
        note: "The names of the first hbone's benchmarks. NoData: open and await the answer, the stream stays \
               open. NoDataClose: open, end, await the other end's end. DataBlocking: 1 KiB to and fro, one at a \
               time. DataSend: pieces of 1 KiB, one way, until the time is over.",
        jobs,
    }
}

fn job(id: String, title: String, at: Situation, contenders: Vec<Contender>) -> Job {
    let title = format!("{title}, {}, {}", path_words(at.path), mode_words(at.mode));
    Job { id, title, at, count: Count::Nothing, contenders, quick: false, time: None }
}

fn path_words(path: Path) -> &'static str {
    match path {
        Path::Duplex => "in memory",
        Path::Tcp => "TCP",
        Path::Tls => "TLS",
        Path::Delayed(_) => "TCP with delay",
    }
}

fn mode_words(mode: Mode) -> &'static str {
    match mode {
        Mode::Ct => "one single-thread runtime",
        Mode::TwoCt => "two single-thread runtimes",
        Mode::Mt => "the multi-thread runtime",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::chapters;
    use crate::versus::{Job, Plan};

    /// Seconds for the runs, with 20 milliseconds for each to begin and end.
    fn seconds(plan: Plan, wanted: impl Fn(&Job) -> bool) -> f64 {
        let jobs = chapters().into_iter().flat_map(|chapter| chapter.jobs).filter(wanted);
        let runs =
            |job: Job| (job.contenders.len() * plan.rounds) as f64 * plan.of(&job).as_secs_f64() + 0.02;
        jobs.map(runs).sum()
    }

    #[test]
    fn a_full_run_takes_twenty_minutes_at_most_and_a_quick_one_three() {
        let (full, quick) = (seconds(Plan::FULL, |_| true), seconds(Plan::QUICK, |job| job.quick));
        assert!(full < 19.0 * 60.0, "{full} s");
        assert!(quick < 2.5 * 60.0, "{quick} s");
    }

    #[test]
    fn every_case_has_a_name_of_its_own_and_ours_first() {
        let jobs: Vec<_> = chapters().into_iter().flat_map(|chapter| chapter.jobs).collect();
        let names: HashSet<_> = jobs.iter().map(|job| &job.id).collect();
        assert_eq!(names.len(), jobs.len());
        for job in &jobs {
            assert!(job.contenders[0].name.starts_with("hbone "), "{}", job.id);
            let names: HashSet<_> = job.contenders.iter().map(|contender| contender.name).collect();
            assert_eq!(names.len(), job.contenders.len(), "{}", job.id);
        }
    }
}
