//! What `diagnose` alone says: what it is, and what to type next.

use super::examples::{Example, SERVER, example};
use crate::{
    config::{self, Environment},
    report::text::{shorten_middle, wrap},
    runbook::load::embedded_titles,
};

/// Columns of the screen.
const WIDTH: usize = 80;
/// Columns of a command.
const COMMAND: usize = 44;

/// At most ten lines. Nothing is probed: whoever types the name alone has asked for nothing yet.
pub(super) fn screen(env: &Environment) -> String {
    let url = config::settings(&Default::default(), env).ok().and_then(|it| it.live.url);
    lines(url.as_deref()).join("\n")
}

fn lines(url: Option<&str>) -> Vec<String> {
    let mut lines = vec![
        "diagnose names why a self-hosted vLLM server is slow, with the evidence.".to_owned(),
        String::new(),
    ];
    lines.extend(next(url).iter().map(|Example { says, command }| {
        format!("  {command:<COMMAND$}  {}", shorten_middle(says, WIDTH - COMMAND - 4))
    }));
    lines.push(String::new());
    let books: Vec<&str> = embedded_titles().into_iter().map(|(id, _)| id).collect();
    lines.extend(wrap(&format!("Runbooks: {}", books.join(", ")), WIDTH));
    lines
        .push("`diagnose --help` lists all commands and flags, `diagnose explain` all ids.".into());
    lines
}

/// The commands to type next; settings that name a server make its flag needless.
fn next(url: Option<&str>) -> [Example; 3] {
    let all = match url {
        Some(url) => example(format!("asks {url}"), "sweep"),
        None => example("all there is to ask a server", format!("sweep --url {SERVER}")),
    };
    [
        example("on its host: finds and asks it", "high-ttft"),
        all,
        example("judges what `collect` recorded", "high-ttft --replay incident.tar.zst"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    #[test]
    fn it_fits_ten_lines_of_eighty_columns_whatever_the_settings_name() {
        let long = format!("https://{}.example.org:8443/gateway", "inference-".repeat(9));
        for url in [None, Some("http://10.0.0.7:8000"), Some(long.as_str())] {
            let lines = lines(url);
            assert!(lines.len() <= 10, "{lines:#?}");
            assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        }
    }

    #[test]
    fn it_names_every_runbook_and_only_commands_that_the_program_takes() {
        let text = lines(None).join("\n");
        for (id, _) in embedded_titles() {
            assert!(text.contains(id), "{id}\n{text}");
        }
        for Example { command, .. } in next(None).iter().chain(&next(Some("http://x"))) {
            assert!(cli::parse(command.split(' ').map(Into::into)).is_ok(), "{command}");
        }
    }
}
