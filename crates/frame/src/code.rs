//! Error codes of RST_STREAM and GOAWAY and the one table of their names (RFC 9113 7).
//!
//! Unknown codes are kept as they came: RFC 9113 7 asks not to treat them specially.

use std::fmt;

/// An error code, any 32-bit value; the registered ones are associated constants.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $label:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The registered name, such as `PROTOCOL_ERROR`, or `None`.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// A short name for counters and metrics, such as `protocol_error`; `unknown` for every code that is
            /// not registered, so that a peer cannot make names.
            pub const fn label(self) -> &'static str {
                match self.0 {
                    $($value => $label,)*
                    _ => "unknown",
                }
            }

            /// Every registered code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    /// Graceful: not the result of an error.
    NO_ERROR = 0x0, "no_error";
    /// An unspecific protocol error.
    PROTOCOL_ERROR = 0x1, "protocol_error";
    /// An unexpected internal error.
    INTERNAL_ERROR = 0x2, "internal_error";
    /// The flow-control protocol was violated.
    FLOW_CONTROL_ERROR = 0x3, "flow_control_error";
    /// SETTINGS were not acknowledged in time.
    SETTINGS_TIMEOUT = 0x4, "settings_timeout";
    /// A frame came after the stream was half-closed.
    STREAM_CLOSED = 0x5, "stream_closed";
    /// A frame of an invalid size.
    FRAME_SIZE_ERROR = 0x6, "frame_size_error";
    /// The stream was refused before any application processing: safe to retry.
    REFUSED_STREAM = 0x7, "refused_stream";
    /// The stream is no longer needed.
    CANCEL = 0x8, "cancel";
    /// The field-compression state cannot be kept.
    COMPRESSION_ERROR = 0x9, "compression_error";
    /// The connection behind a CONNECT was reset or closed abnormally.
    CONNECT_ERROR = 0xa, "connect_error";
    /// The peer behaves in a way that might generate excessive load.
    ENHANCE_YOUR_CALM = 0xb, "enhance_your_calm";
    /// The transport below does not meet the minimum security requirements.
    INADEQUATE_SECURITY = 0xc, "inadequate_security";
    /// HTTP/1.1 is required.
    HTTP_1_1_REQUIRED = 0xd, "http_1_1_required";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:x}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9113_7_names_are_those_of_the_registry_and_unknown_codes_stay_numbers() {
        assert_eq!(ErrorCode(0xb).to_string(), "ENHANCE_YOUR_CALM");
        assert_eq!(ErrorCode::HTTP_1_1_REQUIRED.0, 13);
        assert_eq!(ErrorCode(0xe).name(), None);
        assert_eq!(ErrorCode(0xdead).to_string(), "0xdead");
    }
}
