//! Section 8: messages, fields, control data, CONNECT, in both directions.

use hbone_frame::ErrorCode;

use super::frames::*;
use super::script::Script;
use crate::proto::{Event, Misuse, OpenError, Read, Request, Response, StreamError, Violation};

const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;

/// A request with these fields never reaches the application of a server, and costs its stream only.
#[track_caller]
fn request_is_malformed(fields: &[(&str, &str)]) {
    let mut script = Script::server();
    script.send(head(1, fields, true)).expect(rst(1, PROTOCOL_ERROR)).expect_nothing();
    assert!(!script.has_incoming(), "{fields:?}");
    script.expect_alive();
}

/// A response with these fields never reaches the application of a client, and costs its stream only.
#[track_caller]
fn response_is_malformed(fields: &[(&str, &str)]) {
    for end in [false, true] {
        let mut script = Script::client();
        let key = script.ask(Request::new("GET", "https", "a.example", "/"), true);
        script.skip().send(head(1, fields, end)).expect(rst(1, PROTOCOL_ERROR)).expect_nothing();
        assert_eq!(script.status(), None, "{fields:?}");
        assert!(matches!(script.read(key).1, Err(StreamError::Protocol(_))));
        script.expect_alive();
    }
}

/// Trailers with these fields are no end, on both roles.
#[track_caller]
fn trailers_are_malformed(fields: &[(&str, &str)]) {
    let mut script = Script::server();
    let key = script.send(head(1, GET, false)).incoming();
    script.send(head(1, fields, true)).expect(rst(1, PROTOCOL_ERROR)).expect_alive();
    assert!(matches!(script.read(key).1, Err(StreamError::Protocol(_))), "{fields:?}");
    let mut script = Script::client();
    let key = script.ask(Request::new("GET", "https", "a.example", "/"), true);
    script.skip().send(response(1, 200, false)).send(head(1, fields, true)).expect(rst(1, PROTOCOL_ERROR));
    assert!(matches!(script.read(key).1, Err(StreamError::Protocol(_))), "{fields:?}");
}

const OK: (&str, &str) = (":status", "200");

#[test]
fn rfc9113_8_1_1_malformed_responses_never_reach_the_application() {
    response_is_malformed(&[]);
    response_is_malformed(&[("a", "b")]);
    response_is_malformed(&[OK, OK]);
    response_is_malformed(&[("a", "b"), OK]);
    response_is_malformed(&[OK, (":path", "/")]);
    response_is_malformed(&[OK, (":weird", "1")]);
    response_is_malformed(&[(":status", "2OO")]);
    response_is_malformed(&[OK, ("Upper", "b")]);
    response_is_malformed(&[OK, ("a", "b\nc")]);
    response_is_malformed(&[OK, ("transfer-encoding", "chunked")]);
}

#[test]
fn rfc9113_8_1_1_malformed_requests_are_errors_of_their_stream() {
    request_is_malformed(&[GET, &[("content-length", "5")]].concat());
    request_is_malformed(&[GET, &[("content-length", "-1")]].concat());
    request_is_malformed(&GET[1..]);
}

#[test]
fn rfc9113_8_2_names_that_we_send_are_lower_case() {
    let mut script = Script::client();
    let mut request = Request::new("GET", "https", "a.example", "/");
    request.push("X-Upper", "v");
    let misuse = OpenError::Invalid(Misuse::Head(Violation::FieldOctets));
    assert_eq!(script.engine.open(&mut Some(request), true), Err(misuse));
    let mut script = Script::server();
    let key = script.send(headers(1)).incoming();
    let mut response = Response::new(200);
    response.push("Via", "v");
    assert!(script.engine.respond(key, response, false).is_err());
    script.expect_nothing();
}

#[test]
fn rfc9113_8_2_1_forbidden_octets_are_refused_in_trailers_too() {
    for field in
        [("Upper", "v"), ("a b", "v"), ("a", "v\0"), ("a", " v"), ("a", "v\t"), ("a:b", "v"), ("", "v")]
    {
        trailers_are_malformed(&[field]);
    }
}

#[test]
fn rfc9113_8_2_2_connection_fields_are_malformed_in_every_section() {
    for name in ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"] {
        request_is_malformed(&[GET, &[(name, "x")]].concat());
        response_is_malformed(&[OK, (name, "x")]);
        trailers_are_malformed(&[(name, "x")]);
    }
    request_is_malformed(&[GET, &[("te", "trailers, gzip")]].concat());
}

#[test]
fn rfc9113_8_2_2_connection_fields_are_not_sent() {
    for (name, value) in [("connection", "close"), ("upgrade", "x"), ("te", "gzip"), ("keep-alive", "5")] {
        let mut request = Request::connect("10.0.0.1:80");
        request.push(name, value);
        let misuse = OpenError::Invalid(Misuse::Head(Violation::ConnectionField));
        assert_eq!(Script::client().engine.open(&mut Some(request), true), Err(misuse));
        let mut script = Script::server();
        let key = script.send(headers(1)).incoming();
        let mut response = Response::new(200);
        response.push(name, value);
        assert!(script.engine.respond(key, response, false).is_err());
        script.expect_nothing();
    }
}

#[test]
fn rfc9113_8_2_3_cookie_crumbs_reach_the_application_one_by_one() {
    let mut script = Script::server();
    script.send(head(1, &[GET, &[("cookie", "a=b"), ("cookie", "c=d")]].concat(), true));
    let crumbs = script.pick(|event| match event {
        Event::Incoming { request, .. } => {
            Some(request.fields().iter().filter(|field| field.name == b"cookie").count())
        }
        _ => None,
    });
    assert_eq!(crumbs, Some(2), "whoever leaves HTTP/2 with them joins them");
}

#[test]
fn rfc9113_8_3_pseudo_fields_that_we_send_are_defined_single_first_and_of_their_message() {
    for (name, value) in [(":weird", "1"), (":status", "200"), (":authority", "b:2"), (":path", "/")] {
        let mut request = Request::connect("10.0.0.1:80");
        request.push(name, value);
        let misuse = OpenError::Invalid(Misuse::Head(Violation::PseudoField));
        assert_eq!(Script::client().engine.open(&mut Some(request), true), Err(misuse), "{name}");
        let mut script = Script::server();
        let key = script.send(headers(1)).incoming();
        let mut response = Response::new(200);
        response.push(name, value);
        assert!(script.engine.respond(key, response, false).is_err(), "{name}");
    }
    let mut late = Request::connect("10.0.0.1:80");
    late.push("a", "b");
    late.push(":protocol", "x");
    assert!(Script::client().engine.open(&mut Some(late), true).is_err());
}

#[test]
fn rfc9113_8_3_1_host_and_authority_are_compared_as_their_scheme_means_them() {
    let ask = |scheme: &str, authority: &str, host: &str| {
        let mut script = Script::server();
        let fields = [
            (":method", "GET"),
            (":scheme", scheme),
            (":authority", authority),
            (":path", "/"),
            ("host", host),
        ];
        script.send(head(1, &fields, true)).has_incoming()
    };
    assert!(ask("https", "a.example", "a.example:443"));
    assert!(ask("https", "a.example:443", "A.EXAMPLE"));
    assert!(ask("http", "a.example:", "a.example:80"));
    assert!(ask("http", "[2001:db8::80]", "[2001:db8::80]:80"));
    assert!(!ask("http", "a.example", "a.example:443"));
    assert!(!ask("https", "a.example:80", "a.example"));
    assert!(!ask("https", "a.example", "b.example"));
    assert!(!ask("other", "a.example:80", "a.example"), "no port is known of that scheme");
}

#[test]
fn rfc9113_8_3_1_authority_alone_says_where_a_request_goes() {
    let mut script = Script::server();
    script.send(head(1, &[GET, &[("host", "A.example")]].concat(), true));
    let authority = script.pick(|event| match event {
        Event::Incoming { request, .. } => request.authority().map(<[u8]>::to_vec),
        _ => None,
    });
    assert_eq!(authority.as_deref(), Some(&b"a.example"[..]));
}

#[test]
fn rfc9113_8_3_2_every_response_that_we_send_has_one_status() {
    let mut script = Script::server();
    let key = script.send(headers(1)).incoming();
    script.engine.respond(key, Response::new(103), false).unwrap();
    script.engine.respond(key, Response::new(204), true).unwrap();
    script.expect(response(1, 103, false)).expect(response(1, 204, true)).expect_nothing();
}

#[test]
fn rfc9113_8_5_only_data_and_stream_management_pass_an_open_tunnel() {
    for (mut script, key) in super::tunnels() {
        script.send(data(1, 1)).send(update(1, 1)).send(priority(1, 0)).expect_nothing();
        assert_eq!(script.read(key), (1, Ok(Read::Pending)));
        script.send(head(1, &[("a", "b")], true)).expect(rst(1, PROTOCOL_ERROR)).expect_alive();
    }
}

#[test]
fn rfc9113_8_5_the_end_of_one_direction_leaves_the_other_open() {
    for (mut script, key) in super::tunnels() {
        script.send(last_data(1, 3)).expect_nothing();
        assert_eq!(script.read(key), (3, Ok(Read::End)));
        script.engine.write(key, "on".into()).unwrap();
        script.expect(data(1, 2));
        script.engine.finish(key).unwrap();
        script.expect(last_data(1, 0)).expect_nothing();
    }
}

#[test]
fn rfc9113_8_6_101_is_neither_sent_nor_taken() {
    let mut script = Script::server();
    let key = script.send(head(1, GET, true)).incoming();
    assert!(script.engine.respond(key, Response::new(101), false).is_err());
    script.expect_nothing();
    script.engine.respond(key, Response::new(200), true).unwrap();
    script.expect(response(1, 200, true));
    response_is_malformed(&[(":status", "101")]);
}

#[test]
fn rfc9113_8_7_what_the_application_has_seen_is_never_called_refused() {
    let mut script = Script::server();
    let key = script.send(headers(1)).incoming();
    script.engine.release(key);
    script.expect(rst(1, ErrorCode::CANCEL)).expect_nothing();
    let key = script.send(head(3, GET, false)).incoming();
    script.send(head(3, &[(":status", "200")], true)).expect(rst(3, PROTOCOL_ERROR));
    script.engine.release(key);
    script.engine.close(ErrorCode::NO_ERROR);
    script.expect(goaway(3, ErrorCode::NO_ERROR)).expect_nothing();
}
