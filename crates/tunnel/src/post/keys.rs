//! The public keys of those who issue tokens: out of a file that is read again when it has changed, or from an address
//! whose authorities are pinned.
//!
//! Asked by `bearer` for every token. What was good stays when what follows is broken or not to be had. Judges no
//! token.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::jwk::JwkSet;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::post::fetch::{Address, fetch};

/// Where keys come from.
pub struct TokenKeys {
    origin: Origin,
    kept: Mutex<Option<Kept>>,
    /// One fetch at a time.
    turn: tokio::sync::Mutex<Option<Instant>>,
}

enum Origin {
    File(PathBuf),
    Address { address: Address, refresh: Duration },
}

#[derive(Clone)]
struct Kept {
    keys: Arc<JwkSet>,
    changed: Option<SystemTime>,
    since: Instant,
}

impl TokenKeys {
    /// A file with a JWK set (RFC 7517 5).
    ///
    /// # Errors
    /// What is wrong with the file, for people.
    pub fn file(path: PathBuf) -> Result<Self, String> {
        let keys = Self::of(Origin::File(path.clone()));
        *keys.kept.lock() = Some(read(&path)?);
        Ok(keys)
    }

    /// An address, fetched when it is needed first and again after `refresh`.
    pub fn address(address: Address, refresh: Duration) -> Self {
        Self::of(Origin::Address { address, refresh })
    }

    fn of(origin: Origin) -> Self {
        Self { origin, kept: Mutex::new(None), turn: tokio::sync::Mutex::new(None) }
    }

    /// The keys as they are now.
    pub(crate) async fn current(&self) -> Option<Arc<JwkSet>> {
        let kept = self.kept.lock().clone();
        match &self.origin {
            Origin::File(path) => {
                let kept = kept?;
                let changed = std::fs::metadata(path).and_then(|it| it.modified()).ok();
                if changed.is_none() || changed == kept.changed {
                    return Some(kept.keys);
                }
                match read(path) {
                    Ok(fresh) => {
                        let keys = Arc::clone(&fresh.keys);
                        *self.kept.lock() = Some(fresh);
                        Some(keys)
                    }
                    Err(cause) => {
                        tracing::warn!(target: TARGET, %cause, "the keys of tokens stay as they were");
                        *self.kept.lock() = Some(Kept { changed, ..kept.clone() });
                        Some(kept.keys)
                    }
                }
            }
            Origin::Address { refresh, .. } => match kept {
                Some(kept) if kept.since.elapsed() < *refresh => Some(kept.keys),
                kept => self.fetch().await.or(kept.map(|kept| kept.keys)),
            },
        }
    }

    /// Other keys than those, if the issuer has some by now. Not asked for too often: a stranger may name keys that
    /// never were.
    pub(crate) async fn fresher(&self, known: &Arc<JwkSet>) -> Option<Arc<JwkSet>> {
        let keys = match &self.origin {
            Origin::File(_) => return None,
            Origin::Address { .. } => self.fetch().await?,
        };
        (!Arc::ptr_eq(&keys, known)).then_some(keys)
    }

    async fn fetch(&self) -> Option<Arc<JwkSet>> {
        let Origin::Address { address, .. } = &self.origin else { return None };
        let mut last = self.turn.lock().await;
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            return self.kept.lock().as_ref().map(|kept| Arc::clone(&kept.keys));
        }
        *last = Some(Instant::now());
        let fetched = timeout(LIMIT, fetch(address, MOST)).await;
        let keys = fetched.map_err(|_| format!("{address} did not answer within {LIMIT:?}"));
        match keys.and_then(|text| parse(&text?)) {
            Ok(keys) => {
                let keys = Arc::new(keys);
                let kept = Kept { keys: Arc::clone(&keys), changed: None, since: Instant::now() };
                *self.kept.lock() = Some(kept);
                Some(keys)
            }
            Err(cause) => {
                tracing::warn!(target: TARGET, %cause, "the keys of tokens cannot be fetched");
                None
            }
        }
    }
}

fn read(path: &Path) -> Result<Kept, String> {
    let cannot = |error: std::io::Error| format!("{}: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(cannot)?;
    if metadata.len() > MOST as u64 {
        return Err(format!("{}: over 64 KiB", path.display()));
    }
    let text = std::fs::read(path).map_err(cannot)?;
    let keys = parse(&text).map_err(|cause| format!("{}: {cause}", path.display()))?;
    Ok(Kept { keys: Arc::new(keys), changed: metadata.modified().ok(), since: Instant::now() })
}

fn parse(text: &[u8]) -> Result<JwkSet, String> {
    let keys: JwkSet = serde_json::from_slice(text).map_err(|error| format!("no JWK set: {error}"))?;
    if keys.keys.is_empty() { Err("a JWK set without a key".into()) } else { Ok(keys) }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(path) => f.debug_tuple("File").field(path).finish(),
            Origin::Address { address, .. } => f.debug_tuple("Address").field(&address.to_string()).finish(),
        }
    }
}

/// Octets of a JWK set.
const MOST: usize = 64 * 1024;
/// For a fetch.
const LIMIT: Duration = Duration::from_secs(5);
/// Between two fetches.
const PAUSE: Duration = Duration::from_secs(10);
const TARGET: &str = "hbone::tokens";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_and_a_broken_one_leaves_the_last_good_one() {
        let path = std::env::temp_dir().join(format!("hbone-jwks-{}", std::process::id()));
        let one = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"one","x":"AA","y":"AA"}]}"#;
        let mut age = 100;
        let mut write = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            age -= 1;
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        };
        write("{}");
        assert!(TokenKeys::file(path.clone()).is_err());
        write(one);
        let keys = TokenKeys::file(path.clone()).unwrap();
        let first = keys.current().await.unwrap();
        assert!(Arc::ptr_eq(&first, &keys.current().await.unwrap()));
        for broken in ["", "{\"keys\":[]}", &"x".repeat(MOST + 1)] {
            write(broken);
            assert!(keys.current().await.unwrap().find("one").is_some());
        }
        write(&one.replace("one", "two"));
        assert!(keys.current().await.unwrap().find("two").is_some());
        assert!(keys.fresher(&first).await.is_none(), "a file has no fresher ones");
        std::fs::remove_file(&path).unwrap();
        assert!(keys.current().await.unwrap().find("two").is_some());
    }
}
