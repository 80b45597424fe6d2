//! What waits to be told to the application, in order.
//!
//! Most events name a stream and no more: they take 12 octets in the queue. Heads lie beside it in their own order,
//! and what is rare in a box. Used by `state`, which everything that happens goes through.

use std::collections::VecDeque;

use super::connect::{Request, Response};
use super::event::Event;
use super::streams::StreamKey;

/// An event without what it carries.
enum Waiting {
    Readable(StreamKey),
    Writable(StreamKey),
    /// Its head is the first of `requests`.
    Incoming(StreamKey, bool),
    /// Its head is the first of `responses`.
    Response(StreamKey, bool),
    /// The first of `rare`.
    Rare,
}

const _: () = assert!(size_of::<Waiting>() <= 12);

/// A queue of events.
#[derive(Default)]
pub(super) struct Events {
    queue: VecDeque<Waiting>,
    requests: VecDeque<Request>,
    responses: VecDeque<Response>,
    rare: VecDeque<Event>,
    /// Octets of the heads, as RFC 7541 4.1 counts them.
    heads: usize,
}

impl Events {
    /// Octets of the heads that wait, as RFC 7541 4.1 counts them.
    pub(super) const fn heads(&self) -> usize {
        self.heads
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn readable(&mut self, key: StreamKey) {
        self.queue.push_back(Waiting::Readable(key));
    }

    pub(super) fn writable(&mut self, key: StreamKey) {
        self.queue.push_back(Waiting::Writable(key));
    }

    pub(super) fn incoming(&mut self, key: StreamKey, request: Request, end: bool) {
        self.heads += request.fields().size();
        self.requests.push_back(request);
        self.queue.push_back(Waiting::Incoming(key, end));
    }

    pub(super) fn response(&mut self, key: StreamKey, response: Response, end: bool) {
        self.heads += response.fields().size();
        self.responses.push_back(response);
        self.queue.push_back(Waiting::Response(key, end));
    }

    /// An event that is none of the others.
    pub(super) fn rare(&mut self, event: Event) {
        self.rare.push_back(event);
        self.queue.push_back(Waiting::Rare);
    }

    /// The next one.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Event> {
        match self.queue.pop_front()? {
            Waiting::Readable(key) => Some(Event::Readable(key)),
            Waiting::Writable(key) => Some(Event::Writable(key)),
            Waiting::Incoming(key, end) => {
                let request = self.requests.pop_front()?;
                self.heads -= request.fields().size();
                Some(Event::Incoming { key, request, end })
            }
            Waiting::Response(key, end) => {
                let response = self.responses.pop_front()?;
                self.heads -= response.fields().size();
                Some(Event::Response { key, response, end })
            }
            Waiting::Rare => self.rare.pop_front(),
        }
    }

    /// Gives back room beyond `places` in each list.
    pub(super) fn give_back(&mut self, places: usize) {
        self.queue.shrink_to(places);
        self.requests.shrink_to(places);
        self.responses.shrink_to(places);
        self.rare.shrink_to(places.min(1));
    }

    /// What waits is in step, and the octets of the heads are counted.
    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self) {
        let count = |which: fn(&Waiting) -> bool| self.queue.iter().filter(|event| which(event)).count();
        assert_eq!(self.requests.len(), count(|event| matches!(event, Waiting::Incoming(..))));
        assert_eq!(self.responses.len(), count(|event| matches!(event, Waiting::Response(..))));
        assert_eq!(self.rare.len(), count(|event| matches!(event, Waiting::Rare)));
        let requests = self.requests.iter().map(|request| request.fields().size());
        let responses = self.responses.iter().map(|response| response.fields().size());
        assert_eq!(self.heads, requests.chain(responses).sum::<usize>(), "octets of heads in events");
    }
}
