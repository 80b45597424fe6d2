//! An attacker that reacts to its victim: one script for the engine in virtual time and for a socket.

use std::io::Write;
use std::net::{Shutdown, TcpStream as Socket};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::frames::{ACK, PING, Scanner, frame};

/// What a script of an attacker does; the number says how often.
pub(crate) type Script = Arc<dyn Fn(&mut dyn Peer, u32) + Send + Sync>;

/// The attacker's end of the wire.
pub(crate) trait Peer {
    /// Sends these octets.
    fn send(&mut self, octets: &[u8]);

    /// Waits until what the victim has sent fulfils `done`; in virtual time that is so at once, or the script panics.
    /// `false`: the connection has ended before.
    fn until(&mut self, what: &str, done: &dyn Fn(&Scanner) -> bool) -> bool;

    /// Looks at what the victim has sent.
    fn look(&mut self, at: &mut dyn FnMut(&mut Scanner));

    /// Lets time pass, at least so much.
    fn pass(&mut self, time: Duration);
}

/// A number out of what the victim has sent.
pub(crate) fn count(peer: &mut dyn Peer, of: impl Fn(&Scanner) -> u64) -> u64 {
    let mut found = 0;
    peer.look(&mut |scanner| found = of(scanner));
    found
}

/// Answers the victim's PINGs that are not answered yet.
pub(crate) fn answer_pings(peer: &mut dyn Peer) {
    let mut pongs = Vec::new();
    peer.look(&mut |scanner| {
        for payload in scanner.pings.drain(..) {
            frame(&mut pongs, PING, ACK, 0, &payload);
        }
    });
    peer.send(&pongs);
}

/// Everything that was sent before has been handled, and what it provoked at once is here. Two questions: credit
/// rides behind the first answer.
pub(crate) fn synchronise(peer: &mut dyn Peer) -> bool {
    (0..2).all(|_| {
        let pongs = count(peer, |scanner| scanner.pongs.into());
        let mut ping = Vec::new();
        frame(&mut ping, PING, 0, 0, b"how far?");
        peer.send(&ping);
        peer.until("an answer to PING", &|scanner| u64::from(scanner.pongs) > pongs)
    })
}

/// What a thread that reads has heard of the victim.
pub(crate) struct Ear {
    heard: Mutex<(Scanner, bool)>,
    news: Condvar,
}

impl Ear {
    pub(crate) fn new(begun: Scanner) -> Self {
        Self { heard: Mutex::new((begun, false)), news: Condvar::new() }
    }

    /// Octets came; `true` once the mark is among them.
    pub(crate) fn hear(&self, octets: &[u8]) -> bool {
        let mut heard = self.heard.lock().unwrap();
        heard.0.pass(octets);
        self.news.notify_all();
        heard.0.marked
    }

    /// Nothing more will come.
    pub(crate) fn over(&self) {
        self.heard.lock().unwrap().1 = true;
        self.news.notify_all();
    }

    pub(crate) fn into_scanner(self) -> Scanner {
        self.heard.into_inner().unwrap().0
    }
}

/// A script's peer over a socket; another thread hears for it.
pub(crate) struct OverSocket<'a> {
    pub(crate) socket: &'a Socket,
    pub(crate) ear: &'a Ear,
    /// What takes longer hangs.
    pub(crate) patience: Duration,
}

impl Peer for OverSocket<'_> {
    fn send(&mut self, octets: &[u8]) {
        // A victim that has had enough closes: the rest is lost, as it must be.
        let _ = self.socket.write_all(octets);
    }

    fn until(&mut self, what: &str, done: &dyn Fn(&Scanner) -> bool) -> bool {
        let waiting = |heard: &mut (Scanner, bool)| !done(&heard.0) && !heard.1;
        let heard = self.ear.heard.lock().unwrap();
        let (heard, late) = self.ear.news.wait_timeout_while(heard, self.patience, waiting).unwrap();
        let done = done(&heard.0);
        drop(heard);
        if late.timed_out() && !done {
            let _ = self.socket.shutdown(Shutdown::Both);
            panic!("{what} never comes");
        }
        done
    }

    fn look(&mut self, at: &mut dyn FnMut(&mut Scanner)) {
        at(&mut self.ear.heard.lock().unwrap().0);
    }

    fn pass(&mut self, time: Duration) {
        thread::sleep(time);
    }
}
