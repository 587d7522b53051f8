//! Files, pipes and standard input that somebody names: never waited for without end, and read within
//! bounds.
//!
//! A pipe, also that of `<(command)` in a shell, is read to its end, but may say nothing for
//! [`SILENCE`] at most and take [`LONGEST`] in all. `-` is standard input, which is read to its end
//! however long that takes. Folders, sockets and devices are refused, but for `/dev/null`, which is
//! empty, and terminals, which are pipes.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

/// How long a pipe may say nothing.
pub const SILENCE: Duration = Duration::from_secs(10);

/// How long a pipe may take in all.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Bytes taken from a pipe at once, and how many such pieces wait for their reader.
const PIECE: usize = 64 << 10;
const WAITING: usize = 4;

/// What was opened.
#[derive(Debug)]
pub enum Input {
    /// A file, which can be read from anywhere.
    File(File),
    /// Bytes that come in their order and time.
    Pipe(Pipe),
    /// Standard input.
    Stdin(io::Stdin),
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Pipe(pipe) => pipe.read(buffer),
            Self::Stdin(stdin) => stdin.read(buffer),
        }
    }
}

/// A pipe with deadlines: it ends with [`io::ErrorKind::TimedOut`] once nothing came for too long.
#[derive(Debug)]
pub struct Pipe {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    until: Instant,
}

impl Pipe {
    /// Opens it on a thread of its own, as even that waits for a writer.
    fn open(path: PathBuf) -> Self {
        let (send, pieces) = sync_channel(WAITING);
        thread::spawn(move || pass_on(&path, &send));
        Self { pieces, piece: io::Cursor::default(), until: Instant::now() + LONGEST }
    }

    fn next(&self) -> io::Result<Vec<u8>> {
        let left = self.until.saturating_duration_since(Instant::now());
        let why = match self.pieces.recv_timeout(SILENCE.min(left)) {
            Ok(piece) => return piece,
            Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
            Err(RecvTimeoutError::Timeout) if left > SILENCE => {
                format!("nothing came through the pipe for {} s", SILENCE.as_secs())
            }
            Err(RecvTimeoutError::Timeout) => {
                format!("the pipe did not end within {} s", LONGEST.as_secs())
            }
        };
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        self.piece = io::Cursor::new(self.next()?);
        self.piece.read(buffer)
    }
}

/// Passes a pipe's bytes on until it ends or nobody wants more.
fn pass_on(path: &Path, to: &SyncSender<io::Result<Vec<u8>>>) {
    let mut pipe = match File::open(path) {
        Ok(pipe) => pipe,
        Err(error) => return drop(to.send(Err(error))),
    };
    loop {
        let mut piece = vec![0; PIECE];
        let read = pipe.read(&mut piece).map(|length| {
            piece.truncate(length);
            piece
        });
        let ended = read.as_ref().map_or(true, Vec::is_empty);
        if to.send(read).is_err() || ended {
            return;
        }
    }
}

/// Opens a path; `-` is standard input.
///
/// # Errors
///
/// The path cannot be opened, or is a folder, a socket or a device.
pub fn open(path: &Path) -> io::Result<Input> {
    if path.as_os_str() == "-" {
        return Ok(Input::Stdin(io::stdin()));
    }
    let kind = fs::metadata(path)?.file_type();
    if kind.is_fifo() || (kind.is_char_device() && is_terminal(path)) {
        return Ok(Input::Pipe(Pipe::open(path.into())));
    }
    if !kind.is_char_device() || !is(path, "/dev/null") {
        plain(kind)?;
    }
    File::open(path).map(Input::File)
}

/// Opens a plain file, and nothing that could be waited for.
///
/// # Errors
///
/// The path cannot be opened, or is something else.
pub fn file(path: &Path) -> io::Result<File> {
    plain(fs::metadata(path)?.file_type())?;
    File::open(path)
}

/// Opens a path whose writer may be silent as long as it likes, such as a log that is followed.
///
/// # Errors
///
/// As those of [`open`].
pub fn follow(path: &Path) -> io::Result<Input> {
    match path.as_os_str() != "-" && fs::metadata(path)?.file_type().is_fifo() {
        true => File::open(path).map(Input::File),
        false => open(path),
    }
}

/// Reads all of a path that holds `most` bytes at most.
///
/// # Errors
///
/// It cannot be read, or holds more.
pub fn bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut body)?;
    match body.len() as u64 > most {
        true => Err(io::Error::other(format!("it is larger than {most} bytes"))),
        false => Ok(body),
    }
}

/// Reads all of a path as text.
///
/// # Errors
///
/// As those of [`bytes`], or it is not UTF-8.
pub fn text(path: &Path, most: u64) -> io::Result<String> {
    let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8");
    String::from_utf8(bytes(path, most)?).map_err(wrong)
}

/// Refuses what is no file, in words.
fn plain(kind: fs::FileType) -> io::Result<()> {
    let (error, what) = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => (io::ErrorKind::IsADirectory, "a folder"),
        kind if kind.is_fifo() => (io::ErrorKind::InvalidInput, "a pipe"),
        kind if kind.is_socket() => (io::ErrorKind::InvalidInput, "a socket"),
        _ => (io::ErrorKind::InvalidInput, "a device"),
    };
    Err(io::Error::new(error, format!("it is {what}, and no file")))
}

fn is(path: &Path, device: &str) -> bool {
    path.canonicalize().is_ok_and(|path| path == Path::new(device))
}

fn is_terminal(path: &Path) -> bool {
    let starts = |path: PathBuf| {
        let name = path.to_string_lossy().into_owned();
        ["/dev/tty", "/dev/pts/", "/dev/console"].iter().any(|start| name.starts_with(start))
    };
    path.canonicalize().is_ok_and(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_waited_for_or_never_ends_is_refused_and_null_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, word) in [
            (folder.path(), "a folder"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
            (Path::new("/dev/urandom"), "a device"),
        ] {
            for error in [open(path).map(drop).unwrap_err(), file(path).map(drop).unwrap_err()] {
                assert!(error.to_string().contains(word), "{}: {error}", path.display());
            }
        }
        assert_eq!(bytes(Path::new("/dev/null"), 0).unwrap(), b"");
    }

    #[test]
    fn more_than_may_be_is_an_error_and_exactly_that_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("five");
        fs::write(&path, "12345").unwrap();
        assert_eq!(text(&path, 5).unwrap(), "12345");
        assert!(text(&path, 4).unwrap_err().to_string().contains("larger than 4 bytes"));
    }

    #[test]
    fn a_pipe_gives_its_bytes_in_order_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let long: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
        let (to, sent) = (path.clone(), long.clone());
        let writer = thread::spawn(move || fs::write(to, sent).unwrap());
        assert_eq!(bytes(&path, 1 << 20).unwrap(), long);
        writer.join().unwrap();
    }
}
