//! Every pair of ends that a tunnel may have: octets, ends, resets, early octets, silence, backpressure.

use std::future::{Future, pending};
use std::sync::LazyLock;
use std::time::Duration;

use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::testing::outside::{AnyOutside, Ending, Kind, LONG, Maker, pattern, read_end};

const NO_LIMIT: RelayLimits = RelayLimits { idle: None, half_closed_idle: None, min_progress: 1024 };

/// A tunnel with both outsides in hand.
struct Joined {
    near: AnyOutside,
    far: AnyOutside,
    relayed: JoinHandle<Relayed>,
}

impl Joined {
    async fn new(maker: &Maker, near: Kind, far: Kind) -> Self {
        Self::with(maker, (near, far), Bytes::new(), NO_LIMIT, pending()).await
    }

    async fn with(
        maker: &Maker,
        (near, far): (Kind, Kind),
        early: Bytes,
        limits: RelayLimits,
        stop: impl Future<Output = Break> + Send + 'static,
    ) -> Self {
        let (near, near_outside) = maker.make(near).await;
        let (far, far_outside) = maker.make(far).await;
        let relayed = tokio::spawn(join(near, far, early, limits, stop));
        Self { near: near_outside, far: far_outside, relayed }
    }

    /// Seen from the other side.
    fn turned(self, turn: bool) -> Self {
        if turn { Self { near: self.far, far: self.near, relayed: self.relayed } } else { self }
    }

    async fn ended(self) -> Relayed {
        timeout(LONG, self.relayed).await.expect("the tunnel does not end").unwrap()
    }
}

async fn exchange(from: &mut AnyOutside, to: &mut AnyOutside, octets: &[u8]) {
    let mut received = vec![0; octets.len()];
    let writing = async {
        from.write_all(octets).await.unwrap();
        from.flush().await.unwrap();
    };
    let both = async { tokio::join!(writing, to.read_exact(&mut received)) };
    timeout(LONG, both).await.expect("octets do not arrive").1.unwrap();
    assert!(received == octets);
}

/// Where a tunnel is when one end acts.
#[derive(Clone, Copy, Debug)]
enum When {
    BeforeData,
    InTheMiddle,
    AfterAFin,
}

const MOMENTS: [When; 3] = [When::BeforeData, When::InTheMiddle, When::AfterAFin];

async fn bring(when: When, joined: &mut Joined) {
    let Joined { near, far, .. } = joined;
    match when {
        When::BeforeData => {}
        When::InTheMiddle => {
            exchange(near, far, &pattern(100_000)).await;
            exchange(far, near, &pattern(100_000)).await;
        }
        When::AfterAFin => {
            exchange(near, far, b"last words").await;
            far.shutdown().await.unwrap();
            assert_eq!(read_end(near).await, (Vec::new(), Ending::Fin));
        }
    }
}

#[tokio::test]
async fn t29_an_end_of_either_end_of_any_pair_arrives_as_an_end_and_the_other_direction_goes_on() {
    let maker = Maker::new();
    for (near, far) in Kind::pairs() {
        for (when, turn) in MOMENTS.into_iter().flat_map(|when| [(when, false), (when, true)]) {
            let mut joined = Joined::new(&maker, near, far).await.turned(turn);
            bring(when, &mut joined).await;
            joined.near.write_all(b"bye").await.unwrap();
            joined.near.shutdown().await.unwrap();
            let seen = read_end(&mut joined.far).await;
            assert_eq!(seen, (b"bye".to_vec(), Ending::Fin), "{near:?} {far:?} {when:?} {turn}");
            if !matches!(when, When::AfterAFin) {
                exchange(&mut joined.far, &mut joined.near, &pattern(5000)).await;
                joined.far.shutdown().await.unwrap();
                assert_eq!(read_end(&mut joined.near).await, (Vec::new(), Ending::Fin));
            }
            let relayed = joined.ended().await;
            assert_eq!(relayed.broken, None, "{near:?} {far:?} {when:?} {turn}");
            assert!(relayed.up.finished && relayed.down.finished);
        }
    }
}

#[tokio::test]
async fn t29_a_reset_of_either_end_of_any_pair_arrives_as_a_reset() {
    let maker = Maker::new();
    for (near, far) in Kind::pairs() {
        for (when, turn) in MOMENTS.into_iter().flat_map(|when| [(when, false), (when, true)]) {
            let acting = if turn { far } else { near };
            // A unix socket has nothing to say it with: see its own test.
            if acting == Kind::Unix {
                continue;
            }
            let mut joined = Joined::new(&maker, near, far).await.turned(turn);
            bring(when, &mut joined).await;
            let Joined { near: acted, far: mut heard, relayed } = joined;
            acted.cut();
            let (octets, end) = read_end(&mut heard).await;
            let hears = if turn { near } else { far }.tells_cuts();
            assert!(octets.is_empty());
            assert!(end == Ending::Reset || !hears, "{near:?} {far:?} {when:?} {turn}");
            let relayed = timeout(LONG, relayed).await.unwrap().unwrap();
            assert!(relayed.broken.is_some(), "{near:?} {far:?} {when:?} {turn}");
        }
    }
}

#[tokio::test]
async fn t29_a_unix_client_that_goes_with_octets_unread_is_a_reset() {
    let maker = Maker::new();
    for other in Kind::ALL {
        let Joined { near, mut far, relayed } = Joined::new(&maker, Kind::Unix, other).await;
        // More than it has read: the socket's end says so.
        far.write_all(&pattern(10_000)).await.unwrap();
        far.flush().await.unwrap();
        let mut near = near;
        near.read_exact(&mut [0; 10]).await.unwrap();
        near.cut();
        let (_, end) = read_end(&mut far).await;
        assert!(end == Ending::Reset || !other.tells_cuts(), "{other:?}");
        assert!(timeout(LONG, relayed).await.unwrap().unwrap().broken.is_some());
    }
}

#[tokio::test]
async fn t29_a_unix_client_hears_a_reset_while_octets_of_it_are_unread() {
    let maker = Maker::new();
    for other in [Kind::Tcp, Kind::Stream] {
        let mut joined = Joined::new(&maker, Kind::Unix, other).await;
        // Nobody reads at the far end, until its buffers and this socket's are full.
        fill(&mut joined.near).await;
        joined.far.cut();
        assert_eq!(read_end(&mut joined.near).await.1, Ending::Reset, "{other:?}");
    }
}

/// Writes a pattern until nobody takes more; how much was taken.
async fn fill(outside: &mut AnyOutside) -> usize {
    let octets: &[u8] = &OCTETS;
    let mut taken = 0;
    while let Ok(written) = timeout(Duration::from_millis(100), outside.write(&octets[taken..])).await {
        taken += written.unwrap();
        assert!(taken < MOST, "nothing stops the writer");
    }
    taken
}

/// The kernel's buffers of both sockets and the windows of streams hold far less.
const MOST: usize = 24 << 20;
static OCTETS: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(MOST));

#[tokio::test]
async fn n1_octets_of_any_size_arrive_as_they_were_sent_in_both_directions_of_any_pair_at_once() {
    let maker = Maker::new();
    let mut chance = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for (near, far) in Kind::pairs() {
        let joined = Joined::new(&maker, near, far).await;
        let mut both = Vec::new();
        for outside in [joined.near, joined.far] {
            let sizes: Vec<usize> = (0..40).map(|_| size(&mut chance)).collect();
            both.push(talk(outside, sizes));
        }
        let (far_talk, near_talk) = (both.pop().unwrap(), both.pop().unwrap());
        let both = async { tokio::join!(near_talk, far_talk) };
        let (near_did, far_did) = timeout(LONG, both).await.expect("octets do not arrive");
        assert!(near_did.1 == far_did.0 && far_did.1 == near_did.0, "{near:?} {far:?}");
        let relayed = timeout(LONG, joined.relayed).await.unwrap().unwrap();
        assert_eq!(relayed.broken, None, "{near:?} {far:?}");
        let counted = (relayed.up.octets, relayed.down.octets);
        assert_eq!(counted, (near_did.0.len() as u64, far_did.0.len() as u64));
    }
}

/// Mostly small, at times larger than any buffer.
fn size(chance: &mut TestRng) -> usize {
    use proptest::prelude::Rng;
    1 + chance.next_u32() as usize % [2, 100, 20_000, 150_000][chance.next_u32() as usize % 4]
}

/// Writes pieces of those sizes and then its end while it reads to the end; what was written and what was read.
async fn talk(outside: AnyOutside, sizes: Vec<usize>) -> (Vec<u8>, Vec<u8>) {
    let sent = pattern(sizes.iter().sum());
    let (mut read, mut write) = tokio::io::split(outside);
    let writing = async {
        let mut rest = &sent[..];
        for size in sizes {
            let (piece, behind) = rest.split_at(size);
            write.write_all(piece).await.unwrap();
            write.flush().await.unwrap();
            rest = behind;
        }
        write.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let ((), count) = tokio::join!(writing, read.read_to_end(&mut received));
    count.unwrap();
    (sent, received)
}

#[tokio::test]
async fn early_octets_come_first_in_any_pair() {
    let maker = Maker::new();
    for (near, far) in Kind::pairs() {
        let early = pattern(70_000);
        let kinds = (near, far);
        let mut joined = Joined::with(&maker, kinds, early.clone().into(), NO_LIMIT, pending()).await;
        joined.near.write_all(b"and then this").await.unwrap();
        joined.near.shutdown().await.unwrap();
        let (octets, end) = read_end(&mut joined.far).await;
        assert!(octets == [&early[..], b"and then this"].concat() && end == Ending::Fin, "{near:?} {far:?}");
    }
}

#[tokio::test]
async fn t28_a_silent_tunnel_of_any_pair_is_reset_at_both_ends_and_never_ended() {
    let maker = Maker::new();
    for (near, far) in Kind::pairs() {
        let limits = RelayLimits { idle: Some(Duration::from_millis(20)), ..NO_LIMIT };
        let mut joined = Joined::with(&maker, (near, far), Bytes::new(), limits, pending()).await;
        for (outside, kind) in [(&mut joined.near, near), (&mut joined.far, far)] {
            assert!(read_end(outside).await.1 == Ending::Reset || !kind.tells_cuts(), "{near:?} {far:?}");
        }
        assert_eq!(joined.ended().await.broken, Some(Break::Idle(Duration::from_millis(20))));
    }
}

#[tokio::test]
async fn t12_an_order_to_stop_resets_both_ends_of_any_pair() {
    let maker = Maker::new();
    for (near, far) in Kind::pairs() {
        let (order, ordered) = tokio::sync::oneshot::channel();
        let stop = async { ordered.await.unwrap() };
        let mut joined = Joined::with(&maker, (near, far), Bytes::new(), NO_LIMIT, stop).await;
        exchange(&mut joined.near, &mut joined.far, b"before").await;
        order.send(Break::Revoked).unwrap();
        for (outside, kind) in [(&mut joined.near, near), (&mut joined.far, far)] {
            assert!(read_end(outside).await.1 == Ending::Reset || !kind.tells_cuts(), "{near:?} {far:?}");
        }
        assert_eq!(joined.ended().await.broken, Some(Break::Revoked));
    }
}

#[tokio::test]
async fn f19_a_tunnel_that_is_dropped_resets_both_ends_of_any_pair() {
    let maker = Maker::new();
    for (near, far) in Kind::pairs() {
        let mut joined = Joined::new(&maker, near, far).await;
        exchange(&mut joined.near, &mut joined.far, b"before").await;
        joined.relayed.abort();
        for (outside, kind) in [(&mut joined.near, near), (&mut joined.far, far)] {
            assert!(read_end(outside).await.1 == Ending::Reset || !kind.tells_cuts(), "{near:?} {far:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h41_a_reader_that_stalls_stops_the_writer_of_any_pair_and_loses_nothing() {
    let maker = Maker::new();
    for kinds in Kind::pairs() {
        let mut joined = Joined::new(&maker, kinds.0, kinds.1).await;
        let taken = fill(&mut joined.near).await;
        // The other direction goes on meanwhile.
        exchange(&mut joined.far, &mut joined.near, b"still here").await;
        let Joined { mut near, mut far, .. } = joined;
        let (ended, (octets, end)) = tokio::join!(near.shutdown(), read_end(&mut far));
        ended.unwrap();
        assert_eq!((octets.len(), end), (taken, Ending::Fin), "{kinds:?}");
        assert!(octets == OCTETS[..taken], "{kinds:?}");
    }
}

#[tokio::test]
async fn n7_tls_that_ends_without_close_notify_is_a_reset_also_when_what_is_below_ends_in_peace() {
    let maker = Maker::new();
    for (near, other) in Kind::pairs().filter(|(near, _)| near.is_tls()) {
        let mut joined = Joined::new(&maker, near, other).await;
        exchange(&mut joined.near, &mut joined.far, b"half of it").await;
        joined.near.end_below();
        let (_, end) = read_end(&mut joined.far).await;
        assert!(end == Ending::Reset || !other.tells_cuts(), "{near:?} {other:?}");
        assert_eq!(joined.ended().await.broken, Some(Break::Tcp(std::io::ErrorKind::UnexpectedEof)));
    }
}
