//! From a destination to a TCP connection: resolved once, every answer checked, the checked address dialled.
//!
//! Called by the inbound side for destinations and by the pool for far nodes. Whether an address may be
//! dialled is the caller's decision; a name is never resolved a second time after it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
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

/// Dials a destination, all of it within the limit: its addresses that `permit` lets pass are tried in turn.
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
    try_in_turn(&permitted, means.guarded, until).await
}

/// Each address gets its share of the time that is left, so that a silent first one does not starve the rest.
async fn try_in_turn<D>(
    addresses: &[SocketAddr],
    guarded: bool,
    until: Instant,
) -> Result<(TcpStream, SocketAddr), DialError<D>> {
    let mut outcome = DialError::Unresolvable;
    for (tried, &address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        let connecting = async {
            if guarded { connect_guarded(address).await } else { outgoing(address)?.connect(address).await }
        };
        match timeout_at(Instant::now() + share, connecting).await {
            Ok(Ok(tcp)) => {
                tune(&tcp);
                return Ok((tcp, address));
            }
            Ok(Err(error)) if is_exhaustion(&error) => return Err(DialError::OutOfSockets),
            Ok(Err(error)) => outcome = DialError::Failed { address, error },
            // A fault that was told says more than silence.
            Err(_) if matches!(outcome, DialError::Failed { .. }) => {}
            Err(_) => outcome = DialError::Timeout,
        }
    }
    Err(outcome)
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
