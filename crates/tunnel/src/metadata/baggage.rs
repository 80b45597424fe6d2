//! `baggage` (W3C Baggage): what a workload is, as `key=value` members.
//!
//! Written from the configuration, read from callers. Members without a value are left out, as are those that are
//! malformed; what is too much is cut off at a member. Knows no meaning of any key.

/// Reads lines of a field, in order, and gives them as one.
pub(crate) fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let texts = lines.filter_map(|line| str::from_utf8(line).ok());
    write(texts.flat_map(|text| text.split(',')).filter_map(member))
}

/// Members as one value of a field; none when none has a value.
pub(crate) fn write<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let mut text = String::new();
    for (key, value) in members.filter(|(_, value)| !value.is_empty()).take(MEMBERS) {
        if text.len() + key.len() + value.len() + 2 > OCTETS {
            break;
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.extend([key, "=", value]);
    }
    (!text.is_empty()).then_some(text)
}

/// One member. What it says of itself behind a semicolon (W3C Baggage 3.3.1) is nothing that is used here.
fn member(text: &str) -> Option<(&str, &str)> {
    let text = text.split(';').next().unwrap_or(text);
    let (key, value) = text.split_once('=')?;
    let (key, value) = (key.trim_matches([' ', '\t']), value.trim_matches([' ', '\t']));
    let token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&octet);
    // W3C Baggage 3.3.1: baggage-octet.
    let plain = |octet: u8| octet.is_ascii_graphic() && !b"\",;\\".contains(&octet);
    let whole = !key.is_empty() && key.bytes().all(token) && value.bytes().all(plain);
    whole.then_some((key, value))
}

/// W3C Baggage 3.3.2.
const MEMBERS: usize = 64;
const OCTETS: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(lines: &[&str]) -> Option<String> {
        read(lines.iter().map(|line| line.as_bytes()))
    }

    /// Every key that nodes of a mesh tell.
    const KEYS: [&str; 10] = [
        "k8s.cluster.name",
        "k8s.namespace.name",
        "k8s.deployment.name",
        "k8s.cronjob.name",
        "k8s.pod.name",
        "k8s.job.name",
        "service.name",
        "service.version",
        "cloud.region",
        "cloud.availability_zone",
    ];

    #[test]
    fn every_key_is_written_and_read_back_and_empty_values_are_left_out() {
        let text = write(KEYS.iter().map(|key| (*key, "v-1"))).unwrap();
        assert_eq!(text.split(',').count(), KEYS.len());
        assert_eq!(joined(&[&text]), Some(text));
        let some = KEYS.iter().map(|key| (*key, if key.starts_with("cloud") { "eu" } else { "" }));
        assert_eq!(write(some).as_deref(), Some("cloud.region=eu,cloud.availability_zone=eu"));
        assert_eq!(write(KEYS.iter().map(|key| (*key, ""))), None);
    }

    #[test]
    fn several_lines_are_one_and_what_is_malformed_is_left_out() {
        assert_eq!(joined(&["a=1, b=2", "c=3;prop=x"]).as_deref(), Some("a=1,b=2,c=3"));
        assert_eq!(joined(&["a=1,b,=2,c d=3,e=f g,h=\"x\",i=\\,j=4,k="]).as_deref(), Some("a=1,j=4"));
        assert_eq!(joined(&["a=b=c"]).as_deref(), Some("a=b=c"));
        for nothing in ["", ",,,", "=", "a", "ä=1", "a=ä"] {
            assert_eq!(joined(&[nothing]), None, "{nothing}");
        }
        assert_eq!(read([&b"a=\xff"[..], b"b=1"].into_iter()).as_deref(), Some("b=1"));
    }

    #[test]
    fn h17_however_much_is_told_it_is_bounded() {
        let many = (0..10_000).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(joined(&[&many]).unwrap().split(',').count(), MEMBERS);
        let long = format!("a={},b={}", "x".repeat(5000), "y".repeat(5000));
        assert_eq!(joined(&[&long]).unwrap().len(), 5002);
    }
}
