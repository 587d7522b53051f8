//! The one writer: results to stdout or a file, everything else to stderr.

use std::{
    fs::{DirBuilder, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    path::Path,
};

use anyhow::Context;
use tempfile::NamedTempFile;

use super::Failure;
use crate::{exit::Exit, hazard};

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

/// Writes to stdout as it comes. A reader that went away (`| head`) is no error, and gives `None`.
pub(crate) fn stream<T>(
    write: impl FnOnce(&mut dyn Write) -> io::Result<T>,
) -> anyhow::Result<Option<T>> {
    match write(&mut io::stdout().lock()) {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(None),
        Err(error) => Err(error).context("failed to write to stdout"),
    }
}

/// Writes a line for people to stderr. Names of entries, models and servers come from outside:
/// what could act on a terminal is spelt out.
pub(crate) fn note(text: &str) {
    // Where stderr is gone, nobody can be told.
    let _ = writeln!(io::stderr().lock(), "{}", hazard::spelt(text));
}

/// Refuses a destination that cannot be written, before anything is gathered for it.
pub(crate) fn check_destination(path: &Path) -> Result<(), Failure> {
    let refused = |happened: String| Failure {
        tried: format!("write {}", path.display()),
        happened,
        next: "another --output".into(),
        exit: Exit::Failed,
    };
    let folder = parent(path);
    match folder.is_dir() {
        _ if path.is_dir() => Err(refused("it is a folder".into())),
        false => Err(refused(format!("there is no folder {}", folder.display()))),
        true => Ok(()),
    }
}

/// Writes a file: all of it or nothing, also when the disk is full or the process is killed. A new
/// one is for its owner only, as reports name models, hosts and lines of logs. Links, pipes, devices
/// and the mode of a file that is there stay what they are.
pub(crate) fn file(path: &Path, text: &str) -> anyhow::Result<()> {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    let text = format!("{text}{newline}");
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let written = match target.metadata() {
        Ok(there) if !there.is_file() => stream_into(&target, &text),
        Ok(there) => replace(&target, &text, Some(there.permissions())),
        Err(_) => replace(&target, &text, None),
    };
    written
        .with_context(|| format!("failed to write {}; nothing was changed there", path.display()))
}

/// Writes a file that only its owner may read, in place of what is there.
pub(crate) fn private(path: &Path, body: &[u8]) -> io::Result<()> {
    let mut temporary = tempfile::Builder::new().tempfile_in(parent(path))?;
    temporary.write_all(body)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Makes a folder that only its owner may enter, where there is none.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A pipe or a device has nothing to keep whole, and must not be replaced.
fn stream_into(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

fn replace(path: &Path, text: &str, mode: Option<Permissions>) -> io::Result<()> {
    let mut temporary = NamedTempFile::new_in(parent(path))?;
    temporary.write_all(text.as_bytes())?;
    if let Some(mode) = mode {
        temporary.as_file().set_permissions(mode)?;
    }
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The folder that a path lies in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
    fn a_destination_that_cannot_be_written_is_named() {
        let path = Path::new("/no/such/dir/report.md");
        let error = file(path, "x").unwrap_err();
        assert!(error.to_string().contains("/no/such/dir/report.md"), "{error}");
        let refused = check_destination(path).unwrap_err().to_string();
        assert!(refused.contains("there is no folder /no/such/dir"), "{refused}");
        assert!(check_destination(Path::new("/")).unwrap_err().happened.contains("a folder"));
        check_destination(Path::new("report.md")).unwrap();
    }

    #[cfg(unix)]
    #[test]
    #[expect(clippy::disallowed_methods, reason = "looks at what was written")]
    fn links_modes_and_devices_stay_what_they_are() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.md"), dir.path().join("link.md"));
        std::fs::write(&real, "old").unwrap();
        std::fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        file(&link, "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "new\n");
        assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        let null = dir.path().join("null");
        symlink("/dev/null", &null).unwrap();
        file(&null, "x").unwrap();
        assert!(Path::new("/dev/null").metadata().unwrap().file_type().is_char_device());
    }
}
