//! Looks at the files of a configuration once a second and says when they have changed and then stood still.
//! Used by run.rs, which reads them. Opens no file and decides nothing about what is in them.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::config::Files;

/// From one look to the next. What changes more often than this is taken up once it has stood still.
const LOOK: Duration = Duration::from_secs(1);

/// The files, as they were when they were last read and as they were at the last look.
#[derive(Debug)]
pub struct Watch {
    taken: Files,
    last: Files,
    looks: Interval,
}

impl Watch {
    /// Watches files from the state in which they were read. To be called within a runtime.
    pub fn new(taken: Files) -> Self {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { last: taken.clone(), taken, looks }
    }

    /// They have been read again, well or not: what stands in them now is no change any more.
    pub fn took(&mut self, taken: Files) {
        self.last = taken.clone();
        self.taken = taken;
    }

    /// Waits until some file is not as it was read, and the same at two looks: a certificate whose key is still to
    /// be written is not a pair. May be dropped at any time.
    pub async fn changed(&mut self) {
        loop {
            self.looks.tick().await;
            let files = self.taken.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || files.look()).await else { continue };
            let still = now == self.last;
            self.last = now;
            if still && self.last != self.taken {
                return;
            }
        }
    }
}
