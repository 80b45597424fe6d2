//! Limits against peers that cost more than they bring. Data with safe defaults; counts and decides nothing.
//!
//! What is counted over time is a [`Rate`] that refills: a counter over a connection's life would end every honest
//! long-lived connection one day.

/// How often something may happen: `burst` times at once, and `per_second` times every second from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many at once, from 1 on.
    pub burst: u16,
    /// So many more every second.
    pub per_second: u16,
}

impl Rate {
    /// `per_second` for ever, `burst` at once.
    pub const fn new(per_second: u16, burst: u16) -> Self {
        Self { burst, per_second }
    }
}

/// What a peer may do beyond what [`Config`](super::Config) says of streams, windows and lists. Each limit names the
/// attack that it answers. A connection whose peer exceeds one ends with ENHANCE_YOUR_CALM (RFC 9113 10.5), where
/// nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a field name; longer ones make the list too large (CVE-2022-41723).
    pub name: usize,
    /// Octets of a field value; longer ones make the list too large (CVE-2022-41723).
    pub value: usize,
    /// CONTINUATION frames in one header block (CVE-2024-27316).
    pub continuations: u32,
    /// Empty ones among them, which no cap on octets sees (CVE-2026-33871).
    pub empty_continuations: u32,
    /// Entries of one SETTINGS frame (CVE-2020-11080).
    pub settings_entries: usize,
    /// Octets of a GOAWAY's debug data that are kept; the rest is skipped.
    pub goaway_debug: usize,
    /// Informational responses before a final one, at most 254; more reset the stream.
    pub informational: u8,
    /// Replies that wait for the peer to read them; from there on nothing is read (CVE-2019-9512, CVE-2019-9515).
    pub replies_pause: usize,
    /// Replies that wait for the peer to read them; more end the connection.
    pub replies_end: usize,
    /// PING received (CVE-2019-9512).
    pub pings: Rate,
    /// SETTINGS received (CVE-2019-9515).
    pub settings: Rate,
    /// RST_STREAM received (CVE-2023-44487).
    pub resets: Rate,
    /// RST_STREAM received for streams that were not answered yet (CVE-2023-44487).
    pub early_resets: Rate,
    /// RST_STREAM sent because of the peer's faults (CVE-2019-9514, CVE-2025-8671).
    pub provoked_resets: Rate,
    /// WINDOW_UPDATE that DATA of ours has not earned; more are glitches (CVE-2019-9511). DATA earns four for every
    /// frame and two for every KiB, unless the peer's windows make its frames tiny.
    pub updates: Rate,
    /// Frames that are legal and do nothing: empty DATA, PRIORITY, unknown types, credit that nobody needs
    /// (CVE-2019-9518, CVE-2019-9513). At three quarters of the burst the connection drains in peace.
    pub glitches: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            name: 1024,
            value: 16 * 1024,
            continuations: 8,
            empty_continuations: 1,
            settings_entries: 32,
            goaway_debug: 1024,
            informational: 16,
            replies_pause: 256,
            replies_end: 1000,
            pings: Rate::new(10, 100),
            settings: Rate::new(10, 50),
            resets: Rate::new(33, 1000),
            early_resets: Rate::new(33, 100),
            provoked_resets: Rate::new(10, 200),
            updates: Rate::new(1000, 1000),
            glitches: Rate::new(100, 1000),
        }
    }
}
