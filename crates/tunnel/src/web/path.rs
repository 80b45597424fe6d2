//! Paths of requests: prefixes that end at a slash, and the spellings with which a path would mean another one.
//!
//! Asked by table.rs. Pure; changes no path.

use std::fmt;
use std::str::FromStr;

/// The beginning of paths, whole segments only: `/api` is the beginning of `/api` and `/api/x`, not of `/apix`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// Every path.
    pub fn all() -> Self {
        Self("/".into())
    }

    /// Whether a path begins so.
    pub fn matches(&self, path: &str) -> bool {
        let prefix = self.0.trim_end_matches('/');
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for PathPrefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with('/') {
            return Err("it must begin with a slash");
        }
        if !text.bytes().all(|octet| octet.is_ascii_graphic() && !b"?#%\\".contains(&octet)) {
            return Err("it must be plain: no query, no escapes, no spaces");
        }
        if is_ambiguous(text) {
            return Err("it must not contain `//`, `.` or `..`");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a workload may take the path for another one than routes see: dot segments and empty ones, also escaped, and
/// escaped or backward slashes.
pub(crate) fn is_ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    if lower.contains('\\') || lower.contains("%2f") || lower.contains("%5c") || lower.contains("%00") {
        return true;
    }
    let dots = lower.replace("%2e", ".");
    dots.contains("//")
        || dots.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let matches = |prefix: &str, path: &str| prefix.parse::<PathPrefix>().unwrap().matches(path);
        for (prefix, path) in
            [("/", "/"), ("/", "/x"), ("/api", "/api"), ("/api", "/api/x"), ("/api/", "/api")]
        {
            assert!(matches(prefix, path), "{prefix} {path}");
        }
        for (prefix, path) in
            [("/api", "/apix"), ("/api", "/"), ("/api", "/Api"), ("/api/", "/apix"), ("/", "*")]
        {
            assert!(!matches(prefix, path), "{prefix} {path}");
        }
        for text in ["", "api", "/a b", "/a?b", "/a%20", "/a/../b", "//a", "/ä"] {
            assert!(text.parse::<PathPrefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn t20_spellings_that_mean_another_path_are_seen() {
        for path in [
            "/a/../b",
            "/..",
            "/a/./b",
            "/%2e%2E/b",
            "/a/.%2e/b",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "//b",
            "/a//b",
            "/a/..;x/b",
            "/a%00",
        ] {
            assert!(is_ambiguous(path), "{path}");
        }
        for path in ["/", "/a.b/..c", "/a/...", "/%20", "/a%2Eb", "/.well-known/x", "/a/"] {
            assert!(!is_ambiguous(path), "{path}");
        }
    }
}
