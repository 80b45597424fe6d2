//! What has passed one end of a direction of the wire, read by a decoder of its own, and the rules about it.
//!
//! Knows frames and sums only. Nobody may send beyond a window (H47), announce credit that was never used, or keep
//! credit back for ever (H46): the windows that the frames themselves describe are held against the configuration.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use hbone_conn::{Config, Side};
use hbone_frame::{DEFAULT_WINDOW, Decoder, DecoderConfig, Frame};

/// Sums of one end of a direction.
pub(super) struct Tally {
    decoder: Decoder,
    pub(super) octets: u64,
    /// Flow-controlled octets, of the connection and of each stream.
    charged: i64,
    charged_of: HashMap<u32, i64>,
    /// Credit announced.
    credit: i64,
    credit_of: HashMap<u32, i64>,
    /// Streams whose END_STREAM has passed.
    pub(super) ended: HashSet<u32>,
}

impl Tally {
    pub(super) fn new(from: Side) -> Self {
        let mut decoder = Decoder::new(DecoderConfig { max_frame_size: 1 << 24, ..DecoderConfig::default() });
        if from == Side::Client {
            decoder.expect_preface();
        }
        Self {
            decoder,
            octets: 0,
            charged: 0,
            charged_of: HashMap::new(),
            credit: 0,
            credit_of: HashMap::new(),
            ended: HashSet::new(),
        }
    }

    pub(super) fn pass(&mut self, octets: Bytes) {
        self.octets += octets.len() as u64;
        self.decoder.feed(octets);
        while let Some(frame) = self.decoder.next().expect("an engine sends well-formed frames") {
            match frame {
                Frame::Data(piece) => {
                    self.charged += i64::from(piece.charge);
                    *self.charged_of.entry(piece.stream.get()).or_default() += i64::from(piece.charge);
                    if piece.end_stream {
                        self.ended.insert(piece.stream.get());
                    }
                }
                Frame::Headers(block) if block.end_stream => {
                    self.ended.insert(block.stream.get());
                }
                Frame::WindowUpdate { stream: None, increment } => self.credit += i64::from(increment),
                Frame::WindowUpdate { stream: Some(id), increment } => {
                    *self.credit_of.entry(id.get()).or_default() += i64::from(increment);
                }
                Frame::Headers(_)
                | Frame::Priority { .. }
                | Frame::Reset { .. }
                | Frame::Settings(_)
                | Frame::SettingsAck
                | Frame::PushPromise { .. }
                | Frame::Ping { .. }
                | Frame::Goaway { .. }
                | Frame::PriorityUpdate { .. }
                | Frame::Unknown { .. } => {}
            }
        }
    }

    /// Forgets the streams; all of them are over, with nothing under way.
    pub(super) fn forget(&mut self) {
        self.charged_of.clear();
        self.credit_of.clear();
        self.ended.clear();
    }
}

/// Who sent DATA may have spent no more than it had: `spent` has left the sender, `credit` has reached it.
pub(super) fn sender_is_honest(spent: &Tally, credit: &Tally, receiver: &Config) {
    let left = i64::from(DEFAULT_WINDOW) + credit.credit - spent.charged;
    assert!(left >= 0, "H47: the connection's window is overdrawn by {}", -left);
    let initial = i64::from(receiver.initial_window_size.max(DEFAULT_WINDOW));
    for (stream, charged) in &spent.charged_of {
        let left = initial + credit.credit_of.get(stream).unwrap_or(&0) - charged;
        assert!(left >= 0, "H47: the window of stream {stream} is overdrawn by {}", -left);
    }
}

/// Who receives DATA announces no more than was used: `used` has reached the receiver, `credit` has left it.
pub(super) fn receiver_is_honest(used: &Tally, credit: &Tally, receiver: &Config) {
    // It follows the path, up to its ceiling.
    let size = connection_window(receiver).max(i64::from(receiver.max_connection_window_size));
    let open = i64::from(DEFAULT_WINDOW) + credit.credit - used.charged;
    assert!(open <= size, "H46: {} octets of the connection's credit are invented", open - size);
    let most = [receiver.initial_window_size, receiver.max_window_size, DEFAULT_WINDOW].into_iter().max();
    let most = i64::from(most.unwrap_or(DEFAULT_WINDOW));
    let initial = i64::from(receiver.initial_window_size);
    for (stream, credit) in &credit.credit_of {
        let open = initial + credit - used.charged_of.get(stream).unwrap_or(&0);
        assert!(open <= most, "H46: {} octets of credit of stream {stream} are invented", open - most);
    }
}

/// With nothing under way and nothing unread, what is missing from the connection's window is only what is not
/// worth a frame of its own: half of it, or a mebibyte.
pub(super) fn nothing_is_kept_back(used: &Tally, credit: &Tally, receiver: &Config) {
    let size = connection_window(receiver);
    let missing = size - (i64::from(DEFAULT_WINDOW) + credit.credit - used.charged);
    assert!(missing < (size / 2).min(1 << 20), "H46: {missing} octets of the connection's credit are lost");
}

fn connection_window(receiver: &Config) -> i64 {
    i64::from(receiver.connection_window_size.max(DEFAULT_WINDOW))
}
