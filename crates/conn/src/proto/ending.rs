//! How a connection goes away and ends: in two steps, by a fault, or with its transport (RFC 9113 5.4.1, 6.8).
//!
//! The only place where a connection ends; its streams fail here with it. Emits nothing: GOAWAY is queued.

use std::time::Instant;

use hbone_frame::{ErrorCode, Side, StreamId};

use super::error::{ConnectionError, Violation};
use super::event::Event;
use super::goaway::Sent;
use super::keepalive::Purpose;
use super::notes::Note;
use super::state::{Control, Fault, Phase, State};
use super::streams::Failure;
use super::timer::Timer;

impl State {
    /// Counts a legal frame without effect. At three quarters of the budget the connection drains.
    pub(super) fn glitch(&mut self, now: Instant) -> Result<(), Fault> {
        self.stats.glitches += 1;
        if self.abuse.glitch(now)? {
            self.begin_drain(now);
        }
        Ok(())
    }

    /// It has become too old: it goes away, and is gone when the grace is over.
    pub(super) fn retire(&mut self, now: Instant) {
        self.begin_drain(now);
        self.timers.set_earlier(Timer::Drain, now, self.config.max_age_grace);
    }

    /// The first step of a drain (RFC 9113 6.8): a warning, and a PING that tells when the peer has seen it.
    pub(super) fn begin_drain(&mut self, now: Instant) {
        if self.goaway.sent != Sent::Nothing || !self.is_open() {
            return;
        }
        if !self.takes_streams() {
            // Nothing that the server opens is under way: no step of warning is needed.
            self.finish_drain(ErrorCode::NO_ERROR, String::new());
            return self.openable();
        }
        self.goaway.sent = Sent::Warning;
        self.timers.set_after(Timer::Warning, now, self.config.handshake_timeout);
        let last = Some(StreamId::MAX);
        self.notes.note(Note::GoawaySent { last, code: ErrorCode::NO_ERROR });
        self.control.push_back(Control::Goaway { last, code: ErrorCode::NO_ERROR, debug: String::new() });
        self.ping(Purpose::Drain);
        self.openable();
    }

    /// The second step: what the peer opened by now is the last that is processed.
    pub(super) fn finish_drain(&mut self, code: ErrorCode, debug: String) {
        let last = match self.goaway.sent {
            Sent::Final { .. } if code == ErrorCode::NO_ERROR => return,
            // RFC 9113 6.8: the last identifier MUST NOT rise.
            Sent::Final { last } => last,
            Sent::Nothing | Sent::Warning => self.last_peer_id,
        };
        self.goaway.sent = Sent::Final { last };
        self.notes.note(Note::GoawaySent { last, code });
        self.control.push_back(Control::Goaway { last, code, debug });
    }

    /// A drained connection without streams ends in peace.
    pub(super) fn end_if_drained(&mut self) {
        // After a warning, what the peer has opened may be under way.
        if !self.is_open() || self.streams.active_in_all() > 0 || self.goaway.sent == Sent::Warning {
            return;
        }
        // A client that goes away may still open streams of its own (RFC 9113 6.8): a server lets it close.
        if self.side == Side::Client
            && let Some(received) = &self.goaway.received
        {
            let error = received.error();
            self.finish_drain(ErrorCode::NO_ERROR, String::new());
            self.end(error);
        } else if matches!(self.goaway.sent, Sent::Final { .. }) {
            self.end(ConnectionError::Closed);
        }
    }

    /// The connection ends because of the peer's fault: GOAWAY is the last frame.
    pub(super) fn end_by_fault(&mut self, violation: Violation) {
        // RFC 9113 3.4: SETTINGS come first, whatever follows; the rest the peer has forfeited.
        self.control.retain(|frame| matches!(frame, Control::Settings));
        self.causes.count(violation.label());
        self.finish_drain(violation.code(), violation.to_string());
        self.end(ConnectionError::Protocol(violation));
    }

    /// The connection has ended for its application: every stream fails, frames that are queued still leave.
    pub(super) fn end(&mut self, error: ConnectionError) {
        if !self.is_open() {
            return;
        }
        self.phase = Phase::Ending(error.clone());
        self.timers.stop_all();
        // What has arrived behind the end would pin its read buffer as long as anybody holds the connection.
        self.decoder.stop();
        self.schedule.clear();
        self.connection_stalls.end_all(self.heard());
        self.heads.clear();
        self.credit.clear();
        for key in self.streams.keys() {
            self.fail(key, Failure::Connection);
        }
        self.openable();
        self.notes.note(Note::Closed(error.clone()));
        self.events.rare(Event::Closed(error));
    }

    /// The transport is gone: nothing can be sent.
    pub(super) fn end_without_transport(&mut self, error: ConnectionError) {
        self.end(error);
        self.control.clear();
        if let Phase::Ending(error) = &self.phase {
            self.phase = Phase::Ended(error.clone());
        }
    }
}
