//! The records of one connection of TLS 1.3, in both directions, without I/O (RFC 8446 5).
//!
//! `open` and what it reads, then `seal` and what is owed to the peer: KeyUpdates and alerts that opening has asked
//! for are sealed by the next [`Layer::answer`]. Nothing is read after the end, nothing is sealed after an alert.

use std::ops::Range;

use super::fault::Fault;
use super::keys::Keys;
use super::message::{Message, Messages, UPDATE_NOT_REQUESTED};
use super::record::{ALERT, APPLICATION_DATA, CONTENT, HANDSHAKE, HEADER, SEALED_CONTENT, TAG, announced};
use super::seal::Sealer;
use super::source::KeySource;

/// KeyUpdates without data between them. As BoringSSL and rustls.
const KEY_UPDATES: u8 = 32;
/// Records without content in a row. As BoringSSL.
const EMPTY_RECORDS: u8 = 32;
/// Tickets without data between them. Servers send two to four, once.
const TICKETS: u8 = 32;
/// Alerts that mean nothing, in all. As BoringSSL and rustls.
const WARNINGS: u8 = 4;

// RFC 8446 6: levels and descriptions of alerts.
const WARNING: u8 = 1;
const FATAL: u8 = 2;
const CLOSE_NOTIFY: u8 = 0;
const USER_CANCELED: u8 = 90;

/// Both directions.
pub(super) struct Layer {
    opening: Keys,
    sealer: Sealer,
    source: Box<dyn KeySource>,
    messages: Messages,
    patience: Patience,
    warnings: u8,
    end: Option<End>,
    /// The peer has asked for our next key.
    update_owed: bool,
    /// To be told to the peer, once.
    alert_owed: Option<[u8; 2]>,
    /// Our last record was an alert.
    silenced: bool,
}

/// How the peer's direction ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    /// By close_notify.
    Closed,
    /// By what it did or said.
    Failed(Fault),
}

/// What opening has brought.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Where the plaintext lies now, together.
    pub(super) plain: Range<usize>,
    /// Octets of records that are done with, the plaintext among them.
    pub(super) taken: usize,
}

/// What may still come without data.
struct Patience {
    key_updates: u8,
    empty_records: u8,
    tickets: u8,
}

impl Patience {
    const FULL: Self = Self { key_updates: KEY_UPDATES, empty_records: EMPTY_RECORDS, tickets: TICKETS };
}

impl Layer {
    /// `limit` is how many records one key may seal, `content` how much data one of our records has at the most.
    pub(super) fn new(
        opening: Keys,
        sealing: Keys,
        limit: u64,
        content: usize,
        source: Box<dyn KeySource>,
    ) -> Self {
        Self {
            opening,
            sealer: Sealer::new(sealing, limit, content),
            source,
            messages: Messages::default(),
            patience: Patience::FULL,
            warnings: WARNINGS,
            end: None,
            update_owed: false,
            alert_owed: None,
            silenced: false,
        }
    }

    /// How the peer's direction ended, once everything before it was opened.
    pub(super) const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Opens the whole records in `octets`, where they lie, and moves their data together.
    pub(super) fn open(&mut self, octets: &mut [u8]) -> Opened {
        let mut opened = Opened::default();
        while self.end.is_none() {
            let at = opened.taken;
            let Some((header, behind)) = octets[at..].split_first_chunk_mut::<HEADER>() else { break };
            let header = *header;
            let length = match judge(header) {
                Ok(length) => length,
                Err(fault) => {
                    self.fail(fault);
                    break;
                }
            };
            let Some(sealed) = behind.get_mut(..length) else { break };
            opened.taken += HEADER + length;
            match self.open_one(header, sealed) {
                Ok(0) => {}
                Ok(size) => opened.append(octets, at + HEADER, size),
                Err(fault) => self.fail(fault),
            }
        }
        opened
    }

    /// Opens a record; returns how many octets of data it has, which lie at its front.
    fn open_one(&mut self, header: [u8; HEADER], sealed: &mut [u8]) -> Result<usize, Fault> {
        let inner = self.opening.open(header, sealed)?;
        // RFC 8446 5.4: the type is the last octet that is not zero.
        let last = inner.iter().rposition(|octet| *octet != 0);
        // RFC 8446 5.2: TLSInnerPlaintext is at most 2^14 + 1 octets, its padding included.
        if inner.len() > CONTENT + 1 {
            return Err(Fault::RecordTooLong);
        }
        let size = last.ok_or(Fault::NoContentType)?;
        let (content, kind) = (&inner[..size], inner[size]);
        // RFC 8446 5.1: nothing between the parts of a handshake message.
        if kind != HANDSHAKE && self.messages.is_partial() {
            return Err(Fault::Interleaved);
        }
        match kind {
            APPLICATION_DATA => self.judge_data(size),
            HANDSHAKE => self.handle_messages(content).map(|()| 0),
            ALERT => self.handle_alert(content).map(|()| 0),
            other => Err(Fault::ContentType(other)),
        }
    }

    fn judge_data(&mut self, size: usize) -> Result<usize, Fault> {
        if size == 0 {
            spend(&mut self.patience.empty_records, Fault::EmptyRecords)?;
        } else {
            self.patience = Patience::FULL;
        }
        Ok(size)
    }

    fn handle_messages(&mut self, content: &[u8]) -> Result<(), Fault> {
        let Self { messages, patience, source, opening, update_owed, .. } = self;
        messages.take(content, |message| match message {
            Message::KeyUpdate { requested } => {
                spend(&mut patience.key_updates, Fault::KeyUpdates)?;
                // RFC 8446 4.6.3: several requests may be answered by one KeyUpdate.
                *update_owed |= requested;
                *opening = source.next_to_open()?;
                Ok(())
            }
            Message::Ticket(body) => {
                spend(&mut patience.tickets, Fault::Tickets)?;
                source.ticket(body)
            }
        })
    }

    fn handle_alert(&mut self, content: &[u8]) -> Result<(), Fault> {
        // RFC 8446 6: the level says nothing.
        let description = match content {
            [] => return Err(Fault::EmptyFragment),
            [_, description] => *description,
            _ => return Err(Fault::AlertLength),
        };
        match description {
            CLOSE_NOTIFY => self.end = Some(End::Closed),
            // RFC 8446 6.1: a close_notify follows it.
            USER_CANCELED => spend(&mut self.warnings, Fault::Warnings)?,
            _ => return Err(Fault::Alert(description)),
        }
        Ok(())
    }

    fn fail(&mut self, fault: Fault) {
        self.alert_owed = fault.alert().map(|alert| [FATAL, alert.into()]);
        // RFC 8446 6.2: nothing more is sent behind an alert, to or by a peer that has failed.
        self.silenced |= self.alert_owed.is_none();
        self.end = Some(End::Failed(fault));
    }

    /// Ends our direction with close_notify, unless an alert has ended it.
    pub(super) fn close(&mut self) {
        if !self.silenced && self.alert_owed.is_none() {
            self.alert_owed = Some([WARNING, CLOSE_NOTIFY]);
        }
    }

    /// Whether nothing can be sealed any more.
    pub(super) const fn is_silenced(&self) -> bool {
        self.silenced
    }

    /// Seals what is owed to the peer.
    pub(super) fn answer(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.silenced {
            return Ok(());
        }
        if self.update_owed {
            self.update(out)?;
        }
        if let Some(alert) = self.alert_owed.take() {
            self.silenced = true;
            self.sealer.record(ALERT, &alert, out)?;
        }
        Ok(())
    }

    /// The most that so much data comes to, sealed, with what goes before it.
    pub(super) const fn sealed_size(&self, data: usize) -> usize {
        self.sealer.sealed_size(data)
    }

    /// Seals at most `most` octets of data; returns how many were taken.
    pub(super) fn seal<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        if self.sealer.is_spent() {
            self.update(out)?;
        }
        self.sealer.data(pieces, most, out)
    }

    /// Our next key, announced with the last one.
    fn update(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.sealer.record(HANDSHAKE, &UPDATE_NOT_REQUESTED, out)?;
        self.sealer.renew(self.source.next_to_seal()?);
        self.update_owed = false;
        Ok(())
    }
}

impl Opened {
    /// Data at `at`, behind what was opened before.
    fn append(&mut self, octets: &mut [u8], at: usize, size: usize) {
        if self.plain.is_empty() {
            self.plain = at..at + size;
        } else {
            octets.copy_within(at..at + size, self.plain.end);
            self.plain.end += size;
        }
    }
}

/// Judges a record by its header, before the rest has come; returns how many octets that is.
fn judge(header: [u8; HEADER]) -> Result<usize, Fault> {
    // RFC 8446 5: after the handshake everything is sealed, and change_cipher_spec has no place. The version is not
    // looked at (RFC 8446 5.1).
    if header[0] != APPLICATION_DATA {
        return Err(Fault::ContentType(header[0]));
    }
    match announced(header) {
        // RFC 8446 5.2
        length if length > SEALED_CONTENT => Err(Fault::RecordTooLong),
        // A tag, and a type at least.
        length if length <= TAG => Err(Fault::BadRecord),
        length => Ok(length),
    }
}

fn spend(left: &mut u8, fault: Fault) -> Result<(), Fault> {
    *left = left.checked_sub(1).ok_or(fault)?;
    Ok(())
}
