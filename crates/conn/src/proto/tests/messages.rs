//! Heads on their way through the engine (RFC 9113 8): CONNECT, trailers, content-length, 1xx, 431.

use hbone_frame::{ErrorCode, SettingId, Side};

use super::frames::*;
use super::script::{Script, Seen, plain};
use crate::proto::{Config, Event, Misuse, OpenError, Read, Request, Response, StreamError, Violation};

const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;
const CALM: ErrorCode = ErrorCode::ENHANCE_YOUR_CALM;

/// A server answers a request that breaks a rule with a reset; its application does not see it.
#[track_caller]
fn refused(fields: &[(&str, &str)]) {
    let mut script = Script::server();
    script.send(head(1, fields, false)).expect(rst(1, PROTOCOL_ERROR)).expect_nothing();
    assert!(!script.has_incoming());
    assert_eq!((script.engine.active_streams(), script.engine.held_streams()), (0, 0));
    // The peer's frames that were under way are tolerated.
    script.send(data(1, 10)).expect_alive();
}

/// A client answers a response that breaks a rule with a reset.
#[track_caller]
fn response_refused(request: Request, frames: &[Vec<u8>], violation: Violation) {
    let mut script = Script::client();
    let key = script.ask(request, true);
    script.skip();
    for frame in frames {
        script.send(frame.clone());
    }
    script.expect(rst(1, violation.code())).expect_nothing();
    assert_eq!(script.read(key).1, Err(StreamError::Protocol(violation)));
}

fn a_get() -> Request {
    Request::new("GET", "https", "a.example", "/")
}

#[test]
fn rfc9113_8_5_connect_with_scheme_path_or_without_authority_is_refused() {
    refused(&[(":method", "CONNECT"), (":authority", "a:1"), (":scheme", "https")]);
    refused(&[(":method", "CONNECT"), (":authority", "a:1"), (":path", "/")]);
    refused(&[(":method", "CONNECT")]);
    refused(&[(":method", "CONNECT"), (":authority", "")]);
}

#[test]
fn rfc9113_8_5_connect_reaches_the_application_with_all_its_fields() {
    let mut script = Script::server();
    script.send(head(1, &[CONNECT, &[("x-a", "1")]].concat(), false));
    let found = script.pick(|event| match event {
        Event::Incoming { request, end, .. } => {
            Some((request.is_connect(), request.authority() == Some(b"10.0.0.1:80"), *end))
        }
        _ => None,
    });
    assert_eq!(found, Some((true, true, false)));
}

#[test]
fn rfc9113_8_3_malformed_requests_never_reach_the_application() {
    refused(&[GET, &[(":path", "/")]].concat());
    refused(&[GET, &[(":weird", "1")]].concat());
    refused(&[&[("a", "b")], GET].concat());
    refused(&GET[..3]);
    refused(&[GET, &[("Upper", "b")]].concat());
    refused(&[GET, &[("connection", "close")]].concat());
    refused(&[GET, &[("te", "gzip")]].concat());
    refused(&[GET, &[("host", "b.example")]].concat());
    refused(&[GET, &[("a", "b\r\nc: d")]].concat());
}

#[test]
fn rfc8441_3_protocol_is_refused_unless_it_was_announced() {
    let config = Config { enable_connect_protocol: false, ..plain() };
    let mut script = Script::with(Side::Server, config);
    script.send(head(1, WEBSOCKET, false)).expect(rst(1, PROTOCOL_ERROR));
    let mut script = Script::server();
    let key = script.send(head(1, WEBSOCKET, false)).incoming();
    // An extended CONNECT is no tunnel of RFC 9113 8.5: trailers may end it.
    script.send(trailers(1)).expect_nothing();
    assert_eq!(script.read(key), (0, Ok(Read::End)));
}

#[test]
fn rfc9113_8_3_1_open_refuses_what_must_not_be_sent_and_keeps_the_request() {
    let mut script = Script::client();
    let mut request = Some(Request::new("GET", "https", "a.example", "no-slash"));
    let misuse = OpenError::Invalid(Misuse::Head(Violation::PseudoValue));
    assert_eq!(script.engine.open(&mut request, true), Err(misuse));
    assert!(request.is_some());
    let mut request = Some(Request::connect("user@a.example:80"));
    let misuse = OpenError::Invalid(Misuse::Head(Violation::Authority));
    assert_eq!(script.engine.open(&mut request, true), Err(misuse));
    assert_eq!(Script::server().engine.open(&mut request, true), Err(OpenError::Role));
    script.expect_nothing();
    assert_eq!(script.ask(a_get(), true).id().get(), 1, "no identifier was spent");
}

#[test]
fn rfc9113_4_3_refused_blocks_are_still_decoded() {
    // 0x40: a literal that enters the table; 0xbe: the newest entry of the dynamic table.
    let insert = [&[0x40][..], &block(&[("x-key", "value")])[1..]].concat();
    let connect = block(CONNECT);
    let config = Config { max_concurrent_streams: 1, ..plain() };
    let mut script = Script::with(Side::Server, config);
    script.tunnel(1);
    let whole = |stream, fragment: &[u8]| raw(0x1, 0x4, stream, fragment);
    script.send(whole(3, &[&connect[..], &insert].concat())).expect(rst(3, ErrorCode::REFUSED_STREAM));
    script.send(rst(1, ErrorCode::CANCEL));
    script.send(whole(5, &[&connect[..], &[0xbe]].concat()));
    let found = script.pick(|event| match event {
        Event::Incoming { request, .. } if request.field("x-key").is_some() => {
            request.field("x-key").map(<[u8]>::to_vec)
        }
        _ => None,
    });
    assert_eq!(found.as_deref(), Some(&b"value"[..]));
}

#[test]
fn rfc9113_8_1_trailers_end_the_receiving_half_on_both_roles() {
    let mut script = Script::server();
    let key = script.send(head(1, GET, false)).send(data(1, 4)).incoming();
    script.send(trailers(1)).expect_nothing();
    assert_eq!(script.read(key), (4, Ok(Read::End)));
    let mut script = Script::client();
    let key = script.ask(a_get(), true);
    script.skip().send(response(1, 200, false)).send(data(1, 9));
    assert_eq!(script.read(key), (9, Ok(Read::Pending)));
    script.send(trailers(1)).expect_nothing();
    assert!(script.readable(key));
    assert_eq!(script.read(key), (0, Ok(Read::End)));
}

#[test]
fn rfc9113_8_1_trailers_without_end_stream_with_pseudo_fields_or_wrong_octets_reset_the_stream() {
    let cases = [
        (head(1, &[("a", "b")], false), Violation::TrailersWithoutEnd),
        (head(1, &[(":path", "/")], true), Violation::PseudoInTrailers),
        (head(1, &[("A", "b")], true), Violation::FieldOctets),
        (head(1, &[("connection", "close")], true), Violation::ConnectionField),
    ];
    for (frame, violation) in cases {
        let mut script = Script::server();
        let key = script.send(head(1, GET, false)).incoming();
        script.send(frame).expect(rst(1, PROTOCOL_ERROR)).expect_nothing();
        assert_eq!(script.read(key), (0, Err(StreamError::Protocol(violation))));
    }
}

#[test]
fn h66_headers_on_an_open_tunnel_reset_it_on_both_roles() {
    for mut script in [Script::server(), Script::client()] {
        let key = script.tunnel(1);
        script.send(data(1, 8)).send(trailers(1)).expect(rst(1, PROTOCOL_ERROR)).expect_nothing();
        assert_eq!(script.read(key), (0, Err(StreamError::Protocol(Violation::HeadersOnTunnel))));
    }
}

#[test]
fn h66_a_refused_connect_is_no_tunnel_and_may_have_trailers() {
    let mut script = Script::client();
    let key = script.open();
    script.send(response(1, 403, false)).send(data(1, 5)).send(trailers(1)).expect_nothing();
    assert_eq!(script.read(key), (5, Ok(Read::End)));
}

#[test]
fn rfc9113_8_1_1_content_length_of_a_request_must_match() {
    let post = |length: &str, end| head(1, &[GET, &[("content-length", length)]].concat(), end);
    let reset = || rst(1, PROTOCOL_ERROR);
    Script::server().send(post("5", false)).send(data(1, 6)).expect(reset());
    Script::server().send(post("5", false)).send(last_data(1, 4)).expect(reset());
    Script::server().send(post("5", false)).send(data(1, 4)).send(trailers(1)).expect(reset());
    Script::server().send(post("5", true)).expect(reset());
    Script::server().send(post("five", false)).expect(reset());
    Script::server().send(post("", false)).expect(reset());
    Script::server().send(post("99999999999999999999999", false)).expect(reset());
    let twice = [GET, &[("content-length", "5"), ("content-length", "6")]].concat();
    Script::server().send(head(1, &twice, false)).expect(reset());
    let mut script = Script::server();
    let key = script.send(post("5", false)).send(data(1, 2)).send(last_data(1, 3)).incoming();
    assert_eq!(script.read(key), (5, Ok(Read::End)));
    let mut script = Script::server();
    let key = script.send(post("0", true)).incoming();
    assert_eq!(script.read(key), (0, Ok(Read::End)));
}

#[test]
fn rfc9113_8_1_1_content_length_of_a_response_must_match() {
    let of = |length: &str| head(1, &[(":status", "200"), ("content-length", length)], false);
    let wrong = Violation::ContentLength;
    response_refused(a_get(), &[of("3"), data(1, 4)], wrong);
    response_refused(a_get(), &[of("3"), last_data(1, 2)], wrong);
    response_refused(a_get(), &[of("x")], wrong);
    response_refused(a_get(), &[head(1, &[(":status", "200"), ("content-length", "3")], true)], wrong);
}

#[test]
fn rfc9110_head_204_and_304_have_no_content_whatever_content_length_says() {
    let head_request = || Request::new("HEAD", "https", "a.example", "/");
    let with_length = |status| head(1, &[(":status", status), ("content-length", "7")], true);
    for (request, status) in [(head_request(), "200"), (a_get(), "304"), (a_get(), "204")] {
        let mut script = Script::client();
        let key = script.ask(request, true);
        script.skip().send(with_length(status)).expect_nothing();
        assert_eq!(script.read(key), (0, Ok(Read::End)));
    }
    let open = head(1, &[(":status", "200"), ("content-length", "7")], false);
    response_refused(head_request(), &[open, data(1, 7)], Violation::ContentLength);
}

#[test]
fn h67_content_length_and_204_on_connect_are_still_a_tunnel() {
    for fields in [&[(":status", "204")][..], &[(":status", "200"), ("content-length", "3")]] {
        let mut script = Script::client();
        let key = script.open();
        script.send(head(1, fields, false)).send(data(1, 1000)).send(last_data(1, 1)).expect_nothing();
        assert_eq!(script.read(key), (1001, Ok(Read::End)));
    }
    let mut script = Script::server();
    let connect = [CONNECT, &[("content-length", "3")]].concat();
    let key = script.send(head(1, &connect, false)).send(data(1, 50)).incoming();
    assert_eq!(script.read(key), (50, Ok(Read::Pending)));
}

#[test]
fn h65_data_before_the_answer_is_held_within_the_window_and_dropped_by_a_refusal() {
    let mut script = Script::server();
    let key = script.send(headers(1)).send(data(1, 32_000)).incoming();
    assert_eq!(script.engine.unread(key), 32_000);
    script.engine.respond(key, Response::new(503), true).unwrap();
    script.engine.release(key);
    script.expect(response(1, 503, true)).expect(rst(1, ErrorCode::CANCEL)).expect_nothing();
    assert_eq!(script.engine.held_streams(), 0);
    script.send(data(1, 30_000)).expect(update(0, 62_000)).expect_alive();
}

#[test]
fn h63_informational_responses_are_dropped_and_sixteen_are_too_many_plus_one() {
    let mut script = Script::client();
    let key = script.open();
    for _ in 0..16 {
        script.send(response(1, 103, false)).expect_nothing();
    }
    script.send(response(1, 200, false));
    assert_eq!(script.status(), Some(200));
    assert_eq!(script.read(key), (0, Ok(Read::Pending)));
    let mut flood = vec![response(1, 100, false); 17];
    flood.push(data(1, 1));
    response_refused(a_get(), &flood, Violation::Informational);
}

#[test]
fn rfc9113_8_1_informational_responses_with_end_stream_or_101_reset_the_stream() {
    response_refused(a_get(), &[response(1, 100, true)], Violation::Informational);
    response_refused(a_get(), &[response(1, 101, false)], Violation::Informational);
}

#[test]
fn rfc9113_8_3_2_a_response_without_one_status_is_refused() {
    response_refused(a_get(), &[head(1, &[("a", "b")], false)], Violation::PseudoField);
    let twice = head(1, &[(":status", "200"), (":status", "200")], false);
    response_refused(a_get(), &[twice], Violation::PseudoField);
    response_refused(a_get(), &[head(1, &[(":status", "20")], false)], Violation::PseudoValue);
    response_refused(
        a_get(),
        &[head(1, &[(":status", "200"), (":path", "/")], false)],
        Violation::PseudoField,
    );
}

#[test]
fn rfc9113_8_1_respond_sends_informational_heads_before_the_final_one_and_nothing_after_it() {
    let mut script = Script::server();
    let key = script.send(get(1)).incoming();
    script.engine.respond(key, Response::new(103), false).unwrap();
    assert_eq!(script.engine.respond(key, Response::new(103), true), Err(StreamError::Finished));
    script.engine.write(key, "body".into()).unwrap();
    script.expect(response(1, 103, false)).expect_nothing();
    script.engine.respond(key, Response::new(200), false).unwrap();
    assert_eq!(script.engine.respond(key, Response::new(200), false), Err(StreamError::Finished));
    script.expect(response(1, 200, false)).expect(data(1, 4)).expect_nothing();
}

#[test]
fn rfc9113_10_5_1_a_request_list_over_the_limit_is_answered_with_431() {
    let long = "x".repeat(9000);
    let fields = [GET, &[("a", &long), ("b", &long), ("c", &long), ("d", &long)]].concat();
    let mut script = Script::server();
    let refusal = || head(1, &[(":status", "431")], true);
    script.send(head(1, &fields, true)).expect(refusal()).expect_nothing();
    assert!(!script.has_incoming());
    let mut script = Script::server();
    script.send(head(1, &fields, false)).expect(refusal()).expect(rst(1, ErrorCode::NO_ERROR));
    script.send(data(1, 100)).expect_alive();
    script.send(get(3)).incoming();
}

#[test]
fn h14_a_request_of_101_fields_is_answered_with_431() {
    let fields = [GET, &[("a", "b"); 97]].concat();
    let mut script = Script::server();
    script.send(head(1, &fields, true)).expect(head(1, &[(":status", "431")], true)).expect_alive();
    script.send(head(3, &fields[1..], true)).expect(rst(3, PROTOCOL_ERROR));
}

#[test]
fn rfc9113_10_5_1_a_response_list_or_trailers_over_the_limit_reset_the_stream() {
    let long = "x".repeat(9000);
    let many: Vec<_> = ["a", "b", "c", "d"].iter().map(|name| (*name, long.as_str())).collect();
    let fields = [&[(":status", "200")][..], &many].concat();
    response_refused(a_get(), &[head(1, &fields, true)], Violation::HeaderListTooLarge);
    let trailers = [response(1, 200, false), head(1, &many, true)];
    response_refused(a_get(), &trailers, Violation::HeaderListTooLarge);
    assert_eq!(Violation::HeaderListTooLarge.code(), CALM);
}

#[test]
fn rfc9113_6_2_header_blocks_longer_than_the_peers_frames_are_continued() {
    let mut script = Script::client();
    let mut request = a_get();
    for name in ["a", "b", "c"] {
        request.push(name, &"v".repeat(12_000));
    }
    // The harness decodes HEADERS and CONTINUATION as one.
    script.send(settings(&[(SettingId::MAX_FRAME_SIZE, 16_384)])).skip();
    script.ask(request.clone(), true);
    let fields: Vec<_> = request
        .fields()
        .iter()
        .map(|field| (str::from_utf8(field.name).unwrap(), str::from_utf8(field.value).unwrap()))
        .collect();
    script.expect(head(1, &fields, true)).expect_nothing();
}

#[test]
fn octets_that_were_written_before_an_answer_that_finishes_leave_behind_it() {
    let mut script = Script::server();
    script.send(get(1));
    let key = script.incoming();
    script.skip();
    script.engine.write(key, "early".into()).unwrap();
    script.engine.respond(key, Response::new(200), true).unwrap();
    script.engine.release(key);
    script.flush();
    assert!(matches!(
        script.take()[..],
        [Seen::Headers { end: false, .. }, Seen::Data { octets: 5, end: true, .. }]
    ));
}
