//! Quantiles of the normal and of Student's distribution.

use std::f64::consts::PI;

/// The normal quantile of `p`, by Acklam's rational approximation (relative error under 1.2e-9).
/// `p` outside of 0..1 gives an infinity.
#[expect(clippy::excessive_precision, reason = "the published coefficients")]
pub fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e+01,
        2.209460984245205e+02,
        -2.759285104469687e+02,
        1.383577518672690e+02,
        -3.066479806614716e+01,
        2.506628277459239e+00,
    ];
    const B: [f64; 6] = [
        -5.447609879822406e+01,
        1.615858368580409e+02,
        -1.556989798598866e+02,
        6.680131188771972e+01,
        -1.328068155288572e+01,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-03,
        -3.223964580411365e-01,
        -2.400758277161838e+00,
        -2.549732539343734e+00,
        4.374664141464968e+00,
        2.938163982698783e+00,
    ];
    const D: [f64; 5] = [
        7.784695709041462e-03,
        3.224671290700398e-01,
        2.445134137142996e+00,
        3.754408661907416e+00,
        1.0,
    ];
    const TAIL: f64 = 0.02425;
    let of = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    if p < TAIL {
        let q = (-2.0 * p.ln()).sqrt();
        return of(&C, q) / of(&D, q);
    }
    let q = p - 0.5;
    of(&A, q * q) * q / of(&B, q * q)
}

/// The distance from 0 outside of which Student's t with `freedom` degrees lies with probability
/// `outside`, both tails together (Hill 1970, algorithm 396). `freedom` is at least 1.
pub fn t_both_tails(outside: f64, freedom: f64) -> f64 {
    let n = freedom.max(1.0);
    if n < 1.5 {
        return 1.0 / (outside * PI / 2.0).tan();
    }
    if n < 2.5 {
        return (2.0 / (outside * (2.0 - outside)) - 2.0).sqrt();
    }
    let a = 1.0 / (n - 0.5);
    let b = 48.0 / (a * a);
    let mut c = ((20_700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    let d = ((94.5 / (b + c) - 3.0) / b + 1.0) * (a * PI / 2.0).sqrt() * n;
    let mut y = (d * outside).powf(2.0 / n);
    if y > 0.05 + a {
        let x = normal_quantile(outside / 2.0);
        y = x * x;
        if n < 5.0 {
            c += 0.3 * (n - 4.5) * (x + 0.6);
        }
        c += (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b;
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x;
        y = (a * y * y).exp_m1();
    } else {
        let tail = 1.0 / (((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0);
        y = ((tail + 0.5 / (n + 4.0)) * y - 1.0) * (n + 1.0) / (n + 2.0) + 1.0 / y;
    }
    (n * y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_match_the_tables() {
        for (p, expected) in
            [(0.5, 0.0), (0.975, 1.959_964), (0.995, 2.575_829), (0.01, -2.326_348)]
        {
            assert!((normal_quantile(p) - expected).abs() < 1e-5, "{p}");
        }
        let table = [
            (0.05, 1.0, 12.706),
            (0.05, 2.0, 4.303),
            (0.05, 4.0, 2.776),
            (0.05, 10.0, 2.228),
            (0.05, 30.0, 2.042),
            (0.01, 9.0, 3.250),
            (0.005, 14.0, 3.326),
        ];
        for (outside, freedom, expected) in table {
            let t = t_both_tails(outside, freedom);
            assert!((t - expected).abs() < 2e-3 * expected, "{outside} {freedom}: {t}");
        }
    }
}
