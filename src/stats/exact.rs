//! Exact tests of counts, and what many tests at once take back.

/// Natural logarithms of the factorials from 0 to some number.
#[derive(Debug, Clone)]
pub struct LogFactorials(Vec<f64>);

/// Things of which some are marked, and a group of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grouped {
    /// Marked ones in the group.
    pub marked_inside: usize,
    /// Things in the group.
    pub inside: usize,
    /// Marked ones in all.
    pub marked: usize,
    /// All things.
    pub all: usize,
}

impl LogFactorials {
    /// All up to `n`.
    pub fn up_to(n: usize) -> Self {
        let mut logs = vec![0.0; n + 1];
        for at in 1..=n {
            logs[at] = logs[at - 1] + (at as f64).ln();
        }
        Self(logs)
    }

    /// Logarithm of the ways to choose `k` of `n`.
    fn choose(&self, n: usize, k: usize) -> f64 {
        if k > n {
            return f64::NEG_INFINITY;
        }
        self.0[n] - self.0[k] - self.0[n - k]
    }

    /// Probability that by chance as many or more of the marked ones fall into the group: Fisher's
    /// exact test, one-sided (Fisher 1935, The Design of Experiments, §II). All counts must be in
    /// reach of [`Self::up_to`].
    pub fn as_many_by_chance(&self, it: Grouped) -> f64 {
        let ways = self.choose(it.all, it.inside);
        let mass = |k: usize| {
            let rest = self.choose(it.all - it.marked, it.inside - k);
            (self.choose(it.marked, k) + rest - ways).exp()
        };
        let most = it.marked.min(it.inside);
        (it.marked_inside..=most).map(mass).sum::<f64>().min(1.0)
    }
}

/// Holm's correction: each p-value as large as it counts where all were tested at once (Holm 1979,
/// Scandinavian Journal of Statistics 6, 65-70).
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![1.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, at) in order.into_iter().enumerate() {
        let left = (p_values.len() - rank) as f64;
        largest = largest.max(p_values[at] * left).min(1.0);
        corrected[at] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chance(marked_inside: usize, inside: usize, marked: usize, all: usize) -> f64 {
        let it = Grouped { marked_inside, inside, marked, all };
        LogFactorials::up_to(all).as_many_by_chance(it)
    }

    #[test]
    fn fishers_own_cups_of_tea_and_a_textbook_table() {
        assert!((chance(3, 4, 4, 8) - 17.0 / 70.0).abs() < 1e-12);
        assert!((chance(4, 4, 4, 8) - 1.0 / 70.0).abs() < 1e-12);
        // R: fisher.test(matrix(c(11, 3, 1, 9), 2), alternative = "greater")
        assert!((chance(11, 12, 14, 24) - 0.001_379_728).abs() < 1e-9);
        assert!((chance(0, 5, 3, 20) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn large_counts_neither_overflow_nor_vanish() {
        let p = chance(40, 50, 100, 100_000);
        assert!(p > 0.0 && p < 1e-80, "{p}");
    }

    #[test]
    fn holm_matches_r() {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (is, should) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((is - should).abs() < 1e-12, "{corrected:?}");
        }
        assert!(holm(&[]).is_empty());
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }
}
