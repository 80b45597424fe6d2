//! One script for both ends: which states a connection passes through, and where it is measured.
//!
//! Both ends run in one thread, each at the expense of its own account. Before every sample there is a silence
//! long enough for both to give back what they do not need. Knows no protocol.

use std::future::Future;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use hbone_conn::Side;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::task::LocalSet;

use super::end::End;
use super::pipe::pipe;
use super::{ours, stock};
use crate::measure::{Account, count_allocations, watch_live};

/// Longer than either end keeps buffers in a silence.
const SILENCE: Duration = Duration::from_millis(2500);

/// What the streams of a plan are carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// This engine and its driver.
    Ours,
    /// Stock `h2` with its default windows.
    Stock,
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Numbers of open streams to measure at, rising.
    pub streams: Vec<usize>,
    /// Octets of the upload after which an idle connection is measured again.
    pub upload: usize,
}

/// Live octets of one end.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// The connection without streams, before anything was carried.
    pub fresh: i64,
    /// What was added by so many open streams.
    pub streams: Vec<(usize, i64)>,
    /// What all of them have added after one octet went to and fro on each.
    pub used: i64,
    /// What is left of them after their end.
    pub gone: i64,
    /// The connection without streams, after the upload.
    pub idle: i64,
    /// What a stream adds whose reader has stalled: written to in pieces of 64 KiB, and of 64 octets.
    pub stalled: [i64; 2],
}

/// What both ends share: the account of each is its own.
struct Stage {
    account: Account,
    meeting: Rc<Barrier>,
}

impl Stage {
    /// Waits for the other end and a silence; what this end holds then.
    async fn sample(&self) -> i64 {
        self.meeting.wait().await;
        tokio::time::sleep(SILENCE).await;
        let octets = self.account.octets();
        self.meeting.wait().await;
        octets
    }

    async fn play(&self, mut end: impl End, plan: &Plan) -> Held {
        let mut held = Held { fresh: self.sample().await, ..Held::default() };
        for &count in &plan.streams {
            end.grow(count).await;
            held.streams.push((count, self.sample().await - held.fresh));
        }
        end.echo().await;
        held.used = self.sample().await - held.fresh;
        end.leave().await;
        held.gone = self.sample().await - held.fresh;
        end.carry(plan.upload).await;
        held.idle = self.sample().await;
        for (octets, piece) in held.stalled.iter_mut().zip([64 * 1024, 64]) {
            end.stall(piece).await;
            *octets = self.sample().await - held.idle;
            end.abandon();
            self.sample().await;
        }
        held
    }
}

/// Client and server over plain TCP, in real time.
pub fn over_tcp(who: Who, plan: &Plan) -> (Held, Held) {
    run(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (near, far) = (near.expect("a connection"), far.expect("a connection").0);
        near.set_nodelay(true).expect("nodelay");
        far.set_nodelay(true).expect("nodelay");
        play(who, near, far, plan).await
    })
}

/// Client and server over a pipe, on the clock of the runtime that is current.
pub async fn over_pipe(who: Who, plan: &Plan) -> (Held, Held) {
    let (near, far) = pipe();
    LocalSet::new().run_until(play(who, near, far, plan)).await
}

async fn play<T>(who: Who, near: T, far: T, plan: &Plan) -> (Held, Held)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let meeting = Rc::new(Barrier::new(2));
    let stage = || Stage { account: Account::default(), meeting: Rc::clone(&meeting) };
    let (client, server) = (stage(), stage());
    watch_live();
    match who {
        Who::Ours => {
            let near =
                async { client.play(ours::End::new(Side::Client, near, &client.account).await, plan).await };
            let far =
                async { server.play(ours::End::new(Side::Server, far, &server.account).await, plan).await };
            tokio::join!(client.account.charge(near), server.account.charge(far))
        }
        Who::Stock => {
            let near = async { client.play(stock::Client::new(near, &client.account).await, plan).await };
            let far = async { server.play(stock::Server::new(far, &server.account).await, plan).await };
            tokio::join!(client.account.charge(near), server.account.charge(far))
        }
    }
}

/// Allocations of both ends together per stream that is opened, carries an octet to and fro, and ends; ten
/// streams at a time.
pub fn churn(who: Who, rounds: usize) -> f64 {
    run(async {
        let (near, far) = pipe();
        let (client, server) = (Account::default(), Account::default());
        match who {
            Who::Ours => {
                let near = ours::End::new(Side::Client, near, &client);
                let far = ours::End::new(Side::Server, far, &server);
                let (near, far) = tokio::join!(near, far);
                churned(near, far, rounds).await
            }
            Who::Stock => {
                let (near, far) =
                    tokio::join!(stock::Client::new(near, &client), stock::Server::new(far, &server));
                churned(near, far, rounds).await
            }
        }
    })
}

async fn churned(mut near: impl End, mut far: impl End, rounds: usize) -> f64 {
    const TOGETHER: usize = 10;
    let mut before = 0;
    for round in 0..2 * rounds {
        if round == rounds {
            before = count_allocations(true);
        }
        tokio::join!(near.grow(TOGETHER), far.grow(TOGETHER));
        tokio::join!(near.echo(), far.echo());
        tokio::join!(near.leave(), far.leave());
    }
    (count_allocations(false) - before) as f64 / (rounds * TOGETHER) as f64
}

fn run<R>(scene: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, scene)
}
