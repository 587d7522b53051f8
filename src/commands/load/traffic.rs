//! Prompts and traces that the user gives as files.

use std::{
    io::{self, BufRead, BufReader},
    path::Path,
};

use super::super::given;
use crate::{
    cli::TrafficArgs,
    commands::Failure,
    config::Settings,
    exit::Exit,
    input::{self, Input},
    load::prompts::{Given, Prompts, Recorded},
    sources::gateway,
};

/// Most records of a trace.
const MOST_RECORDS: usize = 1_000_000;

/// Where prompts come from.
pub(super) fn prompts(flags: &TrafficArgs, settings: &Settings) -> anyhow::Result<Prompts> {
    if let Some(file) = &flags.prompts {
        return Ok(Prompts::Given(given_prompts(file, settings.live.max_body)?));
    }
    let Some(file) = &flags.trace else { return Ok(Prompts::Mix) };
    let fields = given::fields(&settings.live.gateway_fields)?;
    let mut records = Vec::new();
    let read = open(file).and_then(|mut reader| {
        gateway::each(&mut reader, &fields, |record| {
            if records.len() < MOST_RECORDS {
                let whole =
                    |tokens: Option<f64>| tokens.map(|tokens| tokens.clamp(1.0, 1e6) as u32);
                records.push(Recorded {
                    at: record.at,
                    prompt_tokens: whole(record.input_tokens),
                    output_tokens: whole(record.output_tokens),
                    adapter: record.adapter,
                });
            }
            Ok(())
        })
    });
    read.map_err(|error| unusable(file, &error.to_string()))?;
    records.sort_by(|a, b| a.at.total_cmp(&b.at));
    let Some(first) = records.first().map(|it| it.at) else {
        return Err(unusable(file, "it holds no record with a time").into());
    };
    records.iter_mut().for_each(|it| it.at -= first);
    Ok(Prompts::Recorded(records))
}

fn given_prompts(file: &Path, most: u64) -> Result<Vec<Given>, Failure> {
    let reader = open(file).map_err(|error| unusable(file, &error.to_string()))?;
    let (mut prompts, mut bytes) = (Vec::new(), 0);
    for (number, line) in reader.lines().enumerate() {
        let line = line.map_err(|error| unusable(file, &error.to_string()))?;
        bytes += line.len() as u64;
        if bytes > most {
            return Err(unusable(file, &format!("it is larger than {most} bytes (--max-body)")));
        }
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |why: String| unusable(file, &format!("line {}: {why}", number + 1));
        let given: Given = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        if given.prompt.is_none() && given.messages.is_none() {
            return Err(wrong("it has neither `prompt` nor `messages`".into()));
        }
        prompts.push(given);
    }
    if prompts.is_empty() {
        return Err(unusable(file, "it holds no prompt"));
    }
    Ok(prompts)
}

fn open(file: &Path) -> io::Result<BufReader<Input>> {
    input::open(file).map(BufReader::new)
}

fn unusable(file: &Path, why: &str) -> Failure {
    Failure {
        tried: format!("read what to send from {}", file.display()),
        happened: why.into(),
        next: "JSON lines: a prompt each for --prompts, a gateway's record each for --trace".into(),
        exit: Exit::Failed,
    }
}
