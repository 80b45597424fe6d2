//! Lists as tunnels and browsers send them, and the stories of the public test set where it is there.

use std::path::{Path, PathBuf};

use hbone_frame::Fields;
use serde_json::Value;

/// A CONNECT as one node sends it to another: eleven fields.
pub fn connect(nth: usize) -> Fields {
    let authority = format!("10.{}.7.{}:8080", nth % 23, nth * 37 % 251);
    let trace = format!(
        "00-4bf92f3577b34da6a3ce929d0e0e{:04x}-00f067aa0ba9{:04x}-01",
        nth * 7919,
        nth * 104_729 % 65_536
    );
    [
        (":method", "CONNECT"),
        (":authority", &authority),
        ("baggage", "k8s.cluster.name=east,k8s.namespace.name=shop,k8s.deployment.name=cart"),
        ("forwarded", "for=10.1.2.3;by=10.4.5.6;proto=https"),
        ("traceparent", &trace),
        ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("x-forwarded-network", "network-1"),
        ("x-source", "spiffe://cluster.local/ns/shop/sa/cart"),
        ("x-destination", "spiffe://cluster.local/ns/shop/sa/stock"),
        ("user-agent", "hbone/0.1"),
        ("accept-encoding", "identity"),
    ]
    .into_iter()
    .collect()
}

/// A request as browsers and services send it: twelve fields.
pub fn request(nth: usize) -> Fields {
    let path = format!("/api/v1/orders/{}?page={}", nth * 7919, nth % 10);
    [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "shop.example.com"),
        (":path", &path),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://shop.example.com/orders"),
        ("cookie", "session=0a1b2c3d4e5f60718293a4b5c6d7e8f9; theme=dark"),
        ("cache-control", "no-cache"),
        ("te", "trailers"),
    ]
    .into_iter()
    .collect()
}

/// The folder of the test set, if it is there.
fn folder() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var("HBONE_TEST_DATA").map_or(root, PathBuf::from);
    Some(data.join("hpack-test-case")).filter(|folder| folder.is_dir())
}

/// The stories of one encoder with its default table: for each story its blocks. `None` without the test set.
pub fn stories(encoder: &str) -> Option<Vec<Vec<Vec<u8>>>> {
    let octet = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).unwrap_or_default();
        u8::from_str_radix(text, 16).expect("the wire is hexadecimal")
    };
    let wire =
        |case: &Value| case["wire"].as_str().unwrap_or_default().as_bytes().chunks(2).map(octet).collect();
    let mut files: Vec<_> =
        std::fs::read_dir(folder()?.join(encoder)).ok()?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let story = |file: &PathBuf| -> Vec<Vec<u8>> {
        let text = std::fs::read(file).unwrap_or_default();
        let story: Value = serde_json::from_slice(&text).unwrap_or_default();
        story["cases"].as_array().into_iter().flatten().map(wire).collect()
    };
    Some(files.iter().map(story).filter(|blocks| !blocks.is_empty()).collect())
}
