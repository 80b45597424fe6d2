//! The incremental frame decoder: octets in any chunks in, frames out.
//!
//! Called by the engine: [`Decoder::feed`] for what the wire gave, then [`Decoder::next`] until there is
//! nothing more. DATA is handed out in pieces as its octets arrive, sliced and never copied; header blocks
//! are handed out whole; payloads of unknown kinds and padding are skipped as they come. What is buffered is
//! bounded by [`DecoderConfig`], whatever the peer sends. The frames do not depend on how the octets were
//! cut, except for the borders of DATA pieces. Knows no stream states and reads no clock.

mod block;
mod config;
mod intake;
mod payload;
mod rules;

use bytes::Bytes;

use crate::frame::{DataPiece, Frame};
use crate::head::{FrameHead, PREFACE};
use crate::malformed::{Fault, Malformed, Scope};
use crate::stream_id::StreamId;

use block::Block;
pub use config::DecoderConfig;
use intake::Intake;
use rules::{Expect, Plan};

/// Turns octets into frames. See the order of calls at [`Decoder::next`].
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    intake: Intake,
    state: State,
    /// The header block that a CONTINUATION has to continue.
    block: Option<Block>,
}

/// What the next octets are.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The client preface, of which `seen` octets were right.
    Preface { seen: usize },
    /// A frame head.
    Head,
    /// The pad-length octet of a DATA frame of `length` octets.
    PadLength { stream: StreamId, length: u32, end_stream: bool },
    /// The rest of a DATA frame.
    Data(Rest),
    /// The `need` octets of a payload that is looked at only when it is whole.
    Payload { stream: Option<StreamId>, expect: Expect, need: u32 },
    /// Octets that nobody wants.
    Skip { left: u32 },
    /// Nothing: a violation or the caller has ended the connection.
    Failed,
}

/// What of a DATA frame is still to come.
#[derive(Clone, Copy, Debug)]
struct Rest {
    stream: StreamId,
    data: u32,
    padding: u32,
    end_stream: bool,
}

/// What the first piece of a DATA frame tells besides its octets.
#[derive(Clone, Copy)]
struct First {
    charge: u32,
    overhead: u32,
}

impl Decoder {
    /// A decoder that awaits a frame head, as a client does.
    pub fn new(config: DecoderConfig) -> Self {
        Self { config, intake: Intake::default(), state: State::Head, block: None }
    }

    /// Makes the decoder await the client preface first, as a server does. To be called before any octet is
    /// fed.
    pub const fn expect_preface(&mut self) {
        self.state = State::Preface { seen: 0 };
    }

    /// Takes input, in any chunks. The chunk is kept only until its octets have been handed out or skipped.
    #[inline]
    pub fn feed(&mut self, bytes: Bytes) {
        if !matches!(self.state, State::Failed) {
            self.intake.feed(bytes);
        }
    }

    /// The next frame or piece of one, or `None` until more octets are fed.
    ///
    /// Feed, then call this until it gives `None`: only then is nothing left of the input but the beginning
    /// of an incomplete frame, at most [`DecoderConfig::max_header_block`] and a few hundred octets.
    ///
    /// # Errors
    /// The first violation that the octets hold. After one of [`Scope::Connection`] everything fed before and
    /// later is dropped, and this is `None` for ever. After one of [`Scope::Stream`] that frame is skipped and
    /// decoding goes on: call again.
    #[expect(clippy::should_implement_trait, reason = "none is not the end: more may be fed")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Frame>, Fault> {
        loop {
            match self.state {
                State::Head => {
                    let Some(head) = self.intake.head() else { return Ok(None) };
                    if let Some(frame) = self.begin(head)? {
                        return Ok(Some(frame));
                    }
                }
                State::Data(rest) => {
                    let piece = self.piece(rest, None);
                    let tells = piece.last || !piece.data.is_empty();
                    return Ok(tells.then_some(Frame::Data(piece)));
                }
                State::PadLength { stream, length, end_stream } => {
                    let Some(padding) = self.intake.octet() else { return Ok(None) };
                    return self.padded(stream, length, padding, end_stream).map(Some);
                }
                State::Payload { stream, expect, need } => {
                    if !self.intake.gather(need as usize) {
                        return Ok(None);
                    }
                    if let Some(frame) = self.finish(stream, expect, need as usize)? {
                        return Ok(Some(frame));
                    }
                }
                State::Skip { left } => {
                    let left = left - self.intake.skip(left);
                    self.state = skip(left);
                    if left > 0 {
                        return Ok(None);
                    }
                }
                State::Preface { seen } => {
                    if !self.preface(seen)? {
                        return Ok(None);
                    }
                }
                State::Failed => return Ok(None),
            }
        }
    }

    /// Drops everything fed before and later: nobody wants more frames.
    pub fn stop(&mut self) {
        self.state = State::Failed;
        self.block = None;
        self.intake = Intake::default();
    }

    /// Whether the head of HEADERS or PUSH_PROMISE was seen and its header block is not complete: the time
    /// in which a slow peer keeps every other stream waiting.
    pub const fn in_header_block(&self) -> bool {
        self.block.is_some()
            || matches!(
                self.state,
                State::Payload { expect: Expect::Headers { .. } | Expect::PushPromise { .. }, .. }
            )
    }

    /// Whether octets of an incomplete frame (or preface) are pending: an end of the input would cut it.
    pub fn mid_frame(&self) -> bool {
        match self.state {
            State::Head => self.intake.has_octets(),
            State::Preface { seen } => seen > 0 || self.intake.has_octets(),
            State::Failed => false,
            State::PadLength { .. } | State::Data(_) | State::Payload { .. } | State::Skip { .. } => true,
        }
    }

    /// A head was read: hands out what is known by the head alone.
    #[inline]
    fn begin(&mut self, head: FrameHead) -> Result<Option<Frame>, Fault> {
        match rules::admit(&head, &self.config, self.block.as_ref()) {
            Ok(Plan::Data { stream, padded, end_stream }) => {
                if padded {
                    self.state = State::PadLength { stream, length: head.length, end_stream };
                    return Ok(None);
                }
                let rest = Rest { stream, data: head.length, padding: 0, end_stream };
                let first = First { charge: head.length, overhead: 0 };
                Ok(Some(Frame::Data(self.piece(rest, Some(first)))))
            }
            Ok(Plan::Payload { expect, need }) => {
                self.state = State::Payload { stream: head.stream, expect, need };
                Ok(None)
            }
            Ok(Plan::Skip) => {
                self.state = skip(head.length);
                let FrameHead { length, kind, flags, stream } = head;
                Ok(Some(Frame::Unknown { kind, flags, length, stream }))
            }
            Err(malformed) => {
                self.state = skip(head.length);
                Err(self.fail(malformed, head.stream))
            }
        }
    }

    /// The pad-length octet of a DATA frame was read.
    fn padded(
        &mut self,
        stream: StreamId,
        length: u32,
        padding: u8,
        end_stream: bool,
    ) -> Result<Frame, Fault> {
        let overhead = 1 + u32::from(padding);
        // RFC 9113 6.1: padding that is the length of the payload or longer is a connection error.
        let Some(data) = length.checked_sub(overhead) else {
            return Err(self.fail(Malformed::PaddingTooLong, Some(stream)));
        };
        let rest = Rest { stream, data, padding: overhead - 1, end_stream };
        let first = First { charge: length, overhead };
        Ok(Frame::Data(self.piece(rest, Some(first))))
    }

    /// The next piece of a DATA frame, as much as is at hand.
    #[inline]
    fn piece(&mut self, mut rest: Rest, first: Option<First>) -> DataPiece {
        let data = self.intake.slice(rest.data);
        rest.data -= u32::try_from(data.len()).unwrap_or(rest.data);
        if rest.data == 0 && rest.padding > 0 {
            rest.padding -= self.intake.skip(rest.padding);
        }
        let last = rest.data == 0 && rest.padding == 0;
        self.state = if last { State::Head } else { State::Data(rest) };
        let (charge, overhead) = first.map_or((0, 0), |first| (first.charge, first.overhead));
        let end_stream = last && rest.end_stream;
        let (stream, first) = (rest.stream, first.is_some());
        DataPiece { stream, charge, overhead, data, first, last, end_stream }
    }

    /// A payload is whole: hands out its frame, unless it leaves a header block open.
    fn finish(
        &mut self,
        stream: Option<StreamId>,
        expect: Expect,
        need: usize,
    ) -> Result<Option<Frame>, Fault> {
        self.state = State::Head;
        let frame = match expect {
            Expect::Headers { stream, flags } => {
                block::headers(stream, flags, self.intake.take(need), &self.config, &mut self.block)
            }
            Expect::PushPromise { stream, flags } => {
                block::push_promise(stream, flags, self.intake.take(need), &self.config, &mut self.block)
            }
            Expect::Continuation { end_headers } => {
                Ok(block::continuation(&mut self.block, &self.intake.take(need), end_headers))
            }
            Expect::Control(control) => {
                let frame = payload::parse(control, self.intake.gathered(need));
                self.intake.consume(need);
                if let payload::Control::Goaway { beyond } = control {
                    self.state = skip(beyond);
                }
                frame.map(Some)
            }
        };
        frame.map_err(|malformed| self.fail(malformed, stream))
    }

    /// Compares what there is with the preface. Whether it is complete.
    fn preface(&mut self, mut seen: usize) -> Result<bool, Fault> {
        while seen < PREFACE.len() {
            let Some(octet) = self.intake.octet() else {
                self.state = State::Preface { seen };
                return Ok(false);
            };
            // RFC 9113 3.4: the first wrong octet tells that this is not HTTP/2.
            if octet != PREFACE[seen] {
                return Err(self.fail(Malformed::Preface, None));
            }
            seen += 1;
        }
        self.state = State::Head;
        Ok(true)
    }

    #[cold]
    fn fail(&mut self, malformed: Malformed, stream: Option<StreamId>) -> Fault {
        match malformed.scope() {
            Scope::Connection => self.stop(),
            Scope::Stream => {}
        }
        Fault { malformed, stream }
    }
}

const fn skip(left: u32) -> State {
    if left == 0 { State::Head } else { State::Skip { left } }
}
