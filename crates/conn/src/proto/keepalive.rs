//! PING: round-trip time, liveness, and the size that windows should have (RFC 9113 6.7).
//!
//! Windows follow the path. While DATA arrives, a PING is sent now and then; what arrived until its answer,
//! over the time it took, is the rate. A stream window should hold twice what that rate puts into the path's
//! *shortest* round trip: over a long path a full window asks for a larger one, while on loopback, where
//! queues and not distance make the time, windows stay small and what is in flight stays in cache. The window of the
//! connection follows too: what all streams together have in flight is what a short message has to wait for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::config::Config;

/// Between two measurements, at the least: peers budget PINGs.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// Between two measurements once the windows have been large enough for a while.
const SAMPLE_AT_REST: Duration = Duration::from_secs(10);
/// Measurements that find nothing before the next ones are put off.
const PATIENCE: u8 = 2;
/// The round trip from which on a path is a long one.
const LONG: Duration = Duration::from_millis(1);
/// The least window of a stream that is busy, in octets: one half is written and sealed at one end while the other half
/// is opened and read at the other. With half of that two processors take turns instead of working side by side.
const WHILE_BUSY: u32 = 512 * 1024;
/// PINGs that may be unanswered at a time.
const OUTSTANDING: usize = 16;

/// Why a PING was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The application asked.
    User,
    /// The peer has been silent.
    Keepalive,
    /// To measure the rate of what arrives.
    Sample,
    /// To know that the peer has seen our first GOAWAY.
    Drain,
}

/// An answered PING.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) id: u64,
    pub(super) purpose: Purpose,
    pub(super) rtt: Duration,
}

/// PINGs under way.
#[derive(Debug, Default)]
pub(super) struct Pings {
    last_id: u64,
    outstanding: VecDeque<(u64, Purpose, Option<Instant>)>,
}

impl Pings {
    /// Registers a PING to be emitted. `None` when too many are unanswered.
    pub(super) fn begin(&mut self, purpose: Purpose) -> Option<u64> {
        // What the engine itself must know is sent in any case, at most one of each.
        let optional = matches!(purpose, Purpose::User | Purpose::Sample);
        if optional && self.outstanding.len() >= OUTSTANDING {
            return None;
        }
        self.last_id += 1;
        self.outstanding.push_back((self.last_id, purpose, None));
        Some(self.last_id)
    }

    /// It leaves now; returns what it is for.
    pub(super) fn emitted(&mut self, id: u64, now: Instant) -> Option<Purpose> {
        let ping = self.outstanding.iter_mut().find(|ping| ping.0 == id)?;
        ping.2 = Some(now);
        Some(ping.1)
    }

    /// An acknowledgement came; `None` when it answers nothing of ours.
    pub(super) fn answered(&mut self, payload: [u8; 8], now: Instant) -> Option<Answered> {
        let id = u64::from_be_bytes(payload);
        let found = self.outstanding.iter().position(|ping| ping.0 == id && ping.2.is_some())?;
        let (_, purpose, sent) = self.outstanding.remove(found)?;
        Some(Answered { id, purpose, rtt: now.saturating_duration_since(sent?) })
    }

    /// The unanswered PING of that purpose, if there is one: when it left, if it has.
    pub(super) fn sent(&self, purpose: Purpose) -> Option<Option<Instant>> {
        self.outstanding.iter().find(|ping| ping.1 == purpose).map(|ping| ping.2)
    }
}

/// What is known about the path, and the window that fits it.
#[derive(Debug)]
pub(super) struct Path {
    shortest: Option<Duration>,
    latest: Option<Duration>,
    smoothed: Option<Duration>,
    /// What the last sample put into the shortest round trip, in octets.
    bandwidth_delay: u64,
    window: u32,
    /// The most that it may be, for a stream and for all of them together.
    ceiling: u32,
    stream_ceiling: u32,
    /// Octets since the sample began.
    sampled: u64,
    /// Octets of the piece with which it began.
    first: u64,
    /// When it began.
    sampling: Option<Instant>,
    next_sample: Option<Instant>,
    pause: Duration,
    /// Measurements since the window has grown.
    misses: u8,
}

impl Path {
    pub(super) fn new(config: &Config) -> Self {
        let initial = config.initial_window_size;
        let stream_ceiling = config.max_window_size.max(initial);
        let busy = if config.window_tuning { WHILE_BUSY } else { 0 };
        let window = busy.max(initial).min(stream_ceiling);
        Self {
            shortest: None,
            latest: None,
            smoothed: None,
            bandwidth_delay: 0,
            window,
            ceiling: config.max_connection_window_size.max(stream_ceiling),
            stream_ceiling,
            sampled: 0,
            first: 0,
            sampling: None,
            next_sample: None,
            pause: SAMPLE_EVERY,
            misses: 0,
        }
    }

    /// The receive window that a busy stream should have, in octets.
    pub(super) fn window(&self) -> u32 {
        self.window.min(self.stream_ceiling)
    }

    /// The receive window that all streams together should have, in octets: twice what one alone would need, so that
    /// the two windows of one that is alone never wait for each other's credit in turns.
    pub(super) const fn connection_window(&self) -> u32 {
        self.window.saturating_mul(2)
    }

    pub(super) const fn shortest_rtt(&self) -> Option<Duration> {
        self.shortest
    }

    /// Whether it is known to be a short one.
    pub(super) fn is_short(&self) -> bool {
        self.shortest.is_some_and(|shortest| shortest < LONG)
    }

    pub(super) const fn latest_rtt(&self) -> Option<Duration> {
        self.latest
    }

    pub(super) const fn smoothed_rtt(&self) -> Option<Duration> {
        self.smoothed
    }

    pub(super) const fn bandwidth_delay(&self) -> u64 {
        self.bandwidth_delay
    }

    pub(super) fn round_trip(&mut self, rtt: Duration) {
        self.latest = Some(rtt);
        // RFC 6298 2.3: a new measurement counts an eighth.
        self.smoothed = Some(self.smoothed.map_or(rtt, |smoothed| smoothed - smoothed / 8 + rtt / 8));
        self.shortest = Some(self.shortest.map_or(rtt, |shortest| shortest.min(rtt)));
    }

    /// DATA of `n` octets arrived. `true`: send a PING of [`Purpose::Sample`] and call `sample_begins`.
    pub(super) fn data(&mut self, n: usize, now: Instant) -> bool {
        self.sampled += n as u64;
        self.sampling.is_none()
            && self.window < self.ceiling
            && self.next_sample.is_none_or(|next| now >= next)
    }

    /// A sample begins with a piece of `n` octets.
    pub(super) const fn sample_begins(&mut self, n: usize, now: Instant) {
        self.sampling = Some(now);
        self.sampled = 0;
        self.first = n as u64;
    }

    /// Its PING leaves. If that was held up, only what comes from now on belongs to its round trip.
    pub(super) fn sample_leaves(&mut self, now: Instant) {
        if self.sampling != Some(now) {
            self.sampled = 0;
            self.first = 0;
        }
    }

    /// By how much a window grows that is full. Over a long path a sample takes one round trip and the larger window
    /// takes effect in the next: four times in two, as TCP begins.
    fn step(&self) -> f64 {
        if self.shortest.is_some_and(|shortest| shortest >= LONG) { 4.0 } else { 2.0 }
    }

    /// The PING of a sample was answered after `rtt`. `true` when the window has grown.
    pub(super) fn sample_ends(&mut self, rtt: Duration, now: Instant) -> bool {
        self.sampling = None;
        let shortest = self.shortest.unwrap_or(rtt);
        // Over a long path a window may come as one piece, and no more until the answer: it is what counts.
        // Over a short one a piece is large beside what a round trip carries, and would be counted too often.
        let first = if shortest >= LONG { self.first } else { 0 };
        let per_shortest =
            (self.sampled + first) as f64 * shortest.as_secs_f64() / rtt.as_secs_f64().max(f64::MIN_POSITIVE);
        self.bandwidth_delay = per_shortest as u64;
        // Two thirds of a window in one round trip: the window is what limits the rate.
        let grows = per_shortest * 1.5 >= f64::from(self.window);
        if grows {
            let wanted = per_shortest.max(f64::from(self.window)) * self.step();
            self.window = if wanted >= f64::from(self.ceiling) { self.ceiling } else { wanted as u32 };
            self.pause = if shortest >= LONG { shortest } else { SAMPLE_EVERY };
            self.misses = 0;
        } else {
            // Right after it has grown a window may not have taken effect yet.
            self.misses = self.misses.saturating_add(1);
            if self.misses > PATIENCE {
                self.pause = (self.pause * 2).min(SAMPLE_AT_REST);
            }
        }
        self.next_sample = Some(now + self.pause);
        grows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::epoch;

    const MS: Duration = Duration::from_millis(1);

    fn path() -> Path {
        Path::new(&Config::default())
    }

    fn sample(path: &mut Path, octets: usize, rtt: Duration, now: Instant) -> bool {
        path.sample_begins(0, now);
        path.data(octets, now);
        path.round_trip(rtt);
        path.sample_ends(rtt, now)
    }

    #[test]
    fn a_full_window_over_a_long_path_grows_as_tcp_begins_up_to_the_ceiling() {
        let now = epoch();
        let mut path = path();
        path.round_trip(100 * MS);
        let mut rounds = 0;
        while path.window() < 32 << 20 {
            let full = path.window() as usize;
            assert!(sample(&mut path, full, 100 * MS, now));
            rounds += 1;
        }
        assert_eq!((rounds, path.window()), (3, 32 << 20));
    }

    #[test]
    fn queueing_on_a_short_path_does_not_grow_the_window() {
        let now = epoch();
        let mut path = path();
        path.round_trip(Duration::from_micros(50));
        assert!(!sample(&mut path, 600 << 10, Duration::from_micros(300), now));
        assert_eq!(path.window(), WHILE_BUSY);
    }

    #[test]
    fn rfc6298_2_a_new_round_trip_counts_an_eighth_of_the_smoothed_one() {
        let mut path = path();
        assert_eq!(path.smoothed_rtt(), None);
        path.round_trip(80 * MS);
        assert_eq!(path.smoothed_rtt(), Some(80 * MS));
        path.round_trip(160 * MS);
        assert_eq!(path.smoothed_rtt(), Some(90 * MS));
        assert_eq!((path.latest_rtt(), path.shortest_rtt()), (Some(160 * MS), Some(80 * MS)));
    }

    #[test]
    fn what_a_sample_put_into_the_shortest_round_trip_is_the_estimate() {
        let now = epoch();
        let mut path = path();
        path.round_trip(50 * MS);
        sample(&mut path, 100_000, 100 * MS, now);
        assert_eq!(path.bandwidth_delay(), 50_000);
    }

    #[test]
    fn samples_are_spaced() {
        let now = epoch();
        let mut path = path();
        let mut now = now;
        assert!(path.data(1, now));
        for pause in [100, 100, 200, 400] {
            sample(&mut path, 10, MS, now);
            assert!(!path.data(1, now + (pause - 1) * MS));
            now += pause * MS;
            assert!(path.data(1, now));
        }
    }

    #[test]
    fn only_our_own_pings_are_answered_once() {
        let now = epoch();
        let mut pings = Pings::default();
        let id = pings.begin(Purpose::User).unwrap();
        assert!(pings.answered(id.to_be_bytes(), now).is_none(), "it has not left yet");
        pings.emitted(id, now);
        assert!(pings.answered([9; 8], now).is_none());
        let answer = pings.answered(id.to_be_bytes(), now + MS).unwrap();
        assert_eq!((answer.id, answer.purpose, answer.rtt), (id, Purpose::User, MS));
        assert!(pings.answered(id.to_be_bytes(), now).is_none());
    }
}
