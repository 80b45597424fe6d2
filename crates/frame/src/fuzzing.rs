//! Body of the fuzz target `frame_decode`: whatever the octets and however they are cut, the decoder tells
//! the same, and what it tells obeys its own documentation.
//!
//! Built for tests and fuzzing only. Called by the fuzz target and by the tests of this crate, which replay
//! recorded connections through it.

use bytes::Bytes;

use crate::decode::{Decoder, DecoderConfig};
use crate::frame::{DataPiece, Frame};
use crate::malformed::{Fault, Scope};
use crate::stream_id::StreamId;

/// What a decoder told, with the pieces of each DATA frame joined: independent of how the input was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What came, in order.
    pub items: Vec<Item>,
    /// [`Decoder::mid_frame`] at the end.
    pub mid_frame: bool,
    /// [`Decoder::in_header_block`] at the end.
    pub in_header_block: bool,
}

/// One thing that a decoder told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Any frame but DATA.
    Frame(Frame),
    /// A DATA frame, as much as came of it.
    Data {
        /// The stream.
        stream: StreamId,
        /// The flow-controlled length.
        charge: u32,
        /// The part of it that is no data.
        overhead: u32,
        /// The data.
        octets: Vec<u8>,
        /// Whether it is complete.
        complete: bool,
        /// Whether it ends the stream.
        end_stream: bool,
    },
    /// A violation.
    Fault(Fault),
}

/// Decodes `chunks` one after the other, each until nothing more comes, and checks every answer.
///
/// # Panics
/// If an answer contradicts the documentation of the decoder.
pub fn outcome<'a>(
    config: DecoderConfig,
    preface: bool,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut decoder = Decoder::new(config);
    if preface {
        decoder.expect_preface();
    }
    let mut items = Vec::new();
    for chunk in chunks {
        decoder.feed(Bytes::copy_from_slice(chunk));
        drain(&mut decoder, &mut items);
    }
    Outcome { items, mid_frame: decoder.mid_frame(), in_header_block: decoder.in_header_block() }
}

/// The same octets whole, and cut by `cuts` (lengths of chunks, used in turn; 0 counts as 1), must come to the
/// same outcome, which is given back.
///
/// # Panics
/// If they do not.
pub fn agree(config: &DecoderConfig, preface: bool, wire: &[u8], cuts: &[u8]) -> Outcome {
    let whole = outcome(config.clone(), preface, [wire]);
    let mut rest = wire;
    let mut lengths = cuts.iter().chain([&1]).cycle();
    let chunks = std::iter::from_fn(|| {
        let length = usize::from(*lengths.next()?).clamp(1, rest.len().max(1));
        let (chunk, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(chunk)
    });
    assert_eq!(outcome(config.clone(), preface, chunks), whole, "cut by {cuts:?}");
    whole
}

/// The fuzz target: the first octets choose limits and cuts, the rest is the wire.
pub fn frame_decode(input: &[u8]) {
    let Some((&[knobs, cuts], rest)) = input.split_first_chunk() else { return };
    let Some((cuts, wire)) = rest.split_at_checked(usize::from(cuts % 16)) else { return };
    let tight = DecoderConfig {
        max_header_block: 64,
        max_continuations: 3,
        push: false,
        max_settings: 3,
        max_goaway_debug: 4,
        max_priority_update: 4,
        ..DecoderConfig::default()
    };
    let config = if knobs & 1 == 0 { DecoderConfig::default() } else { tight };
    agree(&config, knobs & 2 != 0, wire, cuts);
}

/// Takes all there is and checks it against what came before.
fn drain(decoder: &mut Decoder, items: &mut Vec<Item>) {
    loop {
        let ended = matches!(items.last(), Some(Item::Fault(fault)) if is_fatal(fault));
        let item = match decoder.next() {
            Ok(None) => break,
            Ok(Some(Frame::Data(piece))) => {
                assert!(!ended, "nothing comes after a violation that ends the connection");
                if !piece.first {
                    extend(items.last_mut(), piece);
                    continue;
                }
                begin(piece)
            }
            Ok(Some(frame)) => Item::Frame(frame),
            Err(fault) => {
                let needed = fault.malformed.scope() == Scope::Stream;
                assert!(fault.stream.is_some() || !needed, "a stream error names its stream");
                Item::Fault(fault)
            }
        };
        assert!(!ended, "nothing comes after a violation that ends the connection");
        if let Some(Item::Data { complete, .. }) = items.last() {
            assert!(complete, "a DATA frame is completed before anything else comes");
        }
        items.push(item);
    }
    assert_eq!(decoder.next(), Ok(None), "none is repeated until more is fed");
}

/// The first piece of a DATA frame.
fn begin(piece: DataPiece) -> Item {
    let DataPiece { stream, charge, overhead, data, first: _, last, end_stream } = piece;
    assert!(overhead <= 256 && overhead <= charge, "padding is a part of the frame");
    assert!(last || !end_stream, "a stream ends with the last piece");
    let data_length = charge - overhead;
    assert!(data.len() <= data_length as usize && (!last || data.len() == data_length as usize));
    Item::Data { stream, charge, overhead, octets: data.into(), complete: last, end_stream }
}

/// A further piece.
fn extend(item: Option<&mut Item>, piece: DataPiece) {
    let Some(Item::Data { stream, charge, overhead, octets, complete, end_stream }) = item else {
        panic!("a further piece follows a piece");
    };
    assert_eq!((piece.stream, piece.charge, piece.overhead), (*stream, 0, 0));
    assert!(!*complete, "nothing follows the last piece");
    assert!(piece.last || !(piece.end_stream || piece.data.is_empty()));
    octets.extend_from_slice(&piece.data);
    let data_length = (*charge - *overhead) as usize;
    assert!(octets.len() <= data_length && (!piece.last || octets.len() == data_length));
    *complete = piece.last;
    *end_stream = piece.end_stream;
}

fn is_fatal(fault: &Fault) -> bool {
    fault.malformed.scope() == Scope::Connection
}
