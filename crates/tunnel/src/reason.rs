//! Why a destination that a caller may reach was not reached: a field of the answer (RFC 9209) and back.
//!
//! Written by the inbound side beside 503, read by the outbound side, so that a client of a proxy hears "refused" and
//! not only "failed". What policy refuses has no reason: strangers learn nothing. Decides nothing.

use std::fmt;

use hbone_conn::Response;

/// What stopped the far node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The name does not resolve.
    Unresolvable,
    /// Nothing listens at the destination.
    Refused,
    /// No way leads to the destination's address.
    Unroutable,
    /// It did not answer in time.
    Timeout,
}

impl Reason {
    /// The field's name.
    pub(crate) const FIELD: &'static str = "proxy-status";

    /// The field's value.
    pub(crate) fn value(self) -> String {
        let (_, error) = TABLE.iter().find(|(reason, _)| *reason == self).unwrap_or(&TABLE[0]);
        format!("hbone; error={error}")
    }

    /// What an answer says, if it says anything that is known here.
    pub(crate) fn of(response: &Response) -> Option<Self> {
        Self::parse(str::from_utf8(response.field(Self::FIELD)?).ok()?)
    }

    /// RFC 9209 2: the first member is the one nearest to the destination.
    fn parse(value: &str) -> Option<Self> {
        let mut errors = value.split([',', ';']).filter_map(|part| part.trim().strip_prefix("error="));
        errors.find_map(|error| TABLE.iter().find(|(_, name)| *name == error)).map(|(reason, _)| *reason)
    }
}

/// RFC 9209 2.3.
const TABLE: [(Reason, &str); 6] = [
    (Reason::Unresolvable, "dns_error"),
    (Reason::Refused, "connection_refused"),
    (Reason::Unroutable, "destination_ip_unroutable"),
    (Reason::Timeout, "connection_timeout"),
    (Reason::Timeout, "dns_timeout"),
    (Reason::Unroutable, "destination_unavailable"),
];

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unresolvable => "its name does not resolve there; check its spelling",
            Self::Refused => "nothing listens at it; check that the service runs, and its port",
            Self::Unroutable => "the far node has no way to it; check the address",
            Self::Timeout => {
                "it did not answer in time; check the service behind the far node, and firewalls"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_read_back_and_what_is_unknown_is_none() {
        for (reason, _) in TABLE {
            assert_eq!(Reason::parse(&reason.value()), Some(reason));
        }
        let chain = "envoy; error=connection_timeout; details=\"x\", edge; error=connection_refused";
        assert_eq!(Reason::parse(chain), Some(Reason::Timeout));
        for odd in ["", "hbone", "hbone; error=", "hbone; error=tls_alert_received", "error = x"] {
            assert_eq!(Reason::parse(odd), None, "{odd}");
        }
    }
}
