//! What a gateway sends on: how many gateways a tunnel has passed, and what the next node is told of it.
//!
//! Called by the inbound side for tunnels that a route leads further. Pure. The count is the only field that decides
//! anything, and it can only refuse: gateways whose routes lead in a circle must not carry a tunnel round for ever.

use std::fmt;

use hbone_conn::Request;

use crate::metadata;

/// The field: gateways that a tunnel has passed, in decimal digits. Absent at the first.
pub(crate) const HOPS: &str = "hbone-hops";

/// Why a tunnel is not sent on, whatever the routes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HopFault {
    /// The count is no number, or stands there twice.
    Malformed,
    /// It has passed as many gateways as it may.
    TooMany {
        /// The limit.
        limit: u8,
    },
}

/// The fields for the next node: the count with this gateway, and what a caller with an identity said of itself.
pub(crate) fn told(
    request: &Request,
    known: bool,
    tracing: bool,
    limit: u8,
) -> Result<Vec<(&'static str, String)>, HopFault> {
    let passed = passed(request)?;
    if passed >= limit {
        return Err(HopFault::TooMany { limit });
    }
    let mut told = vec![(HOPS, (passed + 1).to_string())];
    told.extend(metadata::onward(request, known, tracing));
    Ok(told)
}

fn passed(request: &Request) -> Result<u8, HopFault> {
    let mut values = request.fields().iter().filter(|field| field.name == HOPS.as_bytes());
    let Some(first) = values.next() else { return Ok(0) };
    if values.next().is_some() {
        return Err(HopFault::Malformed);
    }
    let digits =
        std::str::from_utf8(first.value).ok().filter(|text| text.bytes().all(|it| it.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or(HopFault::Malformed)
}

impl fmt::Display for HopFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => {
                write!(f, "`{HOPS}` is no count of gateways; the caller is no node of this kind")
            }
            Self::TooMany { limit } => write!(
                f,
                "the tunnel has passed {limit} gateways; check the routes of all of them, they lead in a circle"
            ),
        }
    }
}

impl std::error::Error for HopFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Request {
        let mut request = Request::connect("10.0.0.1:80");
        for (name, value) in fields {
            request.push(name, value);
        }
        request
    }

    #[test]
    fn each_gateway_adds_one_and_the_last_refuses() {
        assert_eq!(told(&request(&[]), true, false, 8), Ok(vec![(HOPS, "1".to_owned())]));
        assert_eq!(told(&request(&[(HOPS, "7")]), true, false, 8), Ok(vec![(HOPS, "8".to_owned())]));
        for many in ["8", "9", "255"] {
            assert_eq!(told(&request(&[(HOPS, many)]), true, false, 8), Err(HopFault::TooMany { limit: 8 }));
        }
        assert_eq!(told(&request(&[]), true, false, 0), Err(HopFault::TooMany { limit: 0 }));
    }

    #[test]
    fn t11_a_count_that_is_none_or_stands_twice_is_malformed() {
        for odd in ["", "-1", "+1", "1 ", "256", "0x1", "1,1"] {
            assert_eq!(told(&request(&[(HOPS, odd)]), true, false, 8), Err(HopFault::Malformed), "{odd:?}");
        }
        assert_eq!(told(&request(&[(HOPS, "1"), (HOPS, "1")]), true, false, 8), Err(HopFault::Malformed));
    }
}
