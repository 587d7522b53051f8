//! Every source asked once, as briefly as it can be.

use std::time::Duration;

use crate::{
    cli::Source,
    commands::{Failure, history, live::Gathered, run, write},
    config::Settings,
    evidence::{SourceState, SourceStatus},
    exit::Exit,
    report::{text::wrap, words},
    sources::{self, nvml},
    unit::counted,
};

/// How far back sources of history are asked: enough to see what they hold.
const BACK: Duration = Duration::from_secs(300);

/// Asks, and tells what each source can see. Not all have answered is exit code 3.
pub(super) fn check(mut settings: Settings) -> anyhow::Result<Exit> {
    settings.quiet = true;
    settings.history.back = settings.history.back.min(BACK);
    // A window of no length is one round of questions.
    settings.window = Some(Duration::ZERO);
    let (gathered, lost) = gather(&settings)?;
    if let Some(exit) = gathered.cut_short {
        return Ok(exit);
    }
    let mut found = sources::read(&gathered.bundle).sources;
    found.extend(lost);
    found.sort_by_key(|status| (!is_asked(&settings, status), status.id.clone()));
    write::print(&told(&settings, &found))?;
    let asked = found.iter().any(|status| is_asked(&settings, status));
    let silent = silent(&settings, &found).next().is_some();
    Ok(if silent || !asked { Exit::Inconclusive } else { Exit::Clean })
}

/// What all sources say; where no server is found on this host, what the others say beside that.
fn gather(settings: &Settings) -> anyhow::Result<(Gathered, Option<SourceStatus>)> {
    let error = match run::gather(settings) {
        Ok(gathered) => return Ok((gathered, None)),
        Err(error) => error,
    };
    let Some(failure) = error.downcast_ref::<Failure>() else { return Err(error) };
    if failure.exit != Exit::Inconclusive {
        return Err(error);
    }
    let lost = SourceStatus {
        id: "metrics".into(),
        status: SourceState::Unreachable,
        detail: format!("no vLLM server on this host:{}", failure.happened),
        took_ms: None,
    };
    let gpus = settings.live.sources.contains(&Source::Nvml).then(|| {
        let library = settings.live.nvml_library.clone();
        nvml::Sampler::start(nvml::Options { library, deadline: settings.live.timeout })
    });
    let mut gathered = history::recall(&settings.history, &settings.live)?;
    if let Some(gpus) = gpus {
        gpus.finish(&mut gathered.bundle);
    }
    run::leave_out(&mut gathered.bundle, &settings.live.sources);
    gathered.bundle.meta.sources.retain(|status| status.id != lost.id);
    Ok((gathered, Some(lost)))
}

/// Whether somebody wants a source, and not only the tool itself.
fn is_asked(settings: &Settings, status: &SourceStatus) -> bool {
    let live = &settings.live;
    status.status != SourceState::NotConfigured
        && match status.id.as_str() {
            "nvml" => live.nvml_library.is_some(),
            "kernel" => live.kernel_log.is_some(),
            "host" => live.host_root.is_some(),
            _ => true,
        }
}

/// Sources that somebody wants and that do not answer.
fn silent<'a>(
    settings: &'a Settings,
    found: &'a [SourceStatus],
) -> impl Iterator<Item = &'a SourceStatus> {
    found.iter().filter(|it| is_asked(settings, it) && !it.status.answered())
}

fn told(settings: &Settings, found: &[SourceStatus]) -> String {
    let mut out = "\nSources\n".to_owned();
    for status in found {
        let text = format!("{}: {}", words::source_state(status.status), status.detail);
        out += &super::line(&status.id, &text, settings.width);
    }
    let count = found.iter().filter(|status| is_asked(settings, status)).count();
    let silent: Vec<&str> = silent(settings, found).map(|status| status.id.as_str()).collect();
    let asked = counted(count, "source");
    let end = match silent.len() {
        0 if count == 0 => "No source could be asked.".into(),
        0 => format!("All of {asked} answered."),
        n => format!("{n} of {asked} did not answer: {}.", silent.join(", ")),
    };
    out + "\n" + &wrap(&end, settings.width).join("\n") + "\n"
}
