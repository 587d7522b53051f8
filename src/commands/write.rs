//! The one writer: results to stdout or a file, everything else to stderr.

use std::{
    io::{self, ErrorKind, Write},
    path::Path,
};

use anyhow::Context;

/// Writes a result to stdout. A reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| match text.ends_with('\n') {
        true => stdout.flush(),
        false => stdout.write_all(b"\n").and_then(|()| stdout.flush()),
    });
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("failed to write to stdout"),
    }
}

/// Writes a line for people to stderr.
pub(crate) fn note(text: &str) {
    // Where stderr is gone, nobody can be told.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a file: all of it or nothing, also when the disk is full or the process is killed.
pub(crate) fn file(path: &Path, text: &str) -> anyhow::Result<()> {
    replace(path, text)
        .with_context(|| format!("failed to write {}; nothing was changed there", path.display()))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.tempfile_in(parent.unwrap_or(Path::new(".")))?;
    temporary.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        temporary.write_all(b"\n")?;
    }
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "looks at what was written")]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.md");
        file(&path, "one").unwrap();
        file(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = file(Path::new("/no/such/dir/report.md"), "x").unwrap_err();
        assert!(error.to_string().contains("/no/such/dir/report.md"), "{error}");
    }
}
