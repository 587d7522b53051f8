//! Reading runbooks, checks, causes and policy: the embedded ones, then the user's own.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_saphyr::Location;

use crate::input;

use super::{
    Cause, Check, Kind, KnownChange, Library, Origin, PolicyEntry, Runbook, TrackRecord,
    expr::Program,
    problem::{Problem, SourceFile, did_you_mean},
    xid::{self, Catalogue},
};

/// A file in the binary.
#[derive(Debug)]
pub struct Embedded {
    /// Path from the root of the repository.
    pub path: &'static str,
    /// The file as people write it.
    pub yaml: &'static str,
    /// The same as JSON, without places: parsed when the binary was built.
    pub json: &'static str,
}

/// The files in the binary, by path.
pub static EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/runbooks.rs"));

/// Why the runbooks could not be loaded. Every file was looked at, so all faults are named.
#[derive(Debug)]
pub struct LoadError {
    /// Folders and files that could not be read: path and reason.
    pub unreadable: Vec<(PathBuf, io::Error)>,
    /// Faults inside files.
    pub problems: Vec<Problem>,
}

impl LoadError {
    /// All faults for a terminal.
    pub fn render(&self, color: bool) -> String {
        let unreadable = self
            .unreadable
            .iter()
            .map(|(path, why)| format!("error: failed to read {}: {why}", path.display()));
        let problems = self.problems.iter().map(|problem| problem.render(color));
        unreadable.chain(problems).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for LoadError {}

impl Library {
    /// What ships in the binary.
    pub fn embedded() -> Result<Self, LoadError> {
        Self::from_files(embedded_files())
    }

    /// What a run needs of the binary: all but the trees that it does not walk (a sweep walks
    /// none). Nothing in it knows its place, as it is read from what the build parsed.
    pub fn embedded_for(runbook: Option<&str>) -> Result<Self, LoadError> {
        let walked = runbook.map(|id| format!("runbooks/{id}.yaml"));
        let needed = |file: &&Embedded| {
            kind_of(file.path) != Kind::Runbook || Some(file.path) == walked.as_deref()
        };
        Self::from_files(EMBEDDED.iter().filter(needed).map(Embedded::compiled).collect())
    }

    /// What ships in the binary, overridden by the files of `user_dirs` in their order.
    pub fn load(user_dirs: &[PathBuf]) -> Result<Self, LoadError> {
        let mut files = embedded_files();
        let mut unreadable = Vec::new();
        for (index, dir) in user_dirs.iter().enumerate() {
            match read_dir(dir, index + 1) {
                Ok(found) => files.extend(found),
                Err(failure) => unreadable.push(failure),
            }
        }
        match Self::from_files(files) {
            Ok(library) if unreadable.is_empty() => Ok(library),
            Ok(_) => Err(LoadError { unreadable, problems: Vec::new() }),
            Err(error) => Err(LoadError { unreadable, ..error }),
        }
    }

    /// Every file that a sealed bundle keeps, so that it is judged alike later: the embedded ones
    /// and the user's, by layer and path in it, e.g. `0/checks/queue.yaml`.
    pub fn to_sealed(&self) -> BTreeMap<String, String> {
        let own = self.files.iter().filter(|file| file.layer > 0).map(|file| (**file).clone());
        let files = embedded_files().into_iter().chain(own);
        files.map(|file| (sealed_name(&file), file.text)).collect()
    }

    /// Reads what [`Self::to_sealed`] gave.
    pub fn from_sealed(sealed: &BTreeMap<String, String>) -> Result<Self, LoadError> {
        let file = |(name, text): (&String, &String)| {
            let (layer, path) = name.split_once('/').unwrap_or(("0", name));
            SourceFile::new(format!("sealed runbooks/{path}"), text, layer.parse().unwrap_or(0))
        };
        let mut files: Vec<_> = sealed.iter().map(file).collect();
        files.sort_by_key(|file| file.layer);
        Self::from_files(files)
    }

    /// Parses files; a later one overrides the ids of an earlier one.
    pub fn from_files(files: Vec<SourceFile>) -> Result<Self, LoadError> {
        let mut library = Self::default();
        let mut problems = Vec::new();
        for file in files {
            if let Err(problem) = library.add_file(file) {
                problems.push(*problem);
            }
        }
        if !problems.is_empty() {
            return Err(LoadError { unreadable: Vec::new(), problems });
        }
        library.programs = library.checks.iter().filter_map(compiled).collect();
        Ok(library)
    }

    fn add_file(&mut self, file: SourceFile) -> Result<(), Box<Problem>> {
        let file = Arc::new(file);
        self.files.push(Arc::clone(&file));
        self.add(&file)
    }

    fn add(&mut self, file: &Arc<SourceFile>) -> Result<(), Box<Problem>> {
        match kind_of(&file.path) {
            Kind::Runbook => {
                let runbook: Runbook = parse(file)?;
                self.note(file, Kind::Runbook, &runbook.id.value, Some(runbook.id.referenced));
                self.runbooks.insert(runbook.id.value.clone(), runbook);
            }
            Kind::Check => {
                for check in parse::<Vec<Check>>(file)? {
                    self.note(file, Kind::Check, &check.id.value, Some(check.id.referenced));
                    self.checks.insert(check.id.value.clone(), check);
                }
            }
            Kind::Cause => {
                for cause in parse::<Vec<Cause>>(file)? {
                    self.note(file, Kind::Cause, &cause.id.value, Some(cause.id.referenced));
                    self.causes.insert(cause.id.value.clone(), cause);
                }
            }
            Kind::Policy => self.add_policy(file)?,
            Kind::Versions => {
                for change in parse::<Vec<KnownChange>>(file)? {
                    self.note(file, Kind::Versions, &change.id.value, Some(change.id.referenced));
                    self.versions.insert(change.id.value.clone(), change);
                }
            }
            Kind::Xid => {
                for (code, row) in parse::<Catalogue>(file)?.rows() {
                    let id = xid::id(row.code);
                    self.note(file, Kind::Xid, &id, Some(code.referenced));
                    self.xids.insert(id, row);
                }
            }
            Kind::TrackRecord => {
                self.track_record = parse::<TrackRecord>(file)?;
            }
        }
        Ok(())
    }

    /// A user's entry may leave `about` out: it keeps the shipped text.
    fn add_policy(&mut self, file: &Arc<SourceFile>) -> Result<(), Box<Problem>> {
        for (name, given) in parse::<BTreeMap<String, PolicyText>>(file)? {
            let shipped = self.policy.get(&name).map(|entry| entry.about.clone());
            let about = given.about.or(shipped).unwrap_or_else(|| format!("Set in {}.", file.path));
            self.note(file, Kind::Policy, &name, None);
            let by_user = file.layer > 0;
            self.policy.insert(name, PolicyEntry { value: given.value, about, by_user });
        }
        Ok(())
    }

    /// Remembers where an item stands. The same id twice in one directory is kept for lint.
    fn note(&mut self, file: &Arc<SourceFile>, kind: Kind, id: &str, at: Option<Location>) {
        let span = match at {
            Some(location) => file.span(location),
            None => file.find_from(0, id).unwrap_or(0..0),
        };
        let origin = Origin { file: Arc::clone(file), span };
        let key = (kind, id.to_owned());
        if let Some(earlier) = self.origins.insert(key.clone(), origin)
            && earlier.file.layer == file.layer
        {
            self.duplicates.push((key, earlier));
        }
    }
}

/// The condition of a check, compiled once. A check whose condition does not compile has none, so
/// its answer is Unknown; lint says why.
fn compiled((id, check): (&String, &Check)) -> Option<(String, Arc<Program>)> {
    let program = Program::compile(&check.when.as_ref()?.value).ok()?;
    Some((id.clone(), Arc::new(program)))
}

/// Ids and titles of the embedded runbooks, read from their first lines: the command line needs
/// them at every start, and parsing all files for that would cost more than the whole start.
pub fn embedded_titles() -> Vec<(&'static str, &'static str)> {
    let value = |text: &'static str, key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)).map_or("", str::trim)
    };
    EMBEDDED
        .iter()
        .filter(|file| kind_of(file.path) == Kind::Runbook)
        .map(|file| (value(file.yaml, "id:"), value(file.yaml, "title:")))
        .collect()
}

/// An entry of policy.yaml as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    value: f64,
    #[serde(default)]
    about: Option<String>,
}

fn embedded_files() -> Vec<SourceFile> {
    EMBEDDED.iter().map(Embedded::source).collect()
}

impl Embedded {
    fn source(&self) -> SourceFile {
        SourceFile::new(self.path, self.yaml, 0)
    }

    /// The file as the build parsed it; nothing read from it knows its place.
    pub fn compiled(&self) -> SourceFile {
        SourceFile { compiled: Some(self.json), ..self.source() }
    }
}

fn sealed_name(file: &SourceFile) -> String {
    let mut parts = file.path.rsplit(['/', '\\']);
    let name = parts.next().unwrap_or_default();
    let folder = parts.next().filter(|folder| ["checks", "causes"].contains(folder));
    let folder = folder.map(|folder| format!("{folder}/")).unwrap_or_default();
    format!("{}/{folder}{name}", file.layer)
}

/// The folder tells what a file holds.
fn kind_of(path: &str) -> Kind {
    let mut parts = path.rsplit(['/', '\\']);
    let name = parts.next().unwrap_or_default();
    match parts.next() {
        Some("checks") => Kind::Check,
        Some("causes") => Kind::Cause,
        _ if name == "policy.yaml" || name == "policy.yml" => Kind::Policy,
        _ if name == "versions.yaml" => Kind::Versions,
        _ if name == "xid.yaml" => Kind::Xid,
        _ if name == "track-record.yaml" => Kind::TrackRecord,
        _ => Kind::Runbook,
    }
}

/// Reads a file; a fault is told with its place.
pub fn parse<T: DeserializeOwned>(file: &Arc<SourceFile>) -> Result<T, Box<Problem>> {
    if let Some(json) = file.compiled {
        let failed = |error| Box::new(Problem::error(file, 0..0, format!("{error}")));
        return serde_json::from_str(json).map_err(failed);
    }
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(&file.text, options).map_err(|error| {
        let span = error.location().map_or(0..0, |location| file.span(location));
        let text = error.without_snippet().to_string();
        let message = text.rsplit_once(" at line ").map_or(&*text, |(before, _)| before).to_owned();
        let help = unknown_field_help(&message);
        Box::new(Problem::error(file, span, message).with_help(help))
    })
}

/// For "unknown field `x`, expected one of a, b": the expected name that `x` is near to.
fn unknown_field_help(message: &str) -> Option<String> {
    let (unknown, expected) = message.split_once("expected one of ")?;
    let word = unknown.split('`').nth(1)?;
    did_you_mean(word, expected.split(", ").map(|name| name.trim_matches('`')))
}

/// Largest file of a user, bytes: reading YAML and pointing into it takes long beyond.
const MOST: u64 = 1 << 20;

/// A path that could not be read, and why.
pub type Unreadable = (PathBuf, io::Error);

/// Every YAML file of a user's directory, in the order of names.
fn read_dir(dir: &Path, layer: usize) -> Result<Vec<SourceFile>, Unreadable> {
    let mut paths = yaml_files(dir).map_err(|why| (dir.to_path_buf(), why))?;
    for folder in ["checks", "causes"] {
        let folder = dir.join(folder);
        if folder.is_dir() {
            paths.extend(yaml_files(&folder).map_err(|why| (folder.clone(), why))?);
        }
    }
    paths.into_iter().map(|path| read_file(path, layer)).collect()
}

/// The files of a user's `monitoring/` or `load/`, in the order of names; none where there is no
/// such folder.
pub fn files_of(dir: &Path, folder: &str, layer: usize) -> Result<Vec<SourceFile>, Unreadable> {
    let folder = dir.join(folder);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let paths = yaml_files(&folder).map_err(|why| (folder.clone(), why))?;
    paths.into_iter().map(|path| read_file(path, layer)).collect()
}

fn read_file(path: PathBuf, layer: usize) -> Result<SourceFile, Unreadable> {
    match input::text(&path, MOST) {
        Ok(text) => Ok(SourceFile::new(path.display().to_string(), text, layer)),
        Err(why) => Err((path, why)),
    }
}

#[expect(clippy::disallowed_methods, reason = "the user's own runbooks, read once at the start")]
fn yaml_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        // What cannot be read is told when it is read, not passed over.
        if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str, layer: usize) -> SourceFile {
        SourceFile::new(path, text, layer)
    }

    #[test]
    fn the_embedded_library_loads_and_its_titles_are_found_without_parsing() {
        let library = Library::embedded().unwrap();
        let parsed: Vec<_> =
            library.runbooks.values().map(|book| (&*book.id.value, &*book.title)).collect();
        let mut scanned = embedded_titles();
        scanned.sort_unstable();
        assert_eq!(scanned, parsed);
        assert!(library.policy.values().all(|entry| !entry.by_user));
    }

    #[test]
    fn sealed_files_give_the_same_library_with_the_users_over_the_shipped() {
        let own = file("/etc/mine/policy.yaml", "ttft_p95_seconds: {value: 9}\n", 1);
        let mut files = embedded_files();
        files.push(own);
        let library = Library::from_files(files).unwrap();
        let again = Library::from_sealed(&library.to_sealed()).unwrap();
        assert_eq!(again.policy["ttft_p95_seconds"].value, 9.0);
        let ids = |it: &Library| -> Vec<String> {
            let all = it.checks.keys().chain(it.causes.keys()).chain(it.runbooks.keys());
            all.chain(it.versions.keys()).chain(it.xids.keys()).cloned().collect()
        };
        assert_eq!(ids(&again), ids(&library));
        assert_eq!(again.programs.len(), library.programs.len());
    }

    #[test]
    fn a_known_change_concerns_the_versions_of_its_range() {
        let library = Library::embedded().unwrap();
        let concerns = |id: &str, version: &str| {
            library.versions[id]
                .concerns(crate::signals::families::Version::parse(version).unwrap())
        };
        let eviction = "prefix-eviction-0-4-2";
        assert_eq!(
            ["0.4.1", "0.4.2", "0.4.3"].map(|v| concerns(eviction, v)),
            [false, true, false]
        );
        let open = "async-scheduling-0-14-0";
        assert_eq!(["0.13.0", "0.14.0", "0.33.0"].map(|v| concerns(open, v)), [false, true, true]);
    }

    #[test]
    fn a_users_policy_overrides_the_number_and_keeps_the_text() {
        let shipped = file("runbooks/policy.yaml", "slo:\n  value: 2.0\n  about: Ours.\n", 0);
        let own = file("/etc/mine/policy.yaml", "slo: {value: 3}\n", 1);
        let library = Library::from_files(vec![shipped, own]).unwrap();
        let entry = &library.policy["slo"];
        assert_eq!((entry.value, entry.about.as_str(), entry.by_user), (3.0, "Ours.", true));
        assert_eq!(library.duplicates.len(), 0);
    }

    #[test]
    fn a_misspelt_field_is_shown_under_its_line_with_the_name_meant() {
        let text = "- id: a\n  quesion: Is it?\n";
        let error = Library::from_files(vec![file("checks/x.yaml", text, 1)]).unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains("checks/x.yaml:2:3"), "{shown}");
        assert!(shown.contains("did you mean `question`?"), "{shown}");
    }

    #[test]
    fn the_same_id_twice_in_one_directory_is_remembered_and_an_override_is_not() {
        let check = "- {id: a, question: Q?, when: 'true', group: queue, yes: Y, no: N}\n";
        let files = vec![
            file("runbooks/checks/a.yaml", check, 0),
            file("x/checks/a.yaml", check, 1),
            file("x/checks/b.yaml", check, 1),
        ];
        let library = Library::from_files(files).unwrap();
        assert_eq!(library.duplicates.len(), 1);
        assert_eq!(library.origins[&(Kind::Check, "a".into())].file.path, "x/checks/b.yaml");
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_it() {
        let error = Library::load(&["/no/such/dir".into()]).unwrap_err();
        assert!(error.to_string().contains("/no/such/dir"), "{error}");
    }
}
