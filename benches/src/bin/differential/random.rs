//! Random sequences of frames: legal ones by a small grammar, and one mutation in half of them.

use hbone_frame::ErrorCode;

use crate::cases::{GET, POST, data, head, priority, raw, rst, settings, update};

pub(crate) struct Sequence {
    pub(crate) octets: Vec<u8>,
    /// What was done to one frame.
    pub(crate) mutation: &'static str,
}

/// Xorshift: the same sequence for the same seed, everywhere.
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

pub(crate) fn sequence(seed: u64) -> Sequence {
    let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..8 {
        rng.below(2);
    }
    let mut frames = legal(&mut rng);
    let mutation = if seed.is_multiple_of(2) { mutate(&mut frames, &mut rng) } else { "legal" };
    Sequence { octets: frames.concat(), mutation }
}

/// Frames that any server takes.
fn legal(rng: &mut Rng) -> Vec<Vec<u8>> {
    let (mut frames, mut open, mut next) = (Vec::new(), Vec::new(), 1);
    for _ in 0..3 + rng.below(10) {
        let one = if open.is_empty() { 0 } else { open[rng.below(open.len())] };
        match rng.below(12) {
            0..=2 => {
                frames.push(head(next, GET, true));
                next += 2 * (1 + rng.below(2) as u32);
            }
            3..=4 => {
                frames.push(head(next, POST, false));
                open.push(next);
                next += 2;
            }
            5 => frames.push(settings(&[
                (4, rng.below(100_000) as u32),
                (0xaaaa, 7),
                (1, rng.below(9000) as u32),
            ])),
            6 => frames.push(update(0, 1 + rng.below(1000) as u32)),
            7 => frames.push(raw(0xb0 + rng.below(40) as u8, 0xff, rng.below(9) as u32, b"unknown")),
            8 => frames.push(priority(1 + 2 * rng.below(20) as u32, 0)),
            _ if one == 0 => frames.push(raw(0x6, 0, 0, &[rng.below(256) as u8; 8])),
            9 => {
                let padding = rng.below(6) as u8;
                let payload =
                    [&[padding][..], &vec![b'x'; rng.below(200)], &vec![0; usize::from(padding)]].concat();
                frames.push(raw(0x0, 0x8, one, &payload));
            }
            10 => {
                frames.push(data(one, rng.below(500), true));
                open.retain(|id| *id != one);
            }
            _ => {
                let last = if rng.below(2) == 0 {
                    rst(one, ErrorCode::CANCEL)
                } else {
                    head(one, &[("a", "b")], true)
                };
                frames.push(last);
                open.retain(|id| *id != one);
            }
        }
    }
    // Requests that stay open would be answered by some and awaited by others.
    frames.extend(open.into_iter().map(|id| data(id, 0, true)));
    frames
}

/// Breaks one frame, or the order.
fn mutate(frames: &mut Vec<Vec<u8>>, rng: &mut Rng) -> &'static str {
    let at = rng.below(frames.len());
    let kind = frames[at][3];
    match rng.below(8) {
        0 => {
            let bit = 1 << rng.below(8);
            frames[at][4] ^= bit;
            "a flag flipped"
        }
        1 => {
            frames[at][8] ^= 1 << rng.below(3);
            "a stream identifier changed"
        }
        2 => {
            frames[at][3] = rng.below(12) as u8;
            "a type changed"
        }
        3 => {
            let frame = frames[at].clone();
            frames.insert(at, frame);
            "a frame repeated"
        }
        4 => {
            frames.remove(at);
            "a frame left out"
        }
        5 if frames[at].len() > 9 && kind < 0xb0 => {
            let place = 9 + rng.below(frames[at].len() - 9);
            frames[at][place] ^= 1 << rng.below(8);
            "a bit of a payload flipped"
        }
        6 if frames[at].len() > 9 => {
            let cut = 1 + rng.below((frames[at].len() - 9).min(4));
            let length = frames[at].len() - cut;
            frames[at].truncate(length);
            let payload = (length - 9) as u32;
            frames[at][..3].copy_from_slice(&payload.to_be_bytes()[1..]);
            "a payload shortened"
        }
        _ => {
            let other = rng.below(frames.len());
            frames.swap(at, other);
            "two frames swapped"
        }
    }
}
