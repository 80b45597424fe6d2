//! Measures the tunnel: transfers with processor time, round trips, connections in a second. Called by mod.rs.
//! Gives figures; judges nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::payload::Payload;
use super::{client, cpu};

/// How much is moved and how long is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amount {
    /// Octets each way in the pass that is digested at both ends.
    pub(super) verified: u64,
    /// Octets in each pass that is measured.
    pub(super) measured: u64,
    /// Round trips.
    pub(super) round_trips: usize,
    /// How long connections are opened one after the other.
    pub(super) churn: Duration,
}

/// The whole: a GiB digested, and 2 GiB measured.
pub(super) const WHOLE: Amount = Amount {
    verified: 512 << 20,
    measured: 512 << 20,
    round_trips: 5_000,
    churn: Duration::from_millis(1_500),
};

/// For a quick look and for tests of builds without optimisation.
pub(super) const QUICK: Amount =
    Amount { verified: 32 << 20, measured: 32 << 20, round_trips: 500, churn: Duration::from_millis(200) };

/// One transfer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// MiB in a second.
    pub(super) speed: f64,
    /// Processor seconds of the whole process for a GiB.
    pub(super) cpu: Option<f64>,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// Moves octets without digesting them and measures.
pub(super) async fn transfer(
    address: SocketAddr,
    payload: &Payload,
    size: u64,
    way: Way,
) -> io::Result<Rate> {
    let before = cpu::used();
    let elapsed = match way {
        Way::Up => client::upload(address, payload, size, false).await?,
        Way::Down => client::download(address, size, false).await?,
    };
    let used = cpu::used().zip(before).map(|(after, before)| after.saturating_sub(before));
    let mebibytes = mebibytes(size);
    let cpu = used.map(|used| used.as_secs_f64() * 1024.0 / mebibytes);
    Ok(Rate { speed: mebibytes / elapsed.as_secs_f64(), cpu })
}

/// Moves octets both ways at once, digested at all ends. Gives back the time.
pub(super) async fn verified(address: SocketAddr, payload: &Payload, size: u64) -> io::Result<Duration> {
    let sender = payload.clone();
    let up = tokio::spawn(async move { client::upload(address, &sender, size, true).await });
    let down = tokio::spawn(async move { client::download(address, size, true).await });
    let up = up.await.map_err(io::Error::other)??;
    let down = down.await.map_err(io::Error::other)??;
    Ok(up.max(down))
}

/// The time below which that share of the sorted times lies.
pub(super) fn percentile(sorted: &[Duration], share: usize) -> Duration {
    let index = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}

/// Octets in MiB.
pub(super) fn mebibytes(octets: u64) -> f64 {
    octets as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_sorted_list() {
        let times: Vec<_> = (1..=100).map(Duration::from_micros).collect();
        assert_eq!(percentile(&times, 50), Duration::from_micros(51));
        assert_eq!(percentile(&times, 99), Duration::from_micros(100));
        assert_eq!(percentile(&times[..1], 99), Duration::from_micros(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
