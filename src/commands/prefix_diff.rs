//! `diagnose prefix-diff`: what requests share at their beginning, and which field ends it.

use std::{io::BufReader, path::Path};

use super::{Failure, write};
use crate::{
    cli::{PlainFormat, PrefixDiffArgs},
    exit::Exit,
    input,
    prefix::{
        Scale, many, pair,
        read::{self, Input},
        render::{Answer, Page},
    },
};

/// Columns where the output is no terminal.
const COLUMNS: usize = 80;

/// Compares the prompts and says whether a volatile field breaks their prefix.
pub fn run(args: &PrefixDiffArgs) -> anyhow::Result<Exit> {
    if let Some(path) = &args.output {
        write::check_destination(path)?;
    }
    let page = page(args)?;
    let text = match args.format.unwrap_or(PlainFormat::Terminal) {
        PlainFormat::Terminal => page.terminal(columns(args)),
        PlainFormat::Json => page.json()?,
    };
    match &args.output {
        Some(path) => write::file(path, &text)?,
        None => write::print(&text)?,
    }
    Ok(if page.broken() { Exit::Finding } else { Exit::Clean })
}

fn columns(args: &PrefixDiffArgs) -> usize {
    let size = terminal_size::terminal_size().filter(|_| args.output.is_none());
    size.map_or(COLUMNS, |(width, _)| usize::from(width.0).min(100))
}

fn page(args: &PrefixDiffArgs) -> Result<Page, Failure> {
    let scale = Scale { block_size: args.block_size, chars_per_token: args.chars_per_token };
    let old = read(&args.old)?;
    let mut notes = notes(&old, &args.old);
    let answer = match &args.new {
        Some(path) if path == &args.old && is_stdin(path) => {
            return Err(failed("read stdin twice", "it can be read once only", Exit::Failed));
        }
        Some(path) => {
            let new = read(path)?;
            notes.extend(self::notes(&new, path));
            let (Some(a), Some(b)) = (old.prompts.first(), new.prompts.first()) else {
                let empty = if old.prompts.is_empty() { (&old, &args.old) } else { (&new, path) };
                return Err(too_few(empty.0, empty.1));
            };
            if old.prompts.len() + new.prompts.len() > 2 {
                notes.push("only the first request of each file is compared".into());
            }
            Answer::Pair(Box::new(pair::compare(a, b, &scale)))
        }
        None => match old.prompts.as_slice() {
            [] | [_] => return Err(too_few(&old, &args.old)),
            prompts => Answer::Many(Box::new(many::compare(prompts, &scale))),
        },
    };
    notes.extend(joined(&old));
    Ok(Page { schema_version: 1, command: "prefix-diff", scale, answer, notes })
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn read(path: &Path) -> Result<Input, Failure> {
    let read = input::open(path)
        .and_then(|input| read::read(&mut BufReader::with_capacity(1 << 16, input)));
    read.map_err(|error| {
        failed(&format!("read {}", path.display()), &error.to_string(), Exit::Failed)
    })
}

fn failed(tried: &str, happened: &str, exit: Exit) -> Failure {
    let next = "two prompt files, or one file of many requests (JSON lines)".into();
    Failure { tried: tried.into(), happened: happened.into(), next, exit }
}

fn too_few(input: &Input, path: &Path) -> Failure {
    let happened = match (input.prompts.len(), input.without_prompt) {
        (0, 0) => "no request is in it".into(),
        (0, n) => format!(
            "none of its {n} records holds a prompt (`messages`, `prompt`, or a body in `request`, \
             `body` or `inputs`)"
        ),
        _ => "one request alone has nothing to be compared with".to_string(),
    };
    failed(&format!("compare the prompts of {}", path.display()), &happened, Exit::Inconclusive)
}

fn notes(input: &Input, path: &Path) -> Vec<String> {
    let name = path.display();
    let mut notes = Vec::new();
    if input.without_prompt > 0 {
        notes.push(format!("{} records of {name} hold no prompt", input.without_prompt));
    }
    if input.unreadable > 0 {
        notes.push(format!("{} lines of {name} are no JSON", input.unreadable));
    }
    if let Some(kept) = input.kept {
        notes.push(format!("only the first {kept} bytes of each prompt of {name} are compared"));
    } else if input.prompts.iter().any(|prompt| prompt.cut) {
        notes.push(format!("{name} holds a prompt that is too long; its beginning is compared"));
    }
    notes
}

/// How a chat was joined, as the bytes counted are not those that the template writes.
fn joined(input: &Input) -> Option<String> {
    let mut parts = input.prompts.iter().flat_map(|prompt| &prompt.parts);
    let tools =
        input.prompts.iter().any(|prompt| prompt.parts.iter().any(|part| part.label == "tools"));
    let first = if tools { "tools first, as most chat templates put them, then " } else { "" };
    parts.any(|part| part.body > part.start).then(|| {
        format!(
            "bytes count the chat joined ({first}role and text of each message); the template's \
             own tokens are not in them"
        )
    })
}
