//! Fields with which only a node says where a request comes from. At the boundary they are taken off what strangers
//! send, and said anew from what is known (threat T23).
//!
//! Asked for each field by the web fronts and where a request is handed to a local handler. Pure; takes nothing off
//! itself.

/// Whether a field, in whatever case, claims a source or a way. What a workload behind us may read as the same name is
/// the same here: CGI and its heirs know no difference between `-` and `_` (RFC 3875 4.1.18).
pub(crate) fn claims_a_source(name: &[u8]) -> bool {
    let same = |octet: u8| if octet == b'_' { b'-' } else { octet.to_ascii_lowercase() };
    let is = |wanted: &&[u8]| wanted.len() == name.len() && begins(name, wanted, same);
    NAMES.iter().any(is) || PREFIXES.iter().any(|prefix| begins(name, prefix, same))
}

fn begins(name: &[u8], wanted: &[u8], same: impl Fn(u8) -> u8) -> bool {
    name.len() >= wanted.len() && name.iter().zip(wanted).all(|(octet, wanted)| same(*octet) == *wanted)
}

const PREFIXES: &[&[u8]] = &[b"x-forwarded-", b"hbone-"];
const NAMES: &[&[u8]] = &[
    b"forwarded",
    b"x-forwarded",
    b"forwarded-for",
    b"baggage",
    b"via",
    b"client-ip",
    b"x-client-ip",
    b"x-real-ip",
    b"x-remote-ip",
    b"x-remote-addr",
    b"x-originating-ip",
    b"x-original-forwarded-for",
    b"x-cluster-client-ip",
    b"x-envoy-external-address",
    b"x-istio-source",
    b"true-client-ip",
    b"cf-connecting-ip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t23_a_claim_is_one_in_every_spelling_that_a_workload_may_read_as_the_same() {
        for name in [
            "forwarded",
            "Forwarded",
            "x-forwarded-for",
            "x_forwarded_for",
            "X-Forwarded_Client-Cert",
            "hbone-source",
            "hbone_source",
            "hbone-anything",
            "x_real_ip",
            "via",
            "x-istio-source",
            "x_istio-source",
            "x-client-ip",
            "true_client_ip",
            "baggage",
        ] {
            assert!(claims_a_source(name.as_bytes()), "{name}");
        }
        for name in ["host", "accept", "x-forward", "forwarded-x", "viable", "hbone", "traceparent", ""] {
            assert!(!claims_a_source(name.as_bytes()), "{name}");
        }
    }
}
