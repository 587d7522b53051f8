//! Chance that a seed repeats: the same on every machine.

/// SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A sequence of its own for each seed and purpose.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = Self(seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        rng.next();
        rng
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0, included, to 1, not included.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number from `lo` to `hi`, both included.
    pub fn between(&mut self, lo: u32, hi: u32) -> u32 {
        let width = f64::from(hi.max(lo) - lo) + 1.0;
        lo + (self.share() * width) as u32
    }

    /// A waiting time with mean 1 (exponential).
    pub fn wait(&mut self) -> f64 {
        -(1.0 - self.share()).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_values_spread_evenly() {
        let draw = |seed| {
            let mut rng = Rng::new(seed, 1);
            (0..1000).map(|_| rng.between(3, 6)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        for value in 3..=6 {
            let count = draw(7).iter().filter(|&&it| it == value).count();
            assert!((200..300).contains(&count), "{value}: {count}");
        }
        let mut rng = Rng::new(1, 2);
        let mean = (0..10_000).map(|_| rng.wait()).sum::<f64>() / 1e4;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
    }
}
