//! Chance that is always the same for the same names.
//!
//! Nodes have to do things at different times, and each has to come to the same time again after a restart. So what
//! looks random is made from names. SHA-256 and not the standard library's hasher: that one may change with a release
//! of Rust, and then a fleet that is upgraded in two halves would have two schedules.

use aws_lc_rs::digest;

/// 64 bits that follow from names alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chance(u64);

impl Chance {
    /// From these words, whose order and borders count.
    pub fn of(words: &[&str]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for word in words {
            let length = u64::try_from(word.len()).unwrap_or(u64::MAX);
            context.update(&length.to_be_bytes());
            context.update(word.as_bytes());
        }
        let digest = context.finish();
        Self(digest.as_ref().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
    }

    /// Another chance for each `number`: the mixing step of SplitMix64.
    pub fn with(self, number: u64) -> Self {
        let mut bits = self.0 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(bits ^ bits >> 31)
    }

    /// A number from 0 to `limit` - 1, each as likely as any other; 0 for a limit of 0.
    pub fn below(self, limit: u64) -> u64 {
        u64::try_from((u128::from(self.0) * u128::from(limit)) >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_give_the_same_chance_for_ever() {
        // sha256 over 00…05 kafka 00…07 kafka-0.
        assert_eq!(Chance::of(&["kafka", "kafka-0"]), Chance(0xf666_ac8b_de69_f5a4));
        assert_ne!(Chance::of(&["ab", "c"]), Chance::of(&["a", "bc"]));
    }

    #[test]
    fn numbers_below_a_limit_are_spread_evenly() {
        let mut found = [0; 8];
        for number in 0..8000 {
            let place = Chance::of(&["kafka-0"]).with(number).below(8);
            found[usize::try_from(place).unwrap()] += 1;
        }
        assert!(found.iter().all(|count| (900..1100).contains(count)), "{found:?}");
        assert_eq!(Chance::of(&[]).below(0), 0);
    }
}
