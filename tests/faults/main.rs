//! Every source with every fault, through the built program over real sockets and files: it ends in
//! time, all other sources still answer, the faulty one says what happened, and nobody reads
//! "healthy". What each cell must give stands in `fixtures/faults.yaml`, which the documentation
//! shows.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[cfg(feature = "aws")]
#[path = "../support/aws/mod.rs"]
mod aws;
#[path = "../support/cli.rs"]
mod cli;
#[cfg(feature = "aws")]
#[path = "../support/cloud/mod.rs"]
mod cloud;
#[cfg(feature = "aws")]
#[path = "cloud.rs"]
mod cloud_services;
mod files;
mod network;
mod servers;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{LazyLock, Mutex},
    thread,
};

use cli::Ran;
use diagnose::commands::faults::{self, Fault, Matrix, Table};
use serde_json::Value;

/// Runs side by side: most of their time they wait.
const AT_ONCE: usize = 5;

static MATRIX: LazyLock<Matrix> =
    LazyLock::new(|| faults::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap());

/// Status and detail of each source in a report.
type Sources = BTreeMap<String, (String, String)>;

fn sources(report: &Value) -> Sources {
    let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    let of = |it: &Value| (text(it, "id"), (text(it, "status"), text(it, "detail")));
    report["sources"].as_array().unwrap().iter().map(of).collect()
}

/// Runs every cell of a table and tells all that are not as they must be.
fn assert_table(table: &Table, run: impl Fn(&str, &Fault) -> Result<(), String> + Sync) {
    let cells = table
        .faults
        .iter()
        .flat_map(|fault| fault.gives.keys().map(move |source| (source.as_str(), fault)));
    let cells: Mutex<VecDeque<_>> = Mutex::new(cells.collect());
    let wrong = Mutex::new(Vec::new());
    let next = || cells.lock().unwrap().pop_front();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((source, fault)) = next() {
                    if let Err(why) = run(source, fault) {
                        wrong.lock().unwrap().push(format!("{source} × {}: {why}", fault.id));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What holds for each run, whatever was wrong: it is foreseen, and in time.
fn calm(ran: &Ran, table: &Table, cell: &Cell<'_>) -> Result<(), String> {
    if !(0..=3).contains(&ran.code) || ran.said().contains("panicked") {
        return Err(format!("exit {}: {}", ran.code, ran.said()));
    }
    let bound = table.bound(cell.source, cell.fault);
    match ran.took > bound {
        true => Err(format!("it took {:?} of {bound:?}", ran.took)),
        false => Ok(()),
    }
}

/// Compares a report with what the cell must give, and with that of the world without a fault.
fn judged(ran: &Ran, fine: &Sources, cell: &Cell<'_>) -> Result<(), String> {
    let report: Value = serde_json::from_str(&ran.stdout)
        .map_err(|error| format!("no report ({error}): {}", ran.said()))?;
    let now = sources(&report);
    for (id, (status, _)) in fine.iter().filter(|(id, _)| !cell.concerns.contains(&id.as_str())) {
        let seen = now.get(id).map_or("none", |(status, _)| status);
        if seen != status {
            return Err(format!("{id} was {status} and is {seen}: {:?}", now.get(id)));
        }
    }
    let (status, detail) = now.get(cell.id).cloned().unwrap_or_default();
    let wanted = &cell.fault.gives[cell.source];
    if !wanted.contains(&status) {
        return Err(format!("it is {status} ({detail}), not {wanted:?}"));
    }
    let bad = !["ok", "partial"].contains(&status.as_str());
    let says = |word: &String| detail.to_lowercase().contains(&word.to_lowercase());
    if bad && !cell.fault.says.is_empty() && !cell.fault.says.iter().any(says) {
        return Err(format!("`{detail}` says none of {:?}", cell.fault.says));
    }
    let healthy = report["verdict"] == "healthy" || ran.code == 0;
    let numbers = cell.fault.id == "numbers";
    if cell.needed && (bad || numbers) && healthy {
        return Err(format!("{} with exit {}: {detail}", report["verdict"], ran.code));
    }
    Ok(())
}

/// One cell.
#[derive(Clone, Copy)]
struct Cell<'a> {
    source: &'a str,
    /// Id of its status in a report.
    id: &'a str,
    fault: &'a Fault,
    /// Sources that the fault may touch.
    concerns: &'a [&'a str],
    /// Whether nothing can be called healthy without the source.
    needed: bool,
}
