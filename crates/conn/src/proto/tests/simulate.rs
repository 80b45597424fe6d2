//! Seeds of the simulator: N1 to N5, N7, H46, H48. `HBONE_SEEDS` asks for more of them, `HBONE_SEED` for one.

use super::rng::{seed_from_environment, seeds};
use super::world::World;

/// A quarter of the seeds each, so that they run side by side.
fn quarter(number: u64) {
    if let Some(seed) = seed_from_environment() {
        return if number == 0 {
            World::new(seed).run()
        };
    }
    (0..seeds(300)).filter(|seed| seed % 4 == number).for_each(|seed| World::new(seed).run());
}

#[test]
fn nothing_is_lost_h46_h48_first_quarter_of_the_seeds() {
    quarter(0);
}

#[test]
fn nothing_is_lost_h46_h48_second_quarter_of_the_seeds() {
    quarter(1);
}

#[test]
fn nothing_is_lost_h46_h48_third_quarter_of_the_seeds() {
    quarter(2);
}

#[test]
fn nothing_is_lost_h46_h48_fourth_quarter_of_the_seeds() {
    quarter(3);
}
