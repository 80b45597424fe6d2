//! An attack over a real socket: the victim is the driver with its tasks, in this thread; the attacker writes octets
//! from a thread of its own; honest neighbours from a third.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as Door, TcpStream as Socket};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use hbone_conn::{
    Config, ConnectionError, Handle, Incoming, Plain, Request, Response, Side, Stats, Stream, establish,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::frames::{MARK, PING, Scanner, frame};
use crate::heap::Mark;
use crate::honest;
use crate::row::{App, End, HONEST, Row};
use crate::script::{Ear, OverSocket};

/// Nothing here takes so long; what does, hangs.
const HANGS: Duration = Duration::from_secs(60);
/// What the runtime, sockets and honest neighbours of the victim hold beside the engine under attack.
const BESIDE: usize = 1024 * 1024;

/// What the application's task for a stream holds.
const TASK: usize = 1024;

/// Streams of the attacker that the victim's application holds: now, and the most at a time.
#[derive(Clone, Default)]
struct Dials(Rc<(Cell<usize>, Cell<usize>)>);

impl Dials {
    fn begin(&self) -> Dial {
        let now = self.0.0.get() + 1;
        self.0.0.set(now);
        self.0.1.set(self.0.1.get().max(now));
        Dial(self.clone())
    }

    fn now(&self) -> usize {
        self.0.0.get()
    }

    fn most(&self) -> usize {
        self.0.1.get()
    }
}

struct Dial(Dials);

impl Drop for Dial {
    fn drop(&mut self) {
        self.0.0.0.set(self.0.now() - 1);
    }
}

/// What came of it.
struct Outcome {
    error: Option<ConnectionError>,
    stats: Stats,
    broken: Vec<(&'static str, u64)>,
    goaway: Option<u32>,
}

/// Proves what a row demands, over sockets. Returns the most octets that the victim held.
pub(crate) fn prove(row: &Row) -> usize {
    // What threads and the runtime allocate once is not the attacker's doing.
    let nothing = row.clone().prologue(|_| {});
    run(&Row { units: 0, reads: true, end: End::Lives, ..nothing }, false);
    let mark = Mark::now();
    run(row, true);
    let (peak, held) = (mark.peak(), mark.held());
    let allowed = row.heap + BESIDE + row.live * TASK;
    assert!(peak <= allowed, "{}: {peak} octets held, {allowed} allowed", row.id);
    assert!(held <= 8 * 1024, "{}: {held} octets held after everything is over", row.id);
    peak
}

fn run(row: &Row, judged: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = LocalSet::new();
    let dials = Dials::default();
    tasks.block_on(&runtime, async {
        let outcome = timeout(HANGS, attack(row, &dials)).await;
        let outcome = outcome.unwrap_or_else(|_| panic!("{}: hangs", row.id));
        if judged {
            judge(row, &outcome, &dials);
        }
    });
    // The tasks that served streams end with their connections.
    let rest = async {
        while dials.now() > 0 {
            tokio::task::yield_now().await;
        }
    };
    let gone = tasks.block_on(&runtime, async { timeout(HANGS, rest).await });
    assert!(gone.is_ok(), "{}: {} streams are served for ever", row.id, dials.now());
    runtime.block_on(tasks);
    assert_eq!(runtime.metrics().num_alive_tasks(), 0, "{}: tasks are left", row.id);
}

fn judge(row: &Row, outcome: &Outcome, dials: &Dials) {
    row.judge_end(outcome.error.as_ref());
    if let (End::Fault(violation), Some(code)) = (row.end, outcome.goaway) {
        assert_eq!(code, violation.code().0, "{}: the code in GOAWAY", row.id);
    }
    row.judge_counts(&outcome.stats, &outcome.broken);
    assert!(dials.most() <= row.live, "{}: {} streams served at a time", row.id, dials.most());
}

/// One victim, one attacker, honest neighbours.
async fn attack(row: &Row, dials: &Dials) -> Outcome {
    match row.victim {
        Side::Server => attack_on_server(row, dials).await,
        Side::Client => attack_on_client(row, dials).await,
    }
}

async fn attack_on_server(row: &Row, dials: &Dials) -> Outcome {
    let (listener, for_honest) = (bind().await, bind().await);
    let address = for_honest.local_addr().unwrap();
    let (neighbour, over) = spawn(move || honest::client(address));
    let attacker = Attacker::start(row, Meeting::Call(listener.local_addr().unwrap()));
    let (tcp, _) = listener.accept().await.unwrap();
    let (honest, _) = for_honest.accept().await.unwrap();
    let honest = serve(honest, Config::default(), App::Echo, dials);
    let victim = serve(tcp, row.config.clone(), row.app, dials);
    finish(row, attacker, victim, (neighbour, over), honest).await
}

async fn attack_on_client(row: &Row, dials: &Dials) -> Outcome {
    let (door, for_honest) = (Door::bind("127.0.0.1:0").unwrap(), Door::bind("127.0.0.1:0").unwrap());
    let (address, neighbour) = (door.local_addr().unwrap(), for_honest.local_addr().unwrap());
    let neighbour_thread = spawn(move || honest::server(for_honest));
    let attacker = Attacker::start(row, Meeting::Door(door));
    let honest = honest_tunnels(TcpStream::connect(neighbour).await.unwrap());
    let tcp = TcpStream::connect(address).await.unwrap();
    let victim = ask(tcp, row, dials);
    finish(row, attacker, victim, neighbour_thread, honest).await
}

/// Waits for the end that the row is about, then for everybody.
async fn finish(
    row: &Row,
    attacker: Attacker,
    victim: Running,
    neighbour: (thread::JoinHandle<()>, oneshot::Receiver<()>),
    honest: Running,
) -> Outcome {
    let error = match row.end {
        End::Fault(_) | End::Late(_) | End::Drained => Some(victim.handle.closed().await),
        End::Lives => {
            // An attacker whose connection has ended has nothing to tell: the judge will.
            let _ = attacker.wrote.await;
            None
        }
    };
    // A thread that panics drops its sender as well; the panic is passed on by `join`.
    let _ = neighbour.1.await;
    neighbour.0.join().unwrap();
    let (stats, broken) = (victim.handle.stats(), victim.handle.violations());
    let seen = error.or_else(|| ended(&victim));
    // The attacker may have hung up already.
    let _ = attacker.socket.await.unwrap().shutdown(Shutdown::Both);
    let Running { handle, driver } = victim;
    drop(handle);
    driver.await.unwrap();
    drop(honest.handle);
    honest.driver.await.unwrap();
    let scanner = attacker.thread.join().unwrap();
    Outcome { error: seen, stats, broken, goaway: scanner.goaway }
}

fn ended(victim: &Running) -> Option<ConnectionError> {
    let closed = std::pin::pin!(victim.handle.closed());
    let waker = std::task::Waker::noop();
    match closed.poll(&mut std::task::Context::from_waker(waker)) {
        std::task::Poll::Ready(error) => Some(error),
        std::task::Poll::Pending => None,
    }
}

/// A connection of the victim.
struct Running {
    handle: Handle,
    driver: tokio::task::JoinHandle<()>,
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn serve(tcp: TcpStream, config: Config, app: App, dials: &Dials) -> Running {
    let (handle, incoming, driver) = establish(Side::Server, Plain::tcp(tcp).unwrap(), config);
    let driver = tokio::task::spawn_local(async move { drop(driver.await) });
    tokio::task::spawn_local(accept(incoming, app, dials.clone()));
    Running { handle, driver }
}

async fn accept(mut incoming: Incoming, app: App, dials: Dials) {
    while let Some((request, stream)) = incoming.accept().await {
        let dial = (request.authority() != Some(HONEST.as_bytes())).then(|| dials.begin());
        let app = if dial.is_some() { app } else { App::Echo };
        tokio::task::spawn_local(async move {
            one_stream(app, stream).await;
            drop(dial);
        });
    }
}

async fn one_stream(app: App, mut stream: Stream) {
    match app {
        App::Echo => honest::echo(stream).await,
        App::Dial => drop(stream.reset_by_peer().await),
        App::Stall => {
            if stream.respond(Response::new(200)).is_ok() {
                stream.reset_by_peer().await;
            }
        }
        // A stream that has failed by now needs no answer.
        App::Refuse => drop(stream.respond_and_finish(Response::new(403))),
        App::Source => {
            if stream.respond(Response::new(200)).is_ok() {
                let chunk = Bytes::from_static(&[7; 16 * 1024]);
                while stream.write_chunk(chunk.clone()).await.is_ok() {}
            }
        }
        App::Pour => {
            if stream.respond(Response::new(200)).is_ok() {
                while stream.write_chunk(Bytes::from(vec![7; 16 * 1024])).await.is_ok() {}
            }
        }
        App::Leave => {
            if stream.respond(Response::new(200)).is_ok() {
                // A stream that has failed by now is let go of all the same.
                let _ = stream.send_chunk(Bytes::from_static(&[7; 64 * 1024]));
                let _ = stream.finish();
            }
        }
        App::Client(_) => while let Ok(Some(_)) = stream.read_chunk().await {},
    }
}

/// The victim as a client: its tunnels, each read by a task.
fn ask(tcp: TcpStream, row: &Row, dials: &Dials) -> Running {
    let (handle, incoming, driver) = establish(Side::Client, Plain::tcp(tcp).unwrap(), row.config.clone());
    let driver = tokio::task::spawn_local(async move { drop(driver.await) });
    tokio::task::spawn_local(accept(incoming, row.app, dials.clone()));
    if let App::Client(tunnels) = row.app {
        for _ in 0..tunnels {
            let stream = handle.try_open(Request::connect("target.example:443")).unwrap();
            let dial = dials.begin();
            tokio::task::spawn_local(async move {
                one_stream(App::Client(0), stream).await;
                drop(dial);
            });
        }
    }
    Running { handle, driver }
}

/// The victim's own honest tunnels to another server.
fn honest_tunnels(tcp: TcpStream) -> Running {
    let (handle, _, driver) = establish(Side::Client, Plain::tcp(tcp).unwrap(), Config::default());
    let driver = tokio::task::spawn_local(async move { drop(driver.await) });
    let opener = handle.clone();
    tokio::task::spawn_local(async move {
        for seed in 0..4 {
            honest::compare(opener.open(Request::connect(HONEST)).await.unwrap(), seed).await;
        }
        opener.drain(Duration::from_secs(10));
    });
    Running { handle, driver }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> (thread::JoinHandle<()>, oneshot::Receiver<()>) {
    let (done, over) = oneshot::channel();
    let thread = thread::spawn(move || {
        work();
        // Nobody waits where the test has failed already.
        let _ = done.send(());
    });
    (thread, over)
}

/// How the attacker meets its victim.
enum Meeting {
    Call(SocketAddr),
    Door(Door),
}

/// The attacker's thread.
struct Attacker {
    thread: thread::JoinHandle<Scanner>,
    socket: oneshot::Receiver<Socket>,
    /// Told once everything is written and, where the row lives and the attacker reads, handled.
    wrote: oneshot::Receiver<()>,
}

impl Attacker {
    fn start(row: &Row, meeting: Meeting) -> Self {
        let (row, (tell_socket, socket), (tell_wrote, wrote)) =
            (row.clone(), oneshot::channel(), oneshot::channel());
        let thread = thread::spawn(move || {
            let socket = match meeting {
                Meeting::Call(address) => Socket::connect(address).unwrap(),
                Meeting::Door(door) => door.accept().unwrap().0,
            };
            let reader = socket.try_clone().unwrap();
            // Nobody waits where the test has failed already.
            let _ = tell_socket.send(socket.try_clone().unwrap());
            misbehave(&row, socket, reader, tell_wrote)
        });
        Self { thread, socket, wrote }
    }
}

/// Writes everything as fast as it is taken, or follows the row's script; reads beside it, if the row reads.
fn misbehave(row: &Row, mut socket: Socket, reader: Socket, wrote: oneshot::Sender<()>) -> Scanner {
    let asks = row.reads && row.end == End::Lives;
    let mut wrote = Some(wrote);
    // Our acknowledgement would be one too many before the victim's SETTINGS have left.
    let mut begun = Scanner::of(row.victim);
    let mut first = vec![0; begun.until_settings()];
    if socket.read_exact(&mut first).is_ok() {
        begun.pass(&first);
    }
    let ear = Ear::new(begun);
    thread::scope(|scope| {
        if row.reads {
            let wrote = asks.then(|| wrote.take()).flatten();
            scope.spawn(|| read(reader, &ear, wrote));
        }
        // A victim that has had enough closes: the rest is lost, as it must be.
        let _ = socket.write_all(&row.beginning());
        match &row.script {
            Some(_) if row.units == 0 => {}
            Some(script) => {
                script(&mut OverSocket { socket: &socket, ear: &ear, patience: HANGS }, row.units)
            }
            None => drop(socket.write_all(&row.repetitions(row.units).concat())),
        }
        if asks {
            let mut mark = Vec::new();
            frame(&mut mark, PING, 0, 0, MARK);
            let _ = socket.write_all(&mark);
        }
        if let Some(wrote) = wrote.take() {
            let _ = wrote.send(());
        }
    });
    ear.into_scanner()
}

/// Reads until the end; tells when the mark has come back.
fn read(mut socket: Socket, ear: &Ear, mut wrote: Option<oneshot::Sender<()>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(taken @ 1..) = socket.read(&mut buffer) {
        if ear.hear(&buffer[..taken])
            && let Some(wrote) = wrote.take()
        {
            let _ = wrote.send(());
        }
    }
    ear.over();
}
