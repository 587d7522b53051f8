//! Whether a server is plainly over-saturated, so that more of the test would tell nothing new.

use super::limits::SaturationLimits;
use crate::{
    evidence::exchange::Exchange,
    stats::{mann_kendall, theil_sen},
    unit::{Unit, counted},
};

/// What the test looks at.
pub struct Course<'a> {
    /// When requests were due, sorted.
    pub due: &'a [f64],
    /// Those that were sent.
    pub sent: &'a [Exchange],
    /// Seconds from the start to now.
    pub now: f64,
    /// Seconds before which nothing counts.
    pub warmup: f64,
    /// Most requests at once.
    pub concurrency: u32,
}

/// Why the server is over-saturated, with the numbers; `None` where it is not, or not plainly.
pub fn over(course: &Course<'_>, limits: &SaturationLimits) -> Option<String> {
    let bins = ((course.now - course.warmup) / limits.bin).floor() as usize;
    let bins = bins.min(limits.most_bins);
    if bins < limits.least_bins {
        return None;
    }
    let from = course.now - bins as f64 * limits.bin;
    let ends: Vec<f64> = (1..=bins).map(|bin| from + bin as f64 * limits.bin).collect();
    let backlog: Vec<f64> = ends.iter().map(|end| backlog(course, *end)).collect();
    let waits: Vec<f64> =
        ends.iter().filter_map(|end| mean_ttft(course, end - limits.bin, *end)).collect();
    let last = *backlog.last()?;
    if last <= f64::from(course.concurrency) {
        return None;
    }
    let p_backlog = mann_kendall(&backlog)?;
    // Where not even first tokens come any more, the backlog alone tells.
    let p_ttft = if waits.len() >= limits.least_bins / 2 { mann_kendall(&waits)? } else { 0.0 };
    let points: Vec<(f64, f64)> = ends.iter().copied().zip(backlog.iter().copied()).collect();
    let slope = theil_sen(&points)?.slope;
    let arrived = due_by(course, course.now) - due_by(course, from);
    let arrivals = arrived / (course.now - from);
    let plain = p_backlog < limits.p_value && p_ttft < limits.p_value;
    (plain && slope >= limits.growth * arrivals).then(|| {
        words(
            course.now - from,
            (backlog[0], last),
            (waits.first(), waits.last()),
            p_backlog.max(p_ttft),
        )
    })
}

fn words(
    seconds: f64,
    (before, after): (f64, f64),
    ttft: (Option<&f64>, Option<&f64>),
    p: f64,
) -> String {
    let show = |seconds: Option<&f64>| seconds.map_or("none".into(), |it| Unit::Seconds.show(*it));
    format!(
        "in {} the backlog went from {} to {} and the mean time to first token from {} to {}; \
         both rise beyond chance (Mann-Kendall test, p {})",
        Unit::Seconds.show(seconds),
        before as u64,
        counted(after as usize, "request"),
        show(ttft.0),
        show(ttft.1),
        if p < 1e-6 { "< 0.000001".into() } else { format!("= {p:.6}") },
    )
}

fn due_by(course: &Course<'_>, at: f64) -> f64 {
    course.due.partition_point(|due| *due <= at) as f64
}

/// Requests due and not ended.
fn backlog(course: &Course<'_>, at: f64) -> f64 {
    let ended =
        |it: &&Exchange| it.sent.zip(it.total).is_some_and(|(sent, total)| sent + total <= at);
    due_by(course, at) - course.sent.iter().filter(ended).count() as f64
}

/// Mean time to the first tokens that came within a span, from the intended time.
fn mean_ttft(course: &Course<'_>, from: f64, to: f64) -> Option<f64> {
    let came = |it: &&Exchange| {
        it.sent.zip(it.ttft).is_some_and(|(sent, ttft)| (from..to).contains(&(sent + ttft)))
    };
    let waits: Vec<f64> =
        course.sent.iter().filter(came).filter_map(Exchange::ttft_intended).collect();
    (!waits.is_empty()).then(|| waits.iter().sum::<f64>() / waits.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{evidence::exchange::Outcome, load::scenario::Loads};

    /// A server with `slots` that answers each request in one second.
    fn served(rate: f64, slots: usize, seconds: f64) -> (Vec<f64>, Vec<Exchange>) {
        let due: Vec<f64> = (0..(rate * seconds) as usize).map(|it| it as f64 / rate).collect();
        let mut free = vec![0.0_f64; slots];
        let mut sent = Vec::new();
        for at in &due {
            free.sort_by(f64::total_cmp);
            let start = free[0].max(*at);
            free[0] = start + 1.0;
            let outcome = Outcome::Ok;
            let (ttft, total) = (Some(0.1), Some(1.0));
            sent.push(Exchange {
                intended: *at,
                sent: Some(start),
                ttft,
                total,
                outcome,
                ..Exchange::default()
            });
        }
        (due, sent)
    }

    fn judged(rate: f64, slots: usize) -> Option<String> {
        let limits = Loads::load(&[]).unwrap().limits.unwrap();
        let (due, mut sent) = served(rate, slots, 120.0);
        sent.retain(|it| it.sent.unwrap() <= 120.0);
        let course =
            Course { due: &due, sent: &sent, now: 120.0, warmup: 0.0, concurrency: slots as u32 };
        over(&course, &limits.saturation)
    }

    #[test]
    fn a_backlog_that_grows_is_told_from_a_full_server_that_keeps_up() {
        assert_eq!(judged(9.0, 10), None);
        assert_eq!(judged(10.0, 10), None);
        let why = judged(13.0, 10).unwrap();
        assert!(why.contains("Mann-Kendall") && why.contains("backlog went from"), "{why}");
    }

    #[test]
    fn nothing_is_said_before_there_is_enough_to_say_it_by() {
        let limits = Loads::load(&[]).unwrap().limits.unwrap().saturation;
        let (due, sent) = served(30.0, 10, 120.0);
        let at = |now| {
            let course = Course { due: &due, sent: &sent, now, warmup: 20.0, concurrency: 10 };
            over(&course, &limits).is_some()
        };
        assert!(!at(55.0) && at(65.0));
    }
}
