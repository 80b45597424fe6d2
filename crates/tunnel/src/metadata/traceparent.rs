//! `traceparent` (W3C Trace Context): the trace that a tunnel is part of.
//!
//! Passed on with this node as the parent, or made where there is none and tracing is on. What is malformed is none.

use std::fmt;

use crate::chance::chance;

/// A trace, the part of it that asked for this tunnel, and what is wanted of it. Never all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traceparent {
    trace: u128,
    parent: u64,
    flags: u8,
}

impl Traceparent {
    /// `00-<32 digits>-<16 digits>-<2 digits>`, hexadecimal in lower case: 55 octets. Of a later version the same
    /// part counts, if nothing or a hyphen follows it.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (text, rest) = text.split_at_checked(LENGTH)?;
        let version = number(&text[..2])?;
        let known =
            if version == 0 { rest.is_empty() } else { rest.first().is_none_or(|octet| *octet == b'-') };
        let hyphens = [2, 35, 52].iter().all(|at| text[*at] == b'-');
        if version == 0xff || !known || !hyphens {
            return None;
        }
        let trace = number(&text[3..35])?;
        let parent = u64::try_from(number(&text[36..52])?).ok()?;
        let flags = u8::try_from(number(&text[53..])?).ok()?;
        (trace != 0 && parent != 0).then_some(Self { trace, parent, flags })
    }

    /// A trace that begins here.
    pub(crate) fn fresh() -> Self {
        let trace = (u128::from(chance()) << 64) | u128::from(chance());
        Self { trace: trace.max(1), parent: chance().max(1), flags: SAMPLED }
    }

    /// The same trace with this node as the parent.
    pub(crate) fn child(self) -> Self {
        Self { parent: chance().max(1), ..self }
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.parent, self.flags)
    }
}

fn number(digits: &[u8]) -> Option<u128> {
    let lower = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(str::from_utf8(digits).ok().filter(|_| lower)?, 16).ok()
}

const LENGTH: usize = 55;
const SAMPLED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_is_55_characters_and_goes_on_with_another_parent() {
        let trace = Traceparent::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(trace.to_string(), GOOD);
        let child = trace.child();
        assert_eq!((child.trace, child.flags), (trace.trace, trace.flags));
        assert_ne!(child.parent, trace.parent);
        let fresh = Traceparent::fresh();
        assert_eq!(fresh.to_string().len(), LENGTH);
        assert_eq!(Traceparent::parse(fresh.to_string().as_bytes()), Some(fresh));
        assert_ne!(fresh.trace, Traceparent::fresh().trace);
        let later = GOOD.replacen("00", "01", 1) + "-more";
        assert_eq!(Traceparent::parse(later.as_bytes()), Some(trace));
    }

    #[test]
    fn what_is_malformed_is_no_trace() {
        for odd in [
            "",
            &GOOD[1..],
            &GOOD.to_uppercase(),
            &format!("{GOOD}-x"),
            &format!("{GOOD} "),
            &GOOD.replacen("00", "ff", 1),
            &(GOOD.replacen("00", "01", 1) + "x"),
            &GOOD.replace('-', "_"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("0af7", "+af7"),
            &GOOD.replace("0af7", "gaf7"),
        ] {
            assert_eq!(Traceparent::parse(odd.as_bytes()), None, "{odd}");
        }
    }
}
