//! SETTINGS of both ends: what we announce, what the peer's values mean (RFC 9113 6.5, RFC 8441, RFC 9218).

use hbone_frame::{DEFAULT_MAX_FRAME_SIZE, DEFAULT_WINDOW, MAX_WINDOW, SettingId, Settings, Side};

use super::config::Config;
use super::error::Violation;

/// Our own SETTINGS as a list.
pub(super) fn announcement(config: &Config, side: Side) -> Settings {
    let mut settings = Settings::new();
    settings.push(SettingId::HEADER_TABLE_SIZE, config.header_table_size);
    if side == Side::Client {
        settings.push(SettingId::ENABLE_PUSH, 0);
    }
    settings.push(SettingId::MAX_CONCURRENT_STREAMS, config.max_concurrent_streams);
    settings.push(SettingId::INITIAL_WINDOW_SIZE, config.initial_window_size.min(MAX_WINDOW));
    settings.push(SettingId::MAX_FRAME_SIZE, max_frame_size(config));
    settings.push(SettingId::MAX_HEADER_LIST_SIZE, config.max_header_list_size);
    // RFC 8441 3: from a client it means something only together with server streams.
    if config.enable_connect_protocol && (side == Side::Server || config.server_streams) {
        settings.push(SettingId::ENABLE_CONNECT_PROTOCOL, 1);
    }
    settings.push(SettingId::NO_RFC7540_PRIORITIES, 1);
    if config.server_streams {
        settings.push(SettingId::SERVER_STREAMS, 1);
    }
    settings
}

/// The configured frame size within RFC 9113 6.5.2.
pub(super) fn max_frame_size(config: &Config) -> u32 {
    config.max_frame_size.clamp(DEFAULT_MAX_FRAME_SIZE, (1 << 24) - 1)
}

/// The window that the peer's new streams have until our SETTINGS are acknowledged: never less than the
/// default, which the peer goes by until then.
pub(super) fn initial_receive_window(config: &Config, acknowledged: bool) -> u32 {
    let announced = config.initial_window_size.min(MAX_WINDOW);
    if acknowledged { announced } else { announced.max(DEFAULT_WINDOW) }
}

/// The peer's settings in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerSettings {
    pub(super) initial_window: u32,
    pub(super) max_frame_size: u32,
    /// `None` until the peer states it.
    pub(super) max_streams: Option<u32>,
    pub(super) connect_protocol: bool,
    /// Both ends have announced that the server may open streams.
    pub(super) server_streams: bool,
    /// It has renounced the priority signals of RFC 7540.
    pub(super) no_priorities: bool,
    /// The first SETTINGS have arrived.
    pub(super) known: bool,
}

/// What one setting asks the engine to do beyond remembering it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// Our encoder's table may have at most that many octets.
    TableSize(u32),
    /// Every stream's send window moves with it.
    InitialWindow(u32),
    /// More streams may have become possible.
    Streams,
}

impl PeerSettings {
    pub(super) const fn new() -> Self {
        Self {
            initial_window: DEFAULT_WINDOW,
            max_frame_size: DEFAULT_MAX_FRAME_SIZE,
            max_streams: None,
            connect_protocol: false,
            server_streams: false,
            no_priorities: false,
            known: false,
        }
    }

    /// Takes one value; values were checked against their ranges by the decoder. `us` is this end's side,
    /// `extended` whether it has announced server streams.
    pub(super) fn apply(
        &mut self,
        us: Side,
        extended: bool,
        id: SettingId,
        value: u32,
    ) -> Result<Change, Violation> {
        // On a server ENABLE_CONNECT_PROTOCOL means nothing where it opens no streams.
        let asks = us == Side::Client || self.server_streams;
        match id {
            SettingId::HEADER_TABLE_SIZE => return Ok(Change::TableSize(value)),
            // RFC 9113 6.5.2: a server MUST NOT send ENABLE_PUSH 1.
            SettingId::ENABLE_PUSH if us == Side::Client && value != 0 => {
                return Err(Violation::SettingNotAllowed);
            }
            SettingId::MAX_CONCURRENT_STREAMS => {
                self.max_streams = Some(value);
                return Ok(Change::Streams);
            }
            SettingId::INITIAL_WINDOW_SIZE => return Ok(Change::InitialWindow(value)),
            SettingId::MAX_FRAME_SIZE => self.max_frame_size = value,
            // RFC 8441 3: MUST NOT be withdrawn.
            SettingId::ENABLE_CONNECT_PROTOCOL if value == 0 && self.connect_protocol && asks => {
                return Err(Violation::SettingNotAllowed);
            }
            SettingId::ENABLE_CONNECT_PROTOCOL => self.connect_protocol = value == 1,
            SettingId::NO_RFC7540_PRIORITIES => self.no_priorities = value == 1,
            SettingId::SERVER_STREAMS if extended => {
                id.judge_extension(value).map_err(Violation::Frame)?;
                // As little as ENABLE_CONNECT_PROTOCOL can it be withdrawn.
                if value == 0 && self.server_streams {
                    return Err(Violation::SettingNotAllowed);
                }
                self.server_streams = value == 1;
                return Ok(Change::Streams);
            }
            // RFC 9113 6.5.2: unknown settings are ignored; the others need nothing done.
            _ => {}
        }
        Ok(Change::None)
    }
}
