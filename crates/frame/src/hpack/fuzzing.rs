//! Bodies of the fuzz targets of HPACK; also replayed by tests.

/// placeholder
pub fn nothing() {}
