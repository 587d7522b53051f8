//! When requests are due: an open loop, which no slow answer holds up.

use super::{rng::Rng, scenario::Arrivals};

/// How the rate runs over a test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// How requests follow each other.
    pub arrivals: Arrivals,
    /// Requests per second after the warm-up.
    pub rate: f64,
    /// Requests per second at the end; another than `rate` for a ramp.
    pub rate_to: f64,
    /// Seconds over which the rate rises from nothing to `rate`.
    pub warmup: f64,
    /// Seconds, the warm-up included.
    pub duration: f64,
}

/// Offsets in seconds at which requests are due, at most `most` of them.
pub fn offsets(course: &Course, seed: u64, most: usize) -> Vec<f64> {
    let mut rng = Rng::new(seed, 1);
    let mut expected = 0.0;
    let mut all = Vec::new();
    while all.len() < most {
        expected += match course.arrivals {
            Arrivals::Poisson => rng.wait(),
            Arrivals::Constant | Arrivals::Ramp => 1.0,
        };
        match time_of(course, expected) {
            Some(at) => all.push(at),
            None => break,
        }
    }
    all
}

/// When so many requests are expected to have been due; `None` beyond the end.
fn time_of(course: &Course, expected: f64) -> Option<f64> {
    let in_warmup = course.warmup * course.rate / 2.0;
    if expected <= in_warmup {
        return Some(reached(expected, 0.0, course.rate, course.warmup));
    }
    let length = (course.duration - course.warmup).max(0.0);
    let all = (course.rate + course.rate_to) / 2.0 * length;
    let left = expected - in_warmup;
    // The last request of a constant rate falls on the end itself, give or take a rounding.
    (left <= all * (1.0 + 1e-9))
        .then(|| course.warmup + reached(left, course.rate, course.rate_to, length))
}

/// Seconds after which a rate that goes evenly from `from` to `to` in `length` has come to `count`.
fn reached(count: f64, from: f64, to: f64, length: f64) -> f64 {
    let slope = (to - from) / length;
    2.0 * count / (from + (from * from + 2.0 * slope * count).max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVEN: Course = Course {
        arrivals: Arrivals::Constant,
        rate: 10.0,
        rate_to: 10.0,
        warmup: 10.0,
        duration: 60.0,
    };

    fn count(offsets: &[f64], from: f64, to: f64) -> usize {
        offsets.iter().filter(|&&at| at > from && at <= to).count()
    }

    #[test]
    fn the_rate_rises_over_the_warm_up_and_then_stays() {
        let all = offsets(&EVEN, 1, 10_000);
        assert_eq!(all.len(), 550);
        assert_eq!(count(&all, 0.0, 5.0), 12);
        assert_eq!(count(&all, 5.0, 10.0), 38);
        assert_eq!(count(&all, 30.0, 40.0), 100);
        assert!(all.is_sorted());
    }

    #[test]
    fn chance_keeps_the_rate_and_clusters() {
        let course = Course { arrivals: Arrivals::Poisson, duration: 1010.0, ..EVEN };
        let all = offsets(&course, 3, 100_000);
        assert!((count(&all, 10.0, 1010.0) as f64 - 10_000.0).abs() < 300.0);
        let seconds: Vec<_> =
            (10..1010).map(|at| count(&all, f64::from(at), f64::from(at + 1)) as f64).collect();
        let variance = seconds.iter().map(|n| (n - 10.0).powi(2)).sum::<f64>() / 1000.0;
        assert!((8.0..12.5).contains(&variance), "{variance}");
        assert_eq!(all, offsets(&course, 3, 100_000));
    }

    #[test]
    fn a_ramp_goes_up_evenly() {
        let course = Course {
            rate: 1.0,
            rate_to: 9.0,
            warmup: 0.0,
            duration: 100.0,
            arrivals: Arrivals::Ramp,
        };
        let all = offsets(&course, 1, 10_000);
        assert_eq!(all.len(), 500);
        assert_eq!(count(&all, 0.0, 50.0), 150);
        assert_eq!(offsets(&course, 1, 7).len(), 7);
    }
}
