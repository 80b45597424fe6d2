//! SETTINGS (RFC 9113 3.4, 6.5): first, in order, acknowledged, in time; what each value does.

use std::time::Duration;

use hbone_frame::{ErrorCode, Frame, Malformed, PREFACE, SettingId, Side};

use super::frames::*;
use super::script::{Script, Seen, plain};
use crate::proto::{Config, ConnectionError, Event, Flood, OpenError, Request, Timeout, Violation};

const SECOND: Duration = Duration::from_secs(1);

/// The values that the engine announces.
fn announced(side: Side, config: Config) -> Vec<(SettingId, u32)> {
    let mut script = Script::strangers(side, config);
    let seen = script.take();
    let Some(Seen::Other(Frame::Settings(settings))) = seen.first() else { panic!("{seen:?}") };
    settings.iter().collect()
}

#[test]
fn rfc9113_3_4_settings_are_the_first_frame_that_we_send() {
    for side in [Side::Client, Side::Server] {
        let values = announced(side, Config::default());
        assert!(values.contains(&(SettingId::MAX_CONCURRENT_STREAMS, 256)));
        assert!(values.contains(&(SettingId::NO_RFC7540_PRIORITIES, 1)));
        assert!(values.contains(&(SettingId::MAX_HEADER_LIST_SIZE, 32 * 1024)));
    }
}

#[test]
fn rfc9113_3_4_any_other_first_frame_ends_the_connection() {
    let others = [settings_ack(), ping(1), headers(1), data(1, 1), update(0, 1), raw(0x2a, 0, 0, b"grease")];
    for octets in others {
        let mut server = Script::strangers(Side::Server, plain());
        server.send(PREFACE.to_vec()).skip().send(octets.clone());
        server.expect_end(0, Violation::FirstFrameNotSettings);
        let mut client = Script::strangers(Side::Client, plain());
        client.skip().send(octets).expect_end(0, Violation::FirstFrameNotSettings);
    }
}

#[test]
fn rfc9113_3_4_a_wrong_preface_is_answered_with_settings_and_goaway() {
    let mut script = Script::strangers(Side::Server, plain());
    let now = script.now;
    script.engine.handle_bytes(now, "GET / HTTP/1.1\r\n".into());
    let seen = script.take();
    assert!(matches!(seen[0], Seen::Other(Frame::Settings(_))), "{seen:?}");
    assert!(matches!(
        seen[1],
        Seen::Other(Frame::Goaway { code: ErrorCode::PROTOCOL_ERROR, last: None, .. })
    ));
    assert_eq!(script.closed(), Some(ConnectionError::Protocol(Violation::Frame(Malformed::Preface))));
    assert_eq!(script.engine.poll_timeout(), None);
}

#[test]
fn rfc9113_3_4_the_preface_may_come_octet_by_octet() {
    let mut script = Script::strangers(Side::Server, plain());
    script.drip(PREFACE).drip(&settings(&[])).skip();
    assert!(matches!(script.events[0], Event::Established));
    script.expect_alive();
}

#[test]
fn rfc9113_6_5_2_only_a_client_announces_enable_push_and_that_0() {
    let of = |values: Vec<(SettingId, u32)>| {
        values.into_iter().find(|value| value.0 == SettingId::ENABLE_PUSH).map(|value| value.1)
    };
    assert_eq!(of(announced(Side::Client, plain())), Some(0));
    assert_eq!(of(announced(Side::Server, plain())), None);
}

#[test]
fn rfc9113_6_5_2_what_we_announce_is_within_its_range() {
    for (frame, window) in [(0, 0), (16_383, 65_535), (1 << 20, 1 << 31), (u32::MAX, u32::MAX)] {
        let config = Config { max_frame_size: frame, initial_window_size: window, ..plain() };
        for (id, value) in announced(Side::Server, config) {
            match id {
                SettingId::MAX_FRAME_SIZE => assert!((16_384..=(1 << 24) - 1).contains(&value), "{value}"),
                SettingId::INITIAL_WINDOW_SIZE => assert!(value <= 0x7fff_ffff, "{value}"),
                _ => {}
            }
        }
    }
}

#[test]
fn rfc9113_6_5_2_enable_push_from_the_peer() {
    let push = |value| settings(&[(SettingId::ENABLE_PUSH, value)]);
    Script::server().send(push(0)).send(push(1)).expect(settings_ack()).expect(settings_ack()).expect_alive();
    Script::client().send(push(0)).expect(settings_ack()).expect_alive();
    Script::client().send(push(1)).expect_end(0, Violation::SettingNotAllowed);
    let wrong = Violation::Frame(Malformed::SettingsEnablePush);
    Script::server().send(push(2)).expect_end(0, wrong);
}

#[test]
fn h23_values_out_of_range_end_the_connection_with_their_code_in_both_roles() {
    let cases = [
        (SettingId::INITIAL_WINDOW_SIZE, 0x8000_0000, Malformed::SettingsInitialWindowSize),
        (SettingId::INITIAL_WINDOW_SIZE, u32::MAX, Malformed::SettingsInitialWindowSize),
        (SettingId::MAX_FRAME_SIZE, 16_383, Malformed::SettingsMaxFrameSize),
        (SettingId::MAX_FRAME_SIZE, 1 << 24, Malformed::SettingsMaxFrameSize),
        (SettingId::ENABLE_CONNECT_PROTOCOL, 2, Malformed::SettingsEnableConnectProtocol),
        (SettingId::NO_RFC7540_PRIORITIES, 2, Malformed::SettingsNoRfc7540Priorities),
    ];
    for (id, value, malformed) in cases {
        for side in [Side::Client, Side::Server] {
            // The wrong value comes after a right one: nothing of the frame is used.
            let frame = settings(&[(SettingId::MAX_CONCURRENT_STREAMS, 1), (id, value)]);
            Script::with(side, plain()).send(frame).expect_end(0, Violation::Frame(malformed));
        }
    }
}

#[test]
fn h23_values_at_the_edge_are_taken_in_both_roles() {
    let edges = [
        (SettingId::HEADER_TABLE_SIZE, 0),
        (SettingId::HEADER_TABLE_SIZE, u32::MAX),
        (SettingId::MAX_CONCURRENT_STREAMS, 0),
        (SettingId::MAX_CONCURRENT_STREAMS, u32::MAX),
        (SettingId::INITIAL_WINDOW_SIZE, 0),
        (SettingId::INITIAL_WINDOW_SIZE, 0x7fff_ffff),
        (SettingId::MAX_FRAME_SIZE, 16_384),
        (SettingId::MAX_FRAME_SIZE, (1 << 24) - 1),
        (SettingId::MAX_HEADER_LIST_SIZE, 0),
        (SettingId::MAX_HEADER_LIST_SIZE, u32::MAX),
        (SettingId(0xfafa), 0xdead_beef),
    ];
    for edge in edges {
        for side in [Side::Client, Side::Server] {
            Script::with(side, plain()).send(settings(&[edge])).expect(settings_ack()).expect_alive();
        }
    }
}

#[test]
fn rfc8441_3_connect_protocol_may_not_be_withdrawn_and_is_needed() {
    let mut script = Script::client();
    let mut request = Some(Request::extended_connect("websocket", "https", "a.example", "/"));
    assert!(matches!(script.engine.open(&mut request, false), Err(OpenError::Invalid(_))));
    assert!(request.is_some(), "a request that was not taken is kept");
    let enable = |value| settings(&[(SettingId::ENABLE_CONNECT_PROTOCOL, value)]);
    script.send(enable(0)).send(enable(1)).skip();
    script.engine.open(&mut request, false).unwrap();
    script.expect(head(1, WEBSOCKET, false));
    script.send(enable(0)).expect_end(0, Violation::SettingNotAllowed);
}

#[test]
fn rfc9113_6_5_3_every_settings_frame_is_acknowledged_once() {
    let mut script = Script::server();
    for _ in 0..10 {
        script.send(settings(&[(SettingId::MAX_CONCURRENT_STREAMS, 7)])).expect(settings_ack());
    }
    script.expect_alive();
}

#[test]
fn rfc9113_6_5_3_an_acknowledgement_without_request_ends_the_connection() {
    Script::server().send(settings_ack()).expect_end(0, Violation::UnexpectedSettingsAck);
    Script::client().send(settings_ack()).expect_end(0, Violation::UnexpectedSettingsAck);
}

#[test]
fn rfc9113_6_5_3_settings_that_are_never_acknowledged_end_the_connection() {
    for side in [Side::Client, Side::Server] {
        let mut script = Script::strangers(side, plain());
        if side == Side::Server {
            script.send(PREFACE.to_vec());
        }
        script.send(settings(&[])).skip();
        script.after(9 * SECOND).expect_nothing();
        // Other octets do not help.
        script.send(ping(1)).expect(pong(1));
        script.after(SECOND).expect(goaway(0, ErrorCode::SETTINGS_TIMEOUT)).expect_nothing();
        assert_eq!(script.closed(), Some(ConnectionError::Timeout(Timeout::SettingsAck)));
    }
}

#[test]
fn a_peer_without_settings_is_left_after_the_handshake_timeout() {
    let mut server = Script::strangers(Side::Server, plain());
    server.drip(&PREFACE[..20]).skip().after(5 * SECOND).drip(&PREFACE[20..]).after(5 * SECOND);
    assert_eq!(server.closed(), Some(ConnectionError::Timeout(Timeout::Handshake)));
    let mut client = Script::strangers(Side::Client, plain());
    client.after(10 * SECOND);
    assert_eq!(client.closed(), Some(ConnectionError::Timeout(Timeout::Handshake)));
}

#[test]
fn rfc9113_5_1_2_a_lower_stream_limit_than_the_count_refuses_until_streams_end() {
    let mut script = Script::client();
    let limit = |value| settings(&[(SettingId::MAX_CONCURRENT_STREAMS, value)]);
    let keys = [script.open(), script.open(), script.open()];
    script.send(limit(2)).skip();
    let mut request = Some(Request::connect("10.0.0.1:80"));
    assert_eq!(script.engine.open(&mut request, false), Err(OpenError::Blocked));
    script.reset(keys[0], ErrorCode::CANCEL);
    assert_eq!(script.engine.open(&mut request, false), Err(OpenError::Blocked));
    script.reset(keys[1], ErrorCode::CANCEL);
    assert!(script.pick(|event| matches!(event, Event::Openable).then_some(())).is_some());
    script.engine.open(&mut request, false).unwrap();
    assert_eq!(script.engine.open_slots(), 0);
    script.send(limit(5));
    assert_eq!(script.engine.open_slots(), 3);
}

#[test]
fn h13_an_encoder_table_of_four_gigabytes_is_clamped() {
    let mut script = Script::client();
    script.send(settings(&[(SettingId::HEADER_TABLE_SIZE, u32::MAX)])).expect(settings_ack());
    for _ in 0..3 {
        script.ask(Request::connect("10.0.0.1:80"), false);
    }
    script.expect(headers(1)).expect(headers(3)).expect(headers(5)).expect_nothing();
}

#[test]
fn h13_an_encoder_table_of_nothing_is_obeyed() {
    let mut script = Script::client();
    script.send(settings(&[(SettingId::HEADER_TABLE_SIZE, 0)])).expect(settings_ack());
    for _ in 0..3 {
        script.ask(Request::connect("10.0.0.1:80"), false);
    }
    script.expect(headers(1)).expect(headers(3)).expect(headers(5)).expect_nothing();
}

#[test]
fn rfc9113_4_3_1_our_small_decoder_table_holds_from_the_acknowledgement_on() {
    let config = Config { header_table_size: 0, ..plain() };
    let mut script = Script::strangers(Side::Server, config);
    script.send(PREFACE.to_vec()).send(settings(&[])).send(settings_ack()).skip();
    // RFC 7541 4.2: a reduction must be followed by a size update before the next block.
    script.send(headers(1)).flush();
    assert!(matches!(script.closed(), Some(ConnectionError::Protocol(Violation::Compression(_)))));
}

#[test]
fn h21_settings_flood_ends_the_connection() {
    let mut script = Script::server();
    let sent = (0..10_000).take_while(|_| script.send(settings(&[])).closed().is_none()).count();
    assert!((49..=50).contains(&sent), "{sent}");
    script.expect_fault(Violation::Flood(Flood::Settings));
}

#[test]
fn h21_ten_settings_a_second_live_for_ten_minutes() {
    let mut script = Script::server();
    for _ in 0..6000 {
        script.send(settings(&[])).after(Duration::from_millis(100));
    }
    script.expect_alive();
}

#[test]
fn h21_h62_settings_do_not_keep_an_idle_connection() {
    let config = Config { idle_timeout: Some(60 * SECOND), ..plain() };
    let mut script = Script::with(Side::Server, config);
    for _ in 0..61 {
        script.send(settings(&[])).after(SECOND);
    }
    assert!(script.engine.is_draining());
}

#[test]
fn h22_a_large_settings_frame_ends_the_connection_and_two_duplicates_are_fine() {
    let many = vec![(SettingId::MAX_CONCURRENT_STREAMS, 5); 2730];
    let fault = Violation::Frame(Malformed::TooManySettings);
    Script::server().send(settings(&many)).expect_end(0, fault);
    let mut script = Script::client();
    script.send(settings(&[(SettingId::MAX_CONCURRENT_STREAMS, 5), (SettingId::MAX_CONCURRENT_STREAMS, 1)]));
    script.open();
    assert_eq!(script.engine.open_slots(), 0, "the last one wins");
}
