//! The files that a configuration is made of, and the state each had just before it was read. Filled while a
//! configuration is loaded, compared by watch.rs. Never opens a file: it asks for metadata only.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files by path, each with its state; as many as the configuration names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Option<State>>);

/// What changes when a file is written, replaced, or given other permissions. Links are followed, so that it also
/// changes when a link on the way leads elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds.
    written: (i64, i64),
    /// The same of the last change of content or permissions.
    changed: (i64, i64),
}

impl Files {
    /// Notes a file that is read after this.
    pub fn add(&mut self, path: &Path) {
        self.0.entry(path.to_path_buf()).or_insert_with(|| state(path));
    }

    /// Adds other files; where both have one, the state of the other stands.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The same files as they are now. Asks the file system, which may be slow.
    #[must_use]
    pub fn look(&self) -> Self {
        Self(self.0.keys().map(|path| (path.clone(), state(path))).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// None of a file that is not to be had.
fn state(path: &Path) -> Option<State> {
    let data = std::fs::metadata(path).ok()?;
    Some(State {
        device: data.dev(),
        inode: data.ino(),
        length: data.len(),
        written: (data.mtime(), data.mtime_nsec()),
        changed: (data.ctime(), data.ctime_nsec()),
    })
}
