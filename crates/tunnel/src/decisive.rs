//! The fields of a request by which somebody on its way may decide, which therefore stand there once or not at all.
//!
//! Asked by the inbound side before anything else. Reads no values.

use hbone_conn::Request;

/// The first of these fields that a request has twice.
pub(crate) fn repeated(request: &Request) -> Option<&'static str> {
    let count = |name: &str| request.fields().iter().filter(|field| field.name == name.as_bytes()).count();
    DECISIVE.into_iter().find(|name| count(name) > 1)
}

const DECISIVE: [&str; 6] =
    ["host", "authorization", "x-tun", "x-service", "x-forwarded-network", "x-istio-source"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t11_a_field_that_decides_may_stand_once_only_and_others_as_often_as_they_like() {
        for name in DECISIVE {
            let mut request = Request::connect("10.0.0.1:80");
            request.push(name, "a");
            request.push("baggage", "a=b");
            request.push("baggage", "a=b");
            assert_eq!(repeated(&request), None, "{name}");
            request.push(name, "a");
            assert_eq!(repeated(&request), Some(name));
        }
    }
}
