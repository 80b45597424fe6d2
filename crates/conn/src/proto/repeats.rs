//! The last short head in each direction: most heads of a connection are the same again.
//!
//! A tunnel is answered with the same 200 as the one before, and often asked for with the same authority. While the
//! compression context has not changed, the same list makes the same block and the other way round, with the same
//! judgement. Anything that is long, sensitive or not indexed whole is merely not remembered. Used by
//! `recv`, `send` and `connection`; knows no streams.

use hbone_frame::Fields;
use hbone_frame::hpack::{CompressionError, Decoder, Encoder, Limits, Verdict};

use super::error::Violation;
use super::judge::{RequestNature, ResponseNature, judge_request};

/// Octets of a block that is remembered, at the most.
const BLOCK: usize = 32;

/// A list, and the block that it makes while the compression context is at `version`.
struct Pair {
    version: u64,
    fields: Fields,
    block: [u8; BLOCK],
    len: usize,
}

impl Pair {
    /// `None` where it is not worth remembering.
    fn of(version: u64, fields: &Fields, block: &[u8]) -> Option<Self> {
        if !fields.is_short() || fields.iter().any(|field| field.sensitive) {
            return None;
        }
        let mut kept = [0; BLOCK];
        kept.get_mut(..block.len())?.copy_from_slice(block);
        Some(Self { version, fields: fields.clone(), block: kept, len: block.len() })
    }

    fn block(&self) -> &[u8] {
        self.block.get(..self.len).unwrap_or_default()
    }
}

/// What the judgement of a list was, as far as there was one.
#[derive(Clone, Copy, Default)]
pub(super) struct Judged {
    pub(super) request: Option<RequestNature>,
    pub(super) response: Option<ResponseNature>,
}

/// The last head of the peer.
#[derive(Default)]
pub(super) struct Received {
    last: Option<Pair>,
    judged: Judged,
    /// Scratch for one list.
    scratch: Fields,
}

impl Received {
    /// Decodes a block. With the list comes what is known of it from before.
    pub(super) fn decode(
        &mut self,
        decoder: &mut Decoder,
        block: &[u8],
        limits: &Limits,
    ) -> Result<(Fields, Verdict, Judged), CompressionError> {
        let version = decoder.version();
        if let Some(last) = &self.last
            && last.version == version
            && last.block() == block
        {
            return Ok((last.fields.clone(), Verdict::Whole, self.judged));
        }
        // What is told of the last list must never be told of one before it.
        self.last = None;
        self.judged = Judged::default();
        let verdict = decoder.decode(block, limits, &mut self.scratch)?;
        let fields = self.scratch.take();
        if verdict == Verdict::Whole && decoder.version() == version {
            self.last = Pair::of(version, &fields, block);
        }
        Ok((fields, verdict, Judged::default()))
    }

    /// The list that was decoded last is well-formed: if it is remembered, so is that.
    pub(super) const fn judged(&mut self, judged: Judged) {
        self.judged = judged;
    }

    /// Gives up what is kept to be used again.
    pub(super) fn rest(&mut self) {
        self.scratch = Fields::new();
    }
}

/// The last request of ours, as it was judged.
#[derive(Default)]
pub(super) struct Asked {
    last: Option<(Fields, RequestNature)>,
}

impl Asked {
    /// Whether a request is well-formed.
    pub(super) fn judge(&mut self, fields: &Fields) -> Result<RequestNature, Violation> {
        if let Some((last, nature)) = &self.last
            && last == fields
        {
            return Ok(*nature);
        }
        let nature = judge_request(fields)?;
        let remembered = fields.is_short() && !fields.iter().any(|field| field.sensitive);
        self.last = remembered.then(|| (fields.clone(), nature));
        Ok(nature)
    }
}

/// The last head of ours.
#[derive(Default)]
pub(super) struct Sent {
    last: Option<Pair>,
}

impl Sent {
    /// Appends the block of a list.
    pub(super) fn encode(&mut self, encoder: &mut Encoder, fields: &Fields, out: &mut Vec<u8>) {
        let version = encoder.version();
        if let Some(last) = &self.last
            && last.version == version
            && last.fields == *fields
        {
            return out.extend_from_slice(last.block());
        }
        let start = out.len();
        encoder.encode(fields, out);
        if encoder.version() == version {
            self.last = out.get(start..).and_then(|block| Pair::of(version, fields, block));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().copied().collect()
    }

    /// Both ends remember, and a decoder that does not follows them.
    #[test]
    fn lists_that_come_again_are_the_same_whatever_comes_between() {
        let long = "x".repeat(100);
        let lists = [
            list(&[(":method", "CONNECT"), (":authority", "a.example:80")]),
            list(&[(":method", "CONNECT"), (":authority", "b.example:80")]),
            list(&[(":status", "200")]),
            list(&[(":status", "200"), ("server", &long)]),
            list(&[(":method", "GET"), (":path", "/a"), ("cookie", "b")]),
        ];
        let (mut encoder, mut sent) = (Encoder::new(400), Sent::default());
        let (mut decoder, mut received) = (Decoder::new(4096), Received::default());
        let mut plain = Decoder::new(4096);
        for step in 0..2000_usize {
            let fields = &lists[(step / 3 + step * step / 7) % lists.len()];
            if step % 31 == 7 {
                encoder.set_max_table_size(if step % 2 == 0 { 4096 } else { 100 });
            }
            let mut block = Vec::new();
            sent.encode(&mut encoder, fields, &mut block);
            let (taken, verdict, _) = received.decode(&mut decoder, &block, &Limits::default()).unwrap();
            assert_eq!((&taken, verdict), (fields, Verdict::Whole), "step {step}");
            let mut out = Fields::new();
            assert_eq!(plain.decode(&block, &Limits::default(), &mut out), Ok(Verdict::Whole));
            assert_eq!(&out, fields);
        }
    }

    #[test]
    fn what_is_sensitive_or_long_is_not_remembered() {
        let mut secret = list(&[(":status", "200")]);
        secret.push_sensitive(b"authorization", b"x");
        let mut long = list(&[(":status", "200")]);
        for _ in 0..5 {
            long.push(b":status", b"204");
        }
        for fields in [secret, long] {
            let (mut encoder, mut sent) = (Encoder::new(4096), Sent::default());
            let (mut decoder, mut received) = (Decoder::new(4096), Received::default());
            for _ in 0..3 {
                let mut block = Vec::new();
                sent.encode(&mut encoder, &fields, &mut block);
                let (taken, ..) = received.decode(&mut decoder, &block, &Limits::default()).unwrap();
                assert_eq!(taken, fields);
            }
            assert!(sent.last.is_none() && received.last.is_none());
        }
    }

    #[test]
    fn a_request_is_judged_as_if_none_had_been_before() {
        let lists = [
            list(&[(":method", "CONNECT"), (":authority", "a:1")]),
            list(&[(":method", "CONNECT"), (":authority", "a@1")]),
            list(&[(":method", "CONNECT")]),
            list(&[(":method", "HEAD"), (":scheme", "http"), (":path", "/")]),
        ];
        let mut asked = Asked::default();
        for step in 0..100_usize {
            let fields = &lists[(step / 2 + step * step / 5) % lists.len()];
            assert_eq!(asked.judge(fields), judge_request(fields), "step {step}");
        }
    }

    #[test]
    fn a_list_is_remembered_with_its_judgement() {
        let fields = list(&[(":status", "200")]);
        let (mut encoder, mut sent) = (Encoder::new(4096), Sent::default());
        let (mut decoder, mut received) = (Decoder::new(4096), Received::default());
        let nature = super::super::judge::judge_response(&fields).unwrap();
        for round in 0..3 {
            let mut block = Vec::new();
            sent.encode(&mut encoder, &fields, &mut block);
            let (_, _, judged) = received.decode(&mut decoder, &block, &Limits::default()).unwrap();
            assert_eq!(judged.response, (round > 0).then_some(nature));
            assert_eq!(judged.request, None);
            received.judged(Judged { response: Some(nature), request: None });
        }
        // One that is not remembered comes between: its judgement is not that of the other.
        let mut secret = list(&[(":status", "204")]);
        secret.push_sensitive(b"authorization", b"x");
        for fields in [&secret, &fields, &fields] {
            let mut block = Vec::new();
            sent.encode(&mut encoder, fields, &mut block);
            let (_, _, judged) = received.decode(&mut decoder, &block, &Limits::default()).unwrap();
            assert!(judged.response.is_none_or(|judged| judged == nature));
            let nature = super::super::judge::judge_response(fields).unwrap();
            received.judged(Judged { response: Some(nature), request: None });
        }
    }
}
