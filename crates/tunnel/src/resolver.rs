//! Names to addresses, with bounds: no caller can keep the resolver from the others.
//!
//! Called by `dial`. The system's resolver blocks a thread for as long as it likes, so lookups are counted
//! until they really end, even when nobody waits for them any more: so many in all, and for each asker a share.
//! Who asks for a name that is being looked up gets that answer. Keeps no answers.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::authority::HostName;

/// The addresses of a name, or why there are none.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// What turns names into addresses.
pub trait Resolve: fmt::Debug + Send + Sync + 'static {
    /// The addresses of a name, best first. Called once for a dial.
    fn resolve(&self, name: &HostName) -> Resolving;

    /// The same on behalf of somebody: an implementation may give each asker a share of its resources. Unless
    /// it does, this is [`Resolve::resolve`].
    fn resolve_for(&self, name: &HostName, asker: &str) -> Resolving {
        let _ = asker;
        self.resolve(name)
    }
}

/// The resolver of the operating system: at most 64 lookups at a time in the process, 16 for each asker.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: &HostName) -> Resolving {
        self.resolve_for(name, "")
    }

    fn resolve_for(&self, name: &HostName, asker: &str) -> Resolving {
        static SYSTEM: LazyLock<Arc<Lookups>> = LazyLock::new(|| Lookups::new(LOOKUPS, SHARE, ask_system));
        Box::pin(Arc::clone(&SYSTEM).find(name.clone(), asker.to_owned()))
    }
}

fn ask_system(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// An answer that all who waited for it get.
type Answer = Result<Vec<IpAddr>, io::ErrorKind>;
type Asked = watch::Receiver<Option<Answer>>;
/// Blocks until there is an answer.
type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The lookups of a process.
struct Lookups {
    look_up: Box<LookUp>,
    slots: Arc<Semaphore>,
    share: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Lookups that have begun, by name. Those that wait for a slot are not shared: their asker's share may be
    /// used up for long.
    running: HashMap<HostName, Asked>,
    shares: HashMap<String, Weak<Semaphore>>,
}

impl Lookups {
    fn new(
        slots: usize,
        share: usize,
        look_up: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (slots, state) = (Arc::new(Semaphore::new(slots)), Mutex::default());
        Arc::new(Self { look_up: Box::new(look_up), slots, share, state })
    }

    async fn find(self: Arc<Self>, name: HostName, asker: String) -> io::Result<Vec<IpAddr>> {
        let running = self.state.lock().running.get(&name).cloned();
        let asked = match running {
            Some(asked) => asked,
            None => {
                let share = self.share_of(asker);
                let closed = |_| io::Error::from(io::ErrorKind::BrokenPipe);
                let own = Arc::clone(&share).acquire_owned().await.map_err(closed)?;
                let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(closed)?;
                self.begin(name, [own, slot], share)
            }
        };
        outcome(asked).await
    }

    fn share_of(&self, asker: String) -> Arc<Semaphore> {
        let mut state = self.state.lock();
        if let Some(share) = state.shares.get(&asker).and_then(Weak::upgrade) {
            return share;
        }
        state.shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.share));
        state.shares.insert(asker, Arc::downgrade(&share));
        share
    }

    /// Starts the lookup, unless somebody else has while this one waited.
    fn begin(
        self: Arc<Self>,
        name: HostName,
        permits: [OwnedSemaphorePermit; 2],
        share: Arc<Semaphore>,
    ) -> Asked {
        let mut state = self.state.lock();
        if let Some(asked) = state.running.get(&name) {
            return asked.clone();
        }
        let (told, asked) = watch::channel(None);
        state.running.insert(name.clone(), asked.clone());
        drop(state);
        let running = Running { lookups: self, name, told, _held: (permits, share) };
        // Not awaited: the lookup goes on, and is counted, when whoever asked has gone.
        drop(tokio::task::spawn_blocking(move || running.run()));
        asked
    }
}

/// A lookup on its thread. It takes itself off the list at its end, also when it panics.
struct Running {
    lookups: Arc<Lookups>,
    name: HostName,
    told: watch::Sender<Option<Answer>>,
    _held: ([OwnedSemaphorePermit; 2], Arc<Semaphore>),
}

impl Running {
    fn run(self) {
        let answer = (self.lookups.look_up)(self.name.as_str()).map_err(|error| error.kind());
        self.told.send_replace(Some(answer));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lookups.state.lock().running.remove(&self.name);
    }
}

async fn outcome(mut asked: Asked) -> io::Result<Vec<IpAddr>> {
    match asked.wait_for(Option::is_some).await {
        Ok(answer) => match &*answer {
            Some(Ok(found)) => Ok(found.clone()),
            Some(Err(kind)) => Err((*kind).into()),
            None => Err(io::ErrorKind::NotFound.into()),
        },
        // It panicked.
        Err(_) => Err(io::ErrorKind::NotFound.into()),
    }
}

const LOOKUPS: usize = 64;
const SHARE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex as Gate};
    use std::time::Duration;
    use tokio::time::timeout;

    /// A name service that is silent until told to go on; names that start with `fast` are answered at once.
    #[derive(Default)]
    struct Service {
        open: Gate<bool>,
        opened: Condvar,
        asked: AtomicUsize,
        busy: AtomicUsize,
    }

    impl Service {
        fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.busy.fetch_add(1, Ordering::SeqCst);
            if !name.starts_with("fast") {
                drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
            }
            self.busy.fetch_sub(1, Ordering::SeqCst);
            if name.starts_with("panic") {
                panic!("a resolver that fails")
            }
            Ok(vec!["10.0.0.1".parse().unwrap()])
        }

        fn open(&self) {
            *self.open.lock().unwrap() = true;
            self.opened.notify_all();
        }

        async fn busy(&self, count: usize) {
            let until = async {
                while self.busy.load(Ordering::SeqCst) != count {
                    tokio::task::yield_now().await;
                }
            };
            timeout(LONG, until).await.expect("as many lookups never run at a time");
        }
    }

    /// Opens the service at the end of a test that fails: the runtime waits for its threads.
    struct Opens(Arc<Service>);

    impl std::ops::Deref for Opens {
        type Target = Service;

        fn deref(&self) -> &Service {
            &self.0
        }
    }

    impl Drop for Opens {
        fn drop(&mut self) {
            self.0.open();
        }
    }

    fn lookups(slots: usize, share: usize) -> (Opens, Arc<Lookups>) {
        let service = Arc::new(Service::default());
        let asked = Arc::clone(&service);
        (Opens(service), Lookups::new(slots, share, move |name| asked.look_up(name)))
    }

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn h17_names_and_askers_that_never_come_twice_leave_nothing_behind() {
        let (_service, lookups) = lookups(8, 2);
        for n in 0..5000 {
            let found = Arc::clone(&lookups).find(name(&format!("fast{n}")), format!("asker{n}"));
            assert_eq!(timeout(LONG, found).await.unwrap().unwrap().len(), 1);
            // The lookups that were told and have not gone from their lists yet are few: they hold their slots.
            let state = lookups.state.lock();
            assert!(state.running.len() <= 8 && state.shares.len() <= 16, "{}", state.shares.len());
        }
    }

    #[tokio::test]
    async fn t26_slow_names_of_one_asker_leave_the_resolver_to_the_others() {
        let (service, lookups) = lookups(8, 2);
        let slow: Vec<_> = (0..100)
            .map(|n| tokio::spawn(Arc::clone(&lookups).find(name(&format!("slow{n}")), "mallory".into())))
            .collect();
        service.busy(2).await;
        let found = timeout(LONG, Arc::clone(&lookups).find(name("fast"), "alice".into())).await;
        assert_eq!(found.unwrap().unwrap().len(), 1);
        assert_eq!(service.busy.load(Ordering::SeqCst), 2, "the share holds");
        service.open();
        for task in slow {
            timeout(LONG, task).await.unwrap().unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn t25_a_lookup_counts_until_it_ends_although_nobody_waits_for_it() {
        let (service, lookups) = lookups(4, 2);
        for n in 0..2 {
            let asking = tokio::spawn(Arc::clone(&lookups).find(name(&format!("slow{n}")), "mallory".into()));
            service.busy(n + 1).await;
            asking.abort();
            assert!(asking.await.unwrap_err().is_cancelled());
        }
        let more = Arc::clone(&lookups).find(name("fast"), "mallory".into());
        tokio::pin!(more);
        assert!(timeout(Duration::from_millis(20), &mut more).await.is_err(), "both slots are taken still");
        service.open();
        assert!(timeout(LONG, more).await.unwrap().is_ok());
        assert!(lookups.state.lock().shares.len() <= 1);
    }

    #[tokio::test]
    async fn t25_who_waits_for_one_name_shares_one_lookup_whoever_asks() {
        let (service, lookups) = lookups(4, 2);
        let ask = |asker: &str| tokio::spawn(Arc::clone(&lookups).find(name("slow"), asker.into()));
        let first = ask("alice");
        service.busy(1).await;
        let others: Vec<_> = (0..50).map(|n| ask(&format!("a{n}"))).collect();
        tokio::task::yield_now().await;
        service.open();
        for task in others.into_iter().chain([first]) {
            assert_eq!(timeout(LONG, task).await.unwrap().unwrap().unwrap().len(), 1);
        }
        assert_eq!(service.asked.load(Ordering::SeqCst), 1);
        assert!(lookups.state.lock().running.is_empty());
    }

    #[tokio::test]
    async fn a_lookup_that_panics_is_a_failure_and_takes_no_slot_with_it() {
        let (service, lookups) = lookups(1, 1);
        service.open();
        let found = timeout(LONG, Arc::clone(&lookups).find(name("panic"), "a".into())).await.unwrap();
        assert_eq!(found.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(timeout(LONG, Arc::clone(&lookups).find(name("fast"), "a".into())).await.unwrap().is_ok());
    }
}
