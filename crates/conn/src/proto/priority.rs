//! Priority signals of the peer: PRIORITY of RFC 7540, PRIORITY_UPDATE of RFC 9218. Hints, never faults by value.
//!
//! Called by `recv`. Sets the urgency of streams and leaves to `schedule` what follows from it.

use std::time::Instant;

use hbone_frame::{Priority, StreamId};

use super::error::Violation;
use super::state::{Fault, State};
use super::urgency;

/// PRIORITY is deprecated and changes nothing (RFC 9113 5.3.2), but it costs.
pub(super) fn of_rfc7540(
    state: &mut State,
    now: Instant,
    id: StreamId,
    priority: Priority,
) -> Result<(), Fault> {
    state.glitch(now)?;
    // RFC 9218 2.1: the signals of a peer that has renounced them are ignored, whatever they say.
    if priority.depends_on(id) && !state.is_idle(id) && !state.peer.no_priorities {
        return Err(Fault::Stream(id, Violation::SelfDependency));
    }
    Ok(())
}

/// PRIORITY_UPDATE replaces what was said before (RFC 9218 7); of a stream that is not open yet it is kept for then.
pub(super) fn update(state: &mut State, now: Instant, id: StreamId, value: &[u8]) -> Result<(), Fault> {
    state.glitch(now)?;
    if id.initiator() == state.side {
        // We push nothing: a stream of ours that is not open is an idle push stream.
        let idle = state.is_idle(id);
        return if idle { Err(Fault::Connection(Violation::PriorityUpdateOfIdlePush)) } else { Ok(()) };
    }
    let urgency = urgency::of(value);
    if !state.is_idle(id) {
        if let Some(key) = state.streams.find(id)
            && let Some(stream) = state.streams.get_mut(key)
        {
            stream.send.urgency = urgency;
        }
        return Ok(());
    }
    // Before the peer has acknowledged our SETTINGS it cannot know the limit.
    if !state.settings_acknowledged {
        state.prioritised.note_unjudged(id, urgency);
        return Ok(());
    }
    let active = state.streams.active(state.side.peer());
    let room = (state.config.max_concurrent_streams as usize).saturating_sub(active);
    if state.prioritised.note(id, urgency, room) {
        Ok(())
    } else {
        Err(Fault::Connection(Violation::PriorityUpdateOverLimit))
    }
}
