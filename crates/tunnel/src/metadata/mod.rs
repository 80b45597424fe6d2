//! What nodes tell each other of a tunnel, for telemetry only: `baggage`, `forwarded`, `traceparent`.
//!
//! Written by both sides, read by the inbound side for its records and for what a gateway sends on. Pure and bounded;
//! nothing of it decides anything.

pub(crate) mod baggage;
pub(crate) mod forwarded;
pub(crate) mod strangers;
pub(crate) mod traceparent;

use hbone_conn::Request;

use crate::escape::Escaped;
use traceparent::Traceparent;

/// What a caller told, as a record shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Members of baggage, escaped.
    pub(crate) baggage: Option<Box<str>>,
    /// The client of the caller, escaped.
    pub(crate) forwarded: Option<Box<str>>,
    /// The trace that the tunnel is part of.
    pub(crate) trace: Option<Traceparent>,
}

impl Told {
    /// Reads a request; none when it tells nothing.
    pub(crate) fn of(request: &Request) -> Option<Box<Self>> {
        let escaped = |text: String| Escaped::new(text.as_bytes()).to_string().into_boxed_str();
        let told = Self {
            baggage: baggage::read(lines(request, BAGGAGE)).map(escaped),
            forwarded: lines(request, FORWARDED)
                .next()
                .map(|value| Escaped::new(value).to_string().into_boxed_str()),
            trace: trace(request),
        };
        (told != Self::default()).then(|| Box::new(told))
    }
}

/// What is told to the next node of a tunnel that is sent on: what a caller with an identity has told, in order and
/// within bounds, and nothing of a stranger. `tracing` makes a trace where there is none.
pub(crate) fn onward(request: &Request, known: bool, tracing: bool) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    let trace = if known { trace(request) } else { None };
    if known {
        let forwarded = lines(request, FORWARDED).filter_map(|value| str::from_utf8(value).ok());
        told.extend(
            forwarded.filter(|text| text.len() <= LONGEST).take(MOST).map(|text| (FORWARDED, text.into())),
        );
        told.extend(baggage::read(lines(request, BAGGAGE)).map(|text| (BAGGAGE, text)));
    }
    let trace = trace.map(Traceparent::child).or_else(|| tracing.then(Traceparent::fresh));
    told.extend(trace.map(|trace| (TRACEPARENT, trace.to_string())));
    told
}

/// The trace of a request: none that is malformed, and none of two.
fn trace(request: &Request) -> Option<Traceparent> {
    let mut values = lines(request, TRACEPARENT);
    let first = values.next()?;
    if values.next().is_some() { None } else { Traceparent::parse(first) }
}

fn lines<'a>(request: &'a Request, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    request.fields().iter().filter(move |field| field.name == name.as_bytes()).map(|field| field.value)
}

pub(crate) const BAGGAGE: &str = "baggage";
pub(crate) const FORWARDED: &str = "forwarded";
pub(crate) const TRACEPARENT: &str = "traceparent";
/// Octets of one value of `forwarded`.
const LONGEST: usize = 4096;
/// Lines of `forwarded`.
const MOST: usize = 4;

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

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn t23_what_a_stranger_tells_goes_no_further() {
        let fields = [("baggage", "a=b"), ("forwarded", "for=\"10.0.0.9:1\""), ("traceparent", TRACE)];
        assert_eq!(onward(&request(&fields), false, false), []);
        let fresh = onward(&request(&fields), false, true);
        assert!(fresh.len() == 1 && !fresh[0].1.contains("0af7651916cd43dd8448eb211c80319c"), "{fresh:?}");
    }

    #[test]
    fn what_a_known_caller_tells_goes_on_in_its_own_trace_and_nothing_else_does() {
        let long = "x".repeat(LONGEST + 1);
        let fields = [
            ("forwarded", "for=\"10.0.0.9:1\""),
            ("forwarded", &long),
            ("cookie", "secret"),
            ("baggage", "a=b,empty="),
            ("baggage", "c=d"),
            ("traceparent", TRACE),
        ];
        let told = onward(&request(&fields), true, false);
        assert_eq!(told[0], ("forwarded", "for=\"10.0.0.9:1\"".to_owned()));
        assert_eq!(told[1], ("baggage", "a=b,c=d".to_owned()));
        let (name, trace) = &told[2];
        assert_eq!((*name, &trace[..36], &trace[52..]), ("traceparent", &TRACE[..36], &TRACE[52..]));
        assert_ne!(trace[36..52], TRACE[36..52], "the parent is this node now");
        assert_eq!(told.len(), 3);
        let twice = onward(&request(&[("traceparent", TRACE), ("traceparent", TRACE)]), true, false);
        assert_eq!(twice, [], "of two traces none is meant");
    }

    #[test]
    fn t24_what_is_told_is_one_line_of_at_most_256_octets_a_value() {
        // What no field may carry never comes so far; the rest is escaped.
        let fields =
            [("baggage", "k=\u{202e}x\u{2028}y"), ("forwarded", "for=\u{feff}"), ("traceparent", "odd")];
        let told = Told::of(&request(&fields)).unwrap();
        assert_eq!(told.baggage, None, "no octet beyond ASCII in baggage");
        assert_eq!(told.forwarded.as_deref(), Some(r"for=\u{feff}"));
        assert_eq!(told.trace, None);
        let long = format!("k={}", "v".repeat(4000));
        let told = Told::of(&request(&[("baggage", &long), ("forwarded", &long)])).unwrap();
        assert!(told.baggage.unwrap().len() <= 256 && told.forwarded.unwrap().len() <= 256);
        assert_eq!(Told::of(&request(&[("cookie", "a")])), None);
    }
}
