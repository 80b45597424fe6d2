//! Who takes part, and one run of one of them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hbone_conn::Config;

use crate::carrier::Role;
use crate::measure::Meter;
use crate::path::Path;
use crate::runtime::Mode;
use crate::script::{Outcome, Span, Work, play, serve};
use crate::{ours, raw, stock};

/// Who carries the octets.
#[derive(Clone, Debug)]
pub struct Contender {
    /// The name in tables.
    pub name: &'static str,
    /// The settings in words.
    pub settings: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Ours(Box<Config>),
    Stock(stock::Settings),
    /// The socket itself, with TLS where the path has it.
    Bare,
    /// The socket itself, in the clear also where the path has TLS.
    Clear,
    /// Encryption alone, without any path.
    Cipher,
}

/// The situation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// What lies between the ends.
    pub path: Path,
    /// Where the ends run.
    pub mode: Mode,
    /// What they do.
    pub work: Work,
}

/// What a run counts beside time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// Nothing.
    #[default]
    Nothing,
    /// Allocations of both ends.
    Allocations,
    /// Calls of both ends to their sockets.
    Calls,
}

impl Contender {
    /// This engine as it comes.
    pub fn ours() -> Self {
        let settings = "as it comes".to_owned();
        Self { name: "hbone default", settings, kind: Kind::Ours(Box::default()) }
    }

    /// This engine with frames no larger than those of stock `h2` as it comes.
    pub fn ours_16k() -> Self {
        let config = Config { max_frame_size: 16 * 1024, ..Config::default() };
        let settings = "as it comes, but frames of 16 KiB".to_owned();
        Self { name: "hbone 16K frames", settings, kind: Kind::Ours(Box::new(config)) }
    }

    /// Stock `h2` with these settings.
    pub fn stock(settings: stock::Settings) -> Self {
        Self { name: settings.name, settings: settings.words(), kind: Kind::Stock(settings) }
    }

    /// A socket, pieces of 64 KiB.
    pub fn tcp() -> Self {
        let settings = "a socket, pieces of 64 KiB, reads of 256 KiB, one stream".to_owned();
        Self { name: "raw TCP", settings, kind: Kind::Clear }
    }

    /// What lies between the ends as it is, pieces of 64 KiB.
    pub fn bare(name: &'static str) -> Self {
        let settings = "the path as it is, pieces of 64 KiB, reads of 256 KiB, one stream".to_owned();
        Self { name, settings, kind: Kind::Bare }
    }

    /// Encryption alone.
    pub fn cipher() -> Self {
        let settings = "aws-lc-rs seals and opens 16 KiB in one thread, nothing is sent".to_owned();
        Self { name: "AES-128-GCM alone", settings, kind: Kind::Cipher }
    }

    /// One run.
    ///
    /// # Panics
    /// When anything goes wrong: the run has failed.
    pub fn run(&self, at: Situation, time: Duration, count: Count) -> Outcome {
        let path = if matches!(self.kind, Kind::Clear) { Path::Tcp } else { at.path };
        let calls = (count == Count::Calls).then(|| Arc::new(AtomicU64::new(0)));
        let meter = Meter { allocations: count == Count::Allocations, calls: calls.clone() };
        let span = Span { time, meter };
        if matches!(self.kind, Kind::Cipher) {
            let running = span.meter.start();
            let octets = raw::encrypt(time);
            return Outcome { octets, taken: running.reading(), ..Outcome::default() };
        }
        let (near, far) = path.ends(calls.as_ref());
        let Situation { mode, work, .. } = at;
        match &self.kind {
            Kind::Ours(config) => {
                let config = room_for(config, work);
                let connecting = ours::connect(near, config.clone());
                let connecting = async { some(connecting.await) };
                mode.run(serve(ours::accept(far, config), time), play(connecting, work, span))
            }
            Kind::Stock(settings) => {
                let connecting = stock::connect(near, *settings);
                let connecting = async { some(connecting.await) };
                mode.run(serve(stock::accept(far, *settings), time), play(connecting, work, span))
            }
            Kind::Bare | Kind::Clear | Kind::Cipher => {
                let connecting = async { (raw::connect(near).await, None) };
                mode.run(serve(raw::accept(far, role(work)), time), play(connecting, work, span))
            }
        }
    }
}

fn some<C, T>((client, task): (C, T)) -> (C, Option<T>) {
    (client, Some(task))
}

/// A server of this engine admits 256 streams unless told otherwise; stock `h2` admits all.
fn room_for(config: &Config, work: Work) -> Config {
    let streams = match work {
        Work::Up(streams) | Work::Down(streams) | Work::Churn(streams) | Work::RoundTrip(streams) => streams,
        Work::Open | Work::OpenClose | Work::Blocking | Work::Pieces => 1,
    };
    let needed = u32::try_from(streams).unwrap_or(u32::MAX);
    Config { max_concurrent_streams: config.max_concurrent_streams.max(needed), ..config.clone() }
}

/// What the only stream of a bare socket is for.
fn role(work: Work) -> Role {
    match work {
        Work::Up(_) | Work::Pieces | Work::Open | Work::OpenClose => Role::Sink,
        Work::Down(_) => Role::Source,
        Work::Churn(_) => Role::Answer,
        Work::RoundTrip(_) | Work::Blocking => Role::Echo,
    }
}
