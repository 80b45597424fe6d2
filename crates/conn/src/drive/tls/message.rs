//! Handshake messages after the handshake (RFC 8446 4.6), in however many records they come. Joins and judges their
//! shape; what they mean is the layer's.

use super::fault::Fault;

pub(super) const NEW_SESSION_TICKET: u8 = 4;
pub(super) const KEY_UPDATE: u8 = 24;

/// A KeyUpdate that asks for none in return, with its header.
pub(super) const UPDATE_NOT_REQUESTED: [u8; 5] = [KEY_UPDATE, 0, 0, 1, 0];

/// The largest message that is taken, without its head: as rustls takes in a handshake.
const LONGEST: usize = 0xffff;

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// The peer seals with its next key from now on, and may ask for the same.
    KeyUpdate {
        /// It asks.
        requested: bool,
    },
    /// The body of a NewSessionTicket.
    Ticket(&'a [u8]),
}

/// Parts of a message that is not whole.
#[derive(Default)]
pub(super) struct Messages {
    partial: Vec<u8>,
}

impl Messages {
    /// Whether a message has begun.
    pub(super) const fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Takes the content of a record, and gives every message that is whole to `each`.
    pub(super) fn take(
        &mut self,
        fragment: &[u8],
        mut each: impl FnMut(Message<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        // RFC 8446 5.1: no part of a handshake message is empty.
        if fragment.is_empty() {
            return Err(Fault::EmptyFragment);
        }
        self.partial.extend_from_slice(fragment);
        let mut rest = &self.partial[..];
        while let [kind, length @ ..] = rest
            && let [high, middle, low, behind @ ..] = length
        {
            let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
            judge(*kind, length)?;
            let Some((body, others)) = behind.split_at_checked(length) else { break };
            each(match (kind, body) {
                (&KEY_UPDATE, [request]) => {
                    // RFC 8446 5.1: the keys change behind it, so nothing may be behind it in its record.
                    if !others.is_empty() {
                        return Err(Fault::Unaligned);
                    }
                    // RFC 8446 4.6.3: update_not_requested(0), update_requested(1).
                    let requested = match request {
                        0 => false,
                        1 => true,
                        _ => return Err(Fault::KeyUpdateRequest),
                    };
                    Message::KeyUpdate { requested }
                }
                _ => Message::Ticket(body),
            })?;
            rest = others;
        }
        if rest.is_empty() {
            self.partial = Vec::new();
        } else {
            let done = self.partial.len() - rest.len();
            self.partial.drain(..done);
        }
        Ok(())
    }
}

/// Judges a message by its head, before its body has come.
const fn judge(kind: u8, length: usize) -> Result<(), Fault> {
    match kind {
        KEY_UPDATE if length != 1 => Err(Fault::KeyUpdateLength),
        NEW_SESSION_TICKET if length > LONGEST => Err(Fault::MessageTooLong),
        KEY_UPDATE | NEW_SESSION_TICKET => Ok(()),
        other => Err(Fault::HandshakeType(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of fragments: of each ticket its length, of each KeyUpdate whether it asks.
    fn taken(fragments: &[&[u8]]) -> Result<Vec<Result<usize, bool>>, Fault> {
        let (mut messages, mut all) = (Messages::default(), Vec::new());
        for fragment in fragments {
            messages.take(fragment, |message| {
                all.push(match message {
                    Message::KeyUpdate { requested } => Err(requested),
                    Message::Ticket(body) => Ok(body.len()),
                });
                Ok(())
            })?;
        }
        assert!(!messages.is_partial());
        Ok(all)
    }

    #[test]
    fn messages_are_joined_and_split_however_they_come() {
        let all = [4, 0, 0, 3, 1, 2, 3, 4, 0, 0, 0, 24, 0, 0, 1, 1];
        let expected = vec![Ok(3), Ok(0), Err(true)];
        for size in 1..=all.len() {
            let fragments: Vec<_> = all.chunks(size).collect();
            assert_eq!(taken(&fragments), Ok(expected.clone()), "in pieces of {size}");
        }
    }

    #[test]
    fn what_has_no_place_is_refused_by_its_head() {
        assert_eq!(taken(&[&[]]), Err(Fault::EmptyFragment));
        assert_eq!(taken(&[&[13, 0, 0, 9]]), Err(Fault::HandshakeType(13)), "post-handshake authentication");
        assert_eq!(taken(&[&[1, 0, 1, 0]]), Err(Fault::HandshakeType(1)), "renegotiation");
        assert_eq!(taken(&[&[24, 0, 0, 2]]), Err(Fault::KeyUpdateLength));
        assert_eq!(taken(&[&[24, 0, 0, 0]]), Err(Fault::KeyUpdateLength));
        assert_eq!(taken(&[&[24, 0, 0, 1, 2]]), Err(Fault::KeyUpdateRequest));
        assert_eq!(taken(&[&[24, 0, 0, 1, 0, 4]]), Err(Fault::Unaligned));
        assert_eq!(taken(&[&[4, 1, 0, 0]]), Err(Fault::MessageTooLong));
        let largest = [&[4, 0, 0xff, 0xff][..], &[0; 0xffff]].concat();
        assert_eq!(taken(&[&largest]), Ok(vec![Ok(0xffff)]));
    }
}
