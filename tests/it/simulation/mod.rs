//! Years of renewals and changes of CA, played against the machines without clock, disk or network.
//!
//! Seeds are fixed and printed; `KRAFTLET_SEED=<number>` adds one. `KRAFTLET_SIMULATION=full` plays every fleet at its full
//! size, which is for an optimised build: `KRAFTLET_SIMULATION=full cargo test --release --test it simulation`.

mod fleet;
mod ca_change;

/// SplitMix64: the same numbers for the same seed, on any machine.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        dice.next();
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    /// From `low` to `high` - 1.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }

    /// True `share` times in a thousand.
    pub(crate) fn once_in_a_while(&mut self, share: u64) -> bool {
        self.next() % 1000 < share
    }
}

/// The seeds to play, each printed, so that a failure can be played again.
pub(crate) fn seeds() -> Vec<u64> {
    let own =
        std::env::var("KRAFTLET_SEED").ok().map(|seed| seed.parse().expect("KRAFTLET_SEED is a number"));
    let seeds: Vec<u64> = [1, 20_025, 4_400].into_iter().chain(own).collect();
    println!("seeds {seeds:?}");
    seeds
}

/// Whether the whole size was asked for.
pub(crate) fn full_size() -> bool {
    std::env::var("KRAFTLET_SIMULATION").is_ok_and(|size| size == "full")
}
