//! Opening streams in turn: who waits for a slot at the peer gets it in the order of asking.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::shared::{Effects, Opener, Shared, State};
use super::stream::Stream;
use super::stream_ref::StreamRef;
use crate::proto::{OpenError, Request, StreamKey};

/// A stream that is being opened. Dropped, it gives up its place.
pub(super) struct Opening<'a> {
    shared: &'a Arc<Shared>,
    request: Option<Request>,
    ticket: Option<u64>,
}

impl<'a> Opening<'a> {
    pub(super) const fn new(shared: &'a Arc<Shared>, request: Request) -> Self {
        Self { shared, request: Some(request), ticket: None }
    }

    /// Opens at once or not at all; never before those who wait.
    pub(super) fn try_now(mut self) -> Result<Stream, OpenError> {
        let key = self.shared.with(|state, _| {
            if state.openers.is_empty() {
                state.try_open(&mut self.request)
            } else {
                Err(state.why_not().unwrap_or(OpenError::Blocked))
            }
        })?;
        Ok(Stream::new(StreamRef::new(Arc::clone(self.shared), key)))
    }
}

impl Future for Opening<'_> {
    type Output = Result<Stream, OpenError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        let opened =
            me.shared.with(|state, effects| state.poll_open(&mut me.request, &mut me.ticket, cx, effects));
        opened.map_ok(|key| Stream::new(StreamRef::new(Arc::clone(me.shared), key)))
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.with(|state, effects| state.leave_queue(ticket, effects));
        }
    }
}

impl State {
    fn try_open(&mut self, request: &mut Option<Request>) -> Result<StreamKey, OpenError> {
        let key = self.conn.open(request, false)?;
        self.adopt(key);
        Ok(key)
    }

    /// Why nobody can open a stream any more.
    fn why_not(&self) -> Option<OpenError> {
        match &self.closed {
            Some(error) => Some(OpenError::Closed(error.clone())),
            None => self.conn.is_draining().then_some(OpenError::Draining),
        }
    }

    fn poll_open(
        &mut self,
        request: &mut Option<Request>,
        ticket: &mut Option<u64>,
        cx: &Context<'_>,
        effects: &mut Effects,
    ) -> Poll<Result<StreamKey, OpenError>> {
        let first = self.openers.front().map(|opener| opener.ticket);
        if first.is_none() || first == *ticket || self.why_not().is_some() {
            match self.try_open(request) {
                Err(OpenError::Blocked) => {}
                result => {
                    if let Some(ticket) = ticket.take() {
                        self.leave_queue(ticket, effects);
                    }
                    return Poll::Ready(result);
                }
            }
        }
        let waiting = match ticket {
            Some(ticket) => self.openers.iter_mut().find(|opener| opener.ticket == *ticket),
            None => {
                *ticket = Some(self.next_ticket);
                self.openers.push_back(Opener { ticket: self.next_ticket, waker: None });
                self.next_ticket += 1;
                self.openers.back_mut()
            }
        };
        if let Some(opener) = waiting {
            effects.register(&mut opener.waker, cx);
        }
        Poll::Pending
    }

    /// One who waited is done or gives up: the next in turn looks for itself.
    fn leave_queue(&mut self, ticket: u64, effects: &mut Effects) {
        if let Some(index) = self.openers.iter().position(|opener| opener.ticket == ticket) {
            let gone = self.openers.remove(index);
            effects.retire(gone.and_then(|opener| opener.waker));
        }
        self.call_next_opener(effects);
    }
}
