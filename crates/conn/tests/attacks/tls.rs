//! Attacks below HTTP/2, in TLS: by a peer that holds rustls' client by hand and chooses its records.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as Socket};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use hbone_conn::{
    Config, ConnectionError, Fill, Plain, Records, Response, Side, Stream, Tls, TlsError, Wire, establish,
};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::timeout;

use crate::frames::*;
use crate::heap::Mark;
use crate::honest;
use crate::linear::measured;
use crate::row::HEAP;
use crate::script::{Ear, OverSocket, Peer as _};

const NAME: &str = "node.example";
/// Nothing here takes so long; what does, hangs.
const HANGS: Duration = Duration::from_secs(60);
/// What the runtime, sockets, honest neighbours and two buffers of TLS hold beside the engine.
const BESIDE: usize = 2 * 1024 * 1024;

/// Configs that offer these protocols; the server's is trusted by the client.
fn configs(client: &[&[u8]], server: &[&[u8]]) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut near = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut far = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    near.alpn_protocols = client.iter().map(|name| name.to_vec()).collect();
    far.alpn_protocols = server.iter().map(|name| name.to_vec()).collect();
    (Arc::new(near), Arc::new(far))
}

fn session(config: Arc<ClientConfig>) -> ClientConnection {
    let mut session = ClientConnection::new(config, ServerName::try_from(NAME).unwrap()).unwrap();
    session.set_buffer_limit(None);
    session
}

/// The attacker: its session, and a thread that hears what the victim says.
struct Attacker<'a> {
    socket: &'a Socket,
    session: &'a Mutex<ClientConnection>,
    ear: &'a Ear,
}

impl Attacker<'_> {
    /// Sends what the session has sealed.
    fn flush(&mut self) {
        let mut sealed = Vec::new();
        let mut session = self.session.lock().unwrap();
        while session.wants_write() {
            session.write_tls(&mut sealed).unwrap();
        }
        drop(session);
        // A victim that has had enough closes: the rest is lost, as it must be.
        let _ = (&*self.socket).write_all(&sealed);
    }

    /// Each of these octets in a record of its own, behind so many KeyUpdates.
    fn drip(&mut self, octets: &[u8], updates: usize) {
        for piece in octets.chunks(256) {
            for octet in piece {
                let mut session = self.session.lock().unwrap();
                (0..updates).for_each(|_| session.refresh_traffic_keys().unwrap());
                session.writer().write_all(&[*octet]).unwrap();
            }
            self.flush();
        }
    }

    fn until(&mut self, what: &str, done: &dyn Fn(&Scanner) -> bool) -> bool {
        OverSocket { socket: self.socket, ear: self.ear, patience: HANGS }.until(what, done)
    }
}

/// The attacker's thread: shakes hands, begins HTTP/2, and does what it is for.
fn attack(server: SocketAddr, config: Arc<ClientConfig>, work: fn(&mut Attacker<'_>)) -> Scanner {
    let mut socket = Socket::connect(server).unwrap();
    let mut session = session(config);
    while session.is_handshaking() {
        session.complete_io(&mut socket).unwrap();
    }
    let (ear, session) = (Ear::new(Scanner::of(Side::Server)), Mutex::new(session));
    thread::scope(|scope| {
        scope.spawn(|| hear(&socket, &session, &ear));
        let mut attacker = Attacker { socket: &socket, session: &session, ear: &ear };
        let mut wire = PREFACE.to_vec();
        settings(&mut wire, &[]);
        connect(&mut wire, 1);
        attacker.session.lock().unwrap().writer().write_all(&wire).unwrap();
        attacker.flush();
        if attacker.until("an answer", &|scanner| scanner.heads == 1) {
            let mut ack = Vec::new();
            settings_ack(&mut ack);
            attacker.session.lock().unwrap().writer().write_all(&ack).unwrap();
            work(&mut attacker);
        }
        // A victim that has had enough has closed already.
        let _ = socket.shutdown(Shutdown::Both);
    });
    ear.into_scanner()
}

fn hear(mut socket: &Socket, session: &Mutex<ClientConnection>, ear: &Ear) {
    let mut sealed = vec![0; 64 * 1024];
    'reading: while let Ok(taken @ 1..) = socket.read(&mut sealed) {
        let (mut rest, mut opened) = (&sealed[..taken], Vec::new());
        let mut session = session.lock().unwrap();
        while !rest.is_empty() {
            session.read_tls(&mut rest).unwrap();
            if session.process_new_packets().is_err() {
                break 'reading;
            }
            // `WouldBlock` tells that there is no more for now.
            let _ = session.reader().read_to_end(&mut opened);
        }
        drop(session);
        ear.hear(&opened);
    }
    ear.over();
}

/// What came of it.
struct Outcome {
    error: ConnectionError,
    /// Octets of the attacker's tunnel that the victim's application got, whole.
    octets: usize,
    scanner: Scanner,
}

/// An attack over a socket, with honest neighbours; asserts what holds for all of them, whoever makes the records.
fn prove(id: &str, work: fn(&mut Attacker<'_>), check: impl Fn(Outcome)) {
    for records in [Records::Own, Records::Rustls] {
        check(prove_with(id, work, records));
    }
}

fn prove_with(id: &str, work: fn(&mut Attacker<'_>), records: Records) -> Outcome {
    run(|_| (), records);
    let mark = Mark::now();
    let outcome = run(work, records);
    let (peak, held) = (mark.peak(), mark.held());
    println!("{id:6} {records:?}: process held {peak:>8}");
    assert!(peak <= HEAP + BESIDE, "{id}: {peak} octets held");
    assert!(held <= 8 * 1024, "{id}: {held} octets held after everything is over");
    outcome
}

fn run(work: fn(&mut Attacker<'_>), records: Records) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = LocalSet::new();
    let outcome =
        tasks.block_on(&runtime, async { timeout(HANGS, meet(work, records)).await.expect("it hangs") });
    // Every task has to end by itself.
    runtime.block_on(async { timeout(HANGS, tasks).await.expect("a task is served for ever") });
    assert_eq!(runtime.metrics().num_alive_tasks(), 0, "tasks are left");
    outcome
}

async fn meet(work: fn(&mut Attacker<'_>), records: Records) -> Outcome {
    let (client, server) = configs(&[b"h2"], &[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let for_honest = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, neighbours) = (listener.local_addr().unwrap(), for_honest.local_addr().unwrap());
    let attacker = tokio::task::spawn_local(beside(move || attack(address, client, work)));
    let neighbour = tokio::task::spawn_local(beside(move || honest::client(neighbours)));
    let (honest, _) = for_honest.accept().await.unwrap();
    let (intact, nothing) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let honest = serve(Plain::tcp(honest).unwrap(), false, &nothing);
    let (tcp, _) = listener.accept().await.unwrap();
    let victim = serve(Tls::accept_with(tcp, server, records).await.unwrap(), true, &intact);
    let error = victim.await.unwrap();
    neighbour.await.unwrap();
    honest.await.unwrap();
    Outcome { error, octets: intact.get(), scanner: attacker.await.unwrap() }
}

/// Runs `work` in a thread, which has ended when this is done: what it drops last it drops before.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, over) = oneshot::channel();
    let thread = thread::spawn(move || {
        let found = work();
        // Nobody waits where the test has failed already.
        let _ = done.send(());
        found
    });
    // A thread that panics drops its sender as well; the panic is passed on by `join`.
    let _ = over.await;
    thread.join().unwrap()
}

fn serve<W: Wire>(wire: W, attacked: bool, intact: &Rc<Cell<usize>>) -> JoinHandle<ConnectionError> {
    let (_handle, mut incoming, driver) = establish(Side::Server, wire, Config::default());
    let intact = Rc::clone(intact);
    tokio::task::spawn_local(async move {
        while let Some((_, stream)) = incoming.accept().await {
            if attacked {
                tokio::task::spawn_local(compare(stream, Rc::clone(&intact)));
            } else {
                tokio::task::spawn_local(honest::echo(stream));
            }
        }
    });
    tokio::task::spawn_local(driver)
}

/// The octet of the attacker's tunnel at that place.
const fn octet(place: usize) -> u8 {
    (place % 251) as u8
}

/// The application: counts octets as long as they are the right ones, and sends them back.
async fn compare(mut stream: Stream, intact: Rc<Cell<usize>>) {
    if stream.respond(Response::new(200)).is_err() {
        return;
    }
    while let Ok(Some(chunk)) = stream.read_chunk().await {
        for found in &chunk {
            if *found == octet(intact.get()) {
                intact.set(intact.get() + 1);
            }
        }
        if stream.write_chunk(chunk).await.is_err() {
            return;
        }
    }
}

/// DATA frames with so many octets of the tunnel, from the first on.
fn tunnelled(octets: usize) -> Vec<u8> {
    let (mut wire, all) = (Vec::new(), (0..octets).map(octet).collect::<Vec<_>>());
    all.chunks(10_000).for_each(|payload| data(&mut wire, 1, payload));
    wire
}

#[test]
fn h72_a_flood_of_key_updates_ends_the_connection() {
    prove(
        "h72",
        |attacker| {
            for _ in 0..1000 {
                // A session that has been told of it makes none any more.
                let told = (0..10).any(|_| attacker.session.lock().unwrap().refresh_traffic_keys().is_err());
                attacker.flush();
                if told {
                    break;
                }
            }
            attacker.until("the end", &|_| false);
        },
        |outcome| assert_eq!(outcome.error, ConnectionError::Io(io::ErrorKind::InvalidData)),
    );
}

#[test]
fn h72_ten_thousand_key_updates_between_data_lose_nothing() {
    dripped::<10_000, 1>("h72-");
}

#[test]
fn h74_records_of_one_octet() {
    dripped::<40_000, 0>("h74");
}

/// So many octets, each in a record of its own behind so many KeyUpdates, come back.
fn dripped<const OCTETS: usize, const UPDATES: usize>(row: &'static str) {
    prove(
        row,
        |attacker| {
            attacker.drip(&tunnelled(OCTETS), UPDATES);
            attacker.until("every octet", &|scanner| scanner.data == OCTETS as u64);
        },
        |outcome| assert_eq!((outcome.octets, outcome.scanner.data), (OCTETS, OCTETS as u64)),
    );
}

/// Records of one octet, opened by the wire alone: what callgrind counts.
pub(crate) fn one_octet_records(records: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut near, far) = tokio::io::duplex(4 << 20);
        let (client, server) = configs(&[b"h2"], &[b"h2"]);
        let mut session = session(client);
        let accepting = tokio::spawn(Tls::accept(far, server));
        while session.is_handshaking() {
            turn(&mut session, &mut near).await;
        }
        for place in 0..records {
            session.writer().write_all(&[octet(place as usize)]).unwrap();
        }
        let mut sealed = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut sealed).unwrap();
        }
        near.write_all(&sealed).await.unwrap();
        let mut victim = accepting.await.unwrap().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let mut got = 0;
        measured(|| {
            while got < records as usize {
                let Poll::Ready(Ok(Fill::Data(opened))) = victim.poll_fill(&mut cx) else {
                    panic!("nothing more after {got} octets")
                };
                assert!(opened.iter().enumerate().all(|(i, found)| *found == octet(got + i)));
                got += opened.len();
            }
        });
    });
}

/// So many that they come in several reads, the first of them together with the end of the handshake.
#[test]
fn h74_records_of_one_octet_behind_the_handshake() {
    one_octet_records(10_000);
}

/// One turn of a handshake in memory.
async fn turn(session: &mut ClientConnection, wire: &mut tokio::io::DuplexStream) {
    let mut sealed = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut sealed).unwrap();
    }
    wire.write_all(&sealed).await.unwrap();
    if session.is_handshaking() {
        sealed.resize(16 * 1024, 0);
        let taken = tokio::io::AsyncReadExt::read(wire, &mut sealed).await.unwrap();
        let mut rest = &sealed[..taken];
        while !rest.is_empty() {
            session.read_tls(&mut rest).unwrap();
            session.process_new_packets().unwrap();
        }
    }
}

#[test]
fn h70_a_silent_handshake_holds_little() {
    const STRANGERS: usize = 200;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_, server) = configs(&[b"h2"], &[b"h2"]);
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut strangers = Vec::new();
        let mut mark = None;
        for n in 0..=STRANGERS {
            let mut stranger = Socket::connect(listener.local_addr().unwrap()).unwrap();
            if n % 2 == 0 {
                // The first octet of a ClientHello.
                stranger.write_all(&[22]).unwrap();
            }
            let (tcp, _) = listener.accept().await.unwrap();
            if n % 2 == 0 {
                tcp.readable().await.unwrap();
            }
            let mut accepting = Box::pin(Tls::accept(tcp, Arc::clone(&server)));
            let waits = std::future::poll_fn(|cx| Poll::Ready(accepting.as_mut().poll(cx).is_pending()));
            assert!(waits.await);
            strangers.push((stranger, accepting));
            // The first one pays for what all share.
            mark.get_or_insert_with(Mark::now);
        }
        let each = mark.unwrap().held() / STRANGERS as isize;
        println!("h70    {each} octets for a stranger");
        assert!(each <= 20 * 1024, "{each} octets for a stranger");
    });
}

#[test]
fn h75_a_client_without_http_2_in_alpn_is_closed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let offers: [&[&[u8]]; 3] = [&[], &[b"http/1.1"], &[b"h2c", b"h3"]];
    for offer in offers {
        let (client, server) = configs(offer, &[b"h2"]);
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            // Not one octet of HTTP/2 is said: an alert, or the end.
            let heard = tokio::spawn(beside(move || {
                let mut socket = Socket::connect(address).unwrap();
                let mut session = session(client);
                let mut said = Vec::new();
                // However it ends.
                let _ = rustls::Stream::new(&mut session, &mut socket).read_to_end(&mut said);
                said
            }));
            let (tcp, _) = listener.accept().await.unwrap();
            let refused = timeout(HANGS, Tls::accept(tcp, server)).await.expect("it hangs").err().unwrap();
            let told = if offer.is_empty() { TlsError::NoAlpn } else { TlsError::WrongAlpn };
            assert_eq!(refused.to_string(), told.to_string());
            assert_eq!(heard.await.unwrap(), b"");
        });
    }
}
