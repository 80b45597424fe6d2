//! From a destination to a TCP connection: resolved once, every answer checked, the checked address dialled.
//!
//! Called by the inbound side for destinations and by the pool for far nodes. Whether an address may be
//! dialled is the caller's decision; a name is never resolved a second time after it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::authority::{Authority, Host};
use crate::resolver::Resolve;
use crate::sockets::{connect_guarded, is_exhaustion, outgoing, tune};

/// Why a dial failed; `D` is the caller's own refusal of an address.
#[derive(Debug)]
pub(crate) enum DialError<D> {
    /// The name has no address.
    Unresolvable,
    /// The caller refused every address; this is the first refusal.
    Refused(D),
    /// No address answered; the last one's fault.
    Failed { address: SocketAddr, error: io::Error },
    /// The time was up.
    Timeout,
    /// The sockets of this process are used up.
    OutOfSockets,
}

/// What a dial is done with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means<'a> {
    pub(crate) resolver: &'a dyn Resolve,
    /// For whom: each has its share of the resolver.
    pub(crate) asker: &'a str,
    /// For all of it.
    pub(crate) limit: Duration,
    /// The socket becomes the leg of a tunnel: it ends with RST unless it is released.
    pub(crate) guarded: bool,
}

/// Dials a destination, all of it within the limit: its addresses that `permit` lets pass, the first that
/// stands wins.
pub(crate) async fn dial<D>(
    destination: &Authority,
    means: Means<'_>,
    permit: impl Fn(IpAddr) -> Result<(), D>,
) -> Result<(TcpStream, SocketAddr), DialError<D>> {
    let until = Instant::now() + means.limit;
    let addresses = match destination.host() {
        Host::Address(ip) => vec![*ip],
        Host::Name(name) => match timeout_at(until, means.resolver.resolve_for(name, means.asker)).await {
            Err(_) => return Err(DialError::Timeout),
            Ok(Err(_)) => return Err(DialError::Unresolvable),
            Ok(Ok(found)) => distinct(found),
        },
    };
    let mut refusal = None;
    let mut permitted = Vec::with_capacity(addresses.len());
    for ip in addresses {
        match permit(ip) {
            Ok(()) => permitted.push(SocketAddr::new(ip, destination.port())),
            Err(denied) => {
                refusal.get_or_insert(denied);
            }
        }
    }
    if let (true, Some(denied)) = (permitted.is_empty(), refusal) {
        return Err(DialError::Refused(denied));
    }
    any(interleaved(permitted), means.guarded, until).await
}

/// All addresses of several destinations that are the same to the caller, in their order, each name resolved once and
/// all at the same time; those that do not resolve are left out.
pub(crate) async fn addresses<D>(
    destinations: impl Iterator<Item = &Authority>,
    means: Means<'_>,
) -> Result<Vec<SocketAddr>, DialError<D>> {
    let mut asked = Vec::new();
    for destination in destinations {
        let port = destination.port();
        asked.push(match destination.host() {
            Host::Address(ip) => (Ok(vec![*ip]), port),
            Host::Name(name) => (Err(tokio::spawn(means.resolver.resolve_for(name, means.asker))), port),
        });
    }
    let (until, mut found) = (Instant::now() + means.limit, Vec::new());
    let mut outcome = DialError::Unresolvable;
    for (answer, port) in asked {
        let ips = match answer {
            Ok(ips) => ips,
            Err(asking) => match timeout_at(until, asking).await {
                Ok(answer) => answer.ok().and_then(Result::ok).unwrap_or_default(),
                Err(_) => {
                    outcome = DialError::Timeout;
                    continue;
                }
            },
        };
        let all = distinct(ips).into_iter().map(|ip| SocketAddr::new(ip, port));
        let new: Vec<_> = all.filter(|address| !found.contains(address)).collect();
        found.extend(new);
    }
    if found.is_empty() { Err(outcome) } else { Ok(interleaved(found)) }
}

/// The first of these addresses that stands.
pub(crate) async fn any<D>(
    addresses: Vec<SocketAddr>,
    guarded: bool,
    until: Instant,
) -> Result<(TcpStream, SocketAddr), DialError<D>> {
    match addresses[..] {
        [address] => alone(address, guarded, until).await,
        // Boxed: most destinations have one address.
        _ => Box::pin(race(&addresses, guarded, until)).await,
    }
}

/// Happy eyeballs (RFC 8305): the next address is tried when the one before has failed, or has been silent for a
/// moment; who stands first wins, and the others are closed.
async fn race<D>(
    addresses: &[SocketAddr],
    guarded: bool,
    until: Instant,
) -> Result<(TcpStream, SocketAddr), DialError<D>> {
    let (mut outcome, mut attempts) = (DialError::Unresolvable, JoinSet::new());
    let mut addresses = addresses.iter().copied().peekable();
    while let Some(address) = addresses.next() {
        attempts.spawn(async move { (connect(address, guarded).await, address) });
        let next = addresses.peek().map(|_| Instant::now() + STAGGER);
        // Ends when it is the next one's turn.
        while let Ok(Some(ended)) = timeout_at(next.unwrap_or(until).min(until), attempts.join_next()).await {
            match ended {
                Ok((Ok(tcp), address)) => {
                    tune(&tcp);
                    return Ok((tcp, address));
                }
                Ok((Err(error), _)) if is_exhaustion(&error) => return Err(DialError::OutOfSockets),
                Ok((Err(error), address)) => outcome = DialError::Failed { address, error },
                // It panicked, which it has no reason to.
                Err(_) => {}
            }
            if addresses.peek().is_some() {
                break;
            }
        }
        if Instant::now() >= until {
            break;
        }
    }
    // A fault that was told says more than silence.
    if matches!(outcome, DialError::Unresolvable) && !attempts.is_empty() {
        outcome = DialError::Timeout;
    }
    Err(outcome)
}

/// The only address: nobody to race with.
async fn alone<D>(
    address: SocketAddr,
    guarded: bool,
    until: Instant,
) -> Result<(TcpStream, SocketAddr), DialError<D>> {
    match timeout_at(until, connect(address, guarded)).await {
        Ok(Ok(tcp)) => {
            tune(&tcp);
            Ok((tcp, address))
        }
        Ok(Err(error)) if is_exhaustion(&error) => Err(DialError::OutOfSockets),
        Ok(Err(error)) => Err(DialError::Failed { address, error }),
        Err(_) => Err(DialError::Timeout),
    }
}

async fn connect(address: SocketAddr, guarded: bool) -> io::Result<TcpStream> {
    if guarded { connect_guarded(address).await } else { outgoing(address)?.connect(address).await }
}

/// The families in turn, beginning with that of the first address; else in their order (RFC 8305 4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (same, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|it| it.is_ipv6() == first);
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut mixed = Vec::with_capacity(same.len() + other.len());
    loop {
        let pair = [same.next(), other.next()];
        if pair == [None, None] {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

/// The same addresses once each, in their order, and not more than are worth trying.
fn distinct(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut kept = Vec::new();
    for ip in found {
        if !kept.contains(&ip) && kept.len() < MOST {
            kept.push(ip);
        }
    }
    kept
}

const MOST: usize = 8;
/// How long an address may be silent before the next is tried too (RFC 8305 8).
const STAGGER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::HostName;
    use crate::resolver::Resolving;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::net::TcpListener;

    /// Answers with a list, each time the next one; the last one stays.
    #[derive(Debug)]
    struct Scripted {
        answers: Vec<Vec<&'static str>>,
        asked: AtomicUsize,
    }

    impl Scripted {
        fn new(answers: &[&[&'static str]]) -> Self {
            let answers = answers.iter().map(|answer| answer.to_vec()).collect();
            Self { answers, asked: AtomicUsize::new(0) }
        }
    }

    impl Resolve for Scripted {
        fn resolve(&self, _: &HostName) -> Resolving {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst);
            let answer = self.answers[asked.min(self.answers.len() - 1)].clone();
            Box::pin(async move { Ok(answer.iter().map(|text| text.parse().unwrap()).collect()) })
        }
    }

    #[derive(Debug)]
    struct Silent;

    impl Resolve for Silent {
        fn resolve(&self, _: &HostName) -> Resolving {
            Box::pin(std::future::pending())
        }
    }

    const LIMIT: Duration = Duration::from_secs(10);

    fn means(resolver: &dyn Resolve) -> Means<'_> {
        Means { resolver, asker: "", limit: LIMIT, guarded: true }
    }

    fn name(port: u16) -> Authority {
        format!("host.example:{port}").parse().unwrap()
    }

    #[tokio::test]
    async fn t02_a_name_is_resolved_once_and_the_checked_address_is_dialled() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // A second question would get another answer.
        let resolver = Scripted::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
        let checked = std::sync::Mutex::new(Vec::new());
        let permit = |ip: IpAddr| {
            checked.lock().unwrap().push(ip.to_string());
            Ok::<_, ()>(())
        };
        let (tcp, address) = dial(&name(port), means(&resolver), permit).await.unwrap();
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
        assert_eq!(*checked.lock().unwrap(), ["127.0.0.1"]);
        assert_eq!((address.ip().to_string(), tcp.peer_addr().unwrap()), ("127.0.0.1".into(), address));
    }

    #[tokio::test]
    async fn t02_every_answer_is_checked_and_a_refused_one_is_never_dialled() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let permit = |ip: IpAddr| if ip.to_string() == "127.0.0.1" { Err("no") } else { Ok(()) };
        let resolver = Scripted::new(&[&["127.0.0.1", "127.0.0.1"]]);
        let result = dial(&name(port), means(&resolver), permit).await;
        assert!(matches!(result, Err(DialError::Refused("no"))), "{result:?}");
        // Nothing listens on the permitted one: the refused one is not taken instead.
        let resolver = Scripted::new(&[&["127.0.0.1", "127.0.0.2"]]);
        let result = dial(&name(port), means(&resolver), permit).await;
        let Err(DialError::Failed { address, .. }) = result else { panic!("{result:?}") };
        assert_eq!(address.ip().to_string(), "127.0.0.2");
    }

    #[tokio::test]
    async fn addresses_are_tried_in_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let resolver = Scripted::new(&[&["127.0.0.2", "127.0.0.3", "127.0.0.1"]]);
        let (_, address) = dial(&name(port), means(&resolver), |_| Ok::<_, ()>(())).await.unwrap();
        assert_eq!(address.ip().to_string(), "127.0.0.1");
    }

    /// A listener whose queue is full: the system drops what knocks, and nobody is told anything.
    fn silent(address: &str) -> (socket2::Socket, Vec<std::net::TcpStream>) {
        let address: SocketAddr = address.parse().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(0).unwrap();
        let at = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(tcp) = std::net::TcpStream::connect_timeout(&at, Duration::from_millis(300)) {
            queued.push(tcp);
        }
        (socket, queued)
    }

    #[tokio::test]
    async fn a_silent_address_holds_up_the_next_for_a_moment_and_the_first_that_stands_wins() {
        let (stuck, _queued) = silent("127.0.0.2:0");
        let port = stuck.local_addr().unwrap().as_socket().unwrap().port();
        let _listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let resolver = Scripted::new(&[&["127.0.0.2", "127.0.0.1"]]);
        let start = std::time::Instant::now();
        let (_, address) = dial(&name(port), means(&resolver), |_| Ok::<_, ()>(())).await.unwrap();
        assert_eq!(address.ip().to_string(), "127.0.0.1");
        assert!(start.elapsed() < LIMIT / 4, "the silent one had more than a moment");
    }

    #[tokio::test]
    async fn t25_silent_addresses_cost_the_limit_and_a_fault_that_was_told_is_told() {
        let (stuck, _queued) = silent("127.0.0.2:0");
        let port = stuck.local_addr().unwrap().as_socket().unwrap().port();
        let hasty = |resolver| Means { limit: Duration::from_millis(600), ..means(resolver) };
        let resolver = Scripted::new(&[&["127.0.0.2"]]);
        let result = dial(&name(port), hasty(&resolver), |_| Ok::<_, ()>(())).await;
        assert!(matches!(result, Err(DialError::Timeout)), "{result:?}");
        let resolver = Scripted::new(&[&["127.0.0.2", "127.0.0.3"]]);
        let result = dial(&name(port), hasty(&resolver), |_| Ok::<_, ()>(())).await;
        let Err(DialError::Failed { address, .. }) = result else { panic!("{result:?}") };
        assert_eq!(address.ip().to_string(), "127.0.0.3");
    }

    #[test]
    fn families_take_turns_beginning_with_the_first() {
        let all = ["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1", "10.0.0.2:1"].map(|it| it.parse().unwrap());
        let mixed: Vec<_> = interleaved(all.to_vec()).iter().map(ToString::to_string).collect();
        assert_eq!(mixed, ["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]);
        assert!(interleaved(Vec::new()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn t25_a_resolver_that_is_silent_costs_the_limit_and_no_more() {
        let start = Instant::now();
        let result = dial(&name(80), means(&Silent), |_| Ok::<_, ()>(())).await;
        assert!(matches!(result, Err(DialError::Timeout)), "{result:?}");
        assert!(start.elapsed() < LIMIT + Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_name_without_addresses_does_not_resolve() {
        let resolver = Scripted::new(&[&[]]);
        let result = dial(&name(80), means(&resolver), |_| Ok::<_, ()>(())).await;
        assert!(matches!(result, Err(DialError::Unresolvable)), "{result:?}");
    }
}
