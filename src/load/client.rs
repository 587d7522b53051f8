//! Whether the client kept up: where it did not, its numbers are its own and not the server's.

use super::{
    limits::ClientLimits,
    measure::rounded,
    result::{ClientCheck, ClientRow},
};
use crate::{
    evidence::exchange::{Exchange, Outcome},
    stats::spread::Spread,
    unit::Unit,
};

/// Judges the client by the lateness of its timers, its CPU share (`None` where it cannot be read)
/// and its requests.
pub fn check(
    limits: &ClientLimits,
    lag: &Spread,
    cpu_share: Option<f64>,
    records: &[Exchange],
) -> ClientCheck {
    let late: Spread = records.iter().filter_map(Exchange::send_late).collect();
    let errors = records.iter().filter(|it| it.outcome == Outcome::Client).count() as f64;
    let p99 = |spread: &Spread| spread.quantile(0.99).map(rounded);
    let rows = [
        ("loop_lag_p99", "P99 lateness of a timer", Unit::Seconds, p99(lag), limits.loop_lag_p99),
        ("cpu_share", "Use of its core", Unit::Ratio, cpu_share, limits.cpu_share),
        (
            "send_late_p99",
            "P99 lateness of sending, waits for slots left out",
            Unit::Seconds,
            p99(&late),
            limits.send_late_p99,
        ),
        (
            "client_errors",
            "Requests it could not send",
            Unit::Count,
            Some(errors),
            limits.client_errors,
        ),
    ];
    let rows: Vec<ClientRow> = rows
        .into_iter()
        .map(|(id, title, unit, value, limit)| ClientRow {
            id: id.into(),
            title: title.into(),
            value,
            unit,
            limit,
            ok: value.is_none_or(|value| value <= limit),
        })
        .collect();
    ClientCheck { valid: rows.iter().all(|row| row.ok), rows }
}
