//! Values that stand in strings and have no type of their own elsewhere: durations, names.
//! Used by resolve.rs, resolver.rs and limits.rs. Pure.

use std::time::Duration;

/// Reads `500ms`, `10s`, `5m`, `1h`, `2d`: a whole number and a unit, nothing else.
///
/// # Errors
/// Says what is wrong in words for people.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("does not start with a whole number");
    }
    let number: u64 = number.parse().map_err(|_| "too large")?;
    let millis = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        "" => return Err("has no unit"),
        _ => return Err("has an unknown unit"),
    };
    let duration = millis.map(Duration::from_millis).filter(|duration| *duration <= MAX_DURATION);
    duration.ok_or("longer than a year")
}

/// A name of a listener, peer or policy: it stands in logs and metrics, so it is short and plain.
///
/// # Errors
/// Says what is wrong in words for people.
pub(super) fn name(text: &str) -> Result<&str, &'static str> {
    if text.is_empty() {
        return Err("a name cannot be empty");
    }
    if text.len() > 64 {
        return Err("longer than 64 octets");
    }
    if text.bytes().any(|octet| !(octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))) {
        return Err("has characters other than letters, digits, `-`, `_` and `.`");
    }
    Ok(text)
}

const MAX_DURATION: Duration = Duration::from_secs(366 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for bad in
            ["", "10", "s", "-1s", "1.5s", "1 s", "10S", "1h30m", "99999999999999999999s", "400d", "1w"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(name("web-1.a_b"), Ok("web-1.a_b"));
        for bad in ["", "a b", "a\nb", "é", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
