//! Writing a bundle: whole or not at all, for its owner only, and the same bytes every time.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::Builder;

use super::{Bundle, BundleError, FORMAT_VERSION, MetaFile, Redact};

impl Bundle {
    /// Writes the bundle as `.tar.zst` or as a folder, by the name of `path`. Secrets that
    /// [`Bundle::redact`] knows are replaced before.
    pub fn save(&self, path: &Path) -> Result<(), BundleError> {
        Self::check_format(path)?;
        let mut hidden = self.clone();
        hidden.redact(Redact::default());
        hidden.write(path)
    }

    fn write(&self, path: &Path) -> Result<(), BundleError> {
        if is_archive(path) {
            return self.save_archive(path).map_err(|error| write_error(path, error));
        }
        let empty = fs::read_dir(path).map(|mut entries| entries.next().is_none());
        if path.exists() && !empty.unwrap_or(false) {
            return Err(BundleError::Taken { path: path.into() });
        }
        self.save_folder(path).map_err(|error| write_error(path, error))
    }

    /// Refuses a name that asks for a format which [`Self::save`] does not write.
    pub fn check_format(path: &Path) -> Result<(), BundleError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let known = [".tar", ".gz", ".tgz", ".zip", ".zst", ".prom", ".json"];
        if !is_archive(path) && known.iter().any(|suffix| name.ends_with(suffix)) {
            return Err(BundleError::Format { path: path.into() });
        }
        Ok(())
    }

    fn save_archive(&self, path: &Path) -> io::Result<()> {
        let mut file = Builder::new().prefix(".diagnose-").tempfile_in(parent(path))?;
        let mut encoder = zstd::stream::write::Encoder::new(file.as_file_mut(), 3)?;
        encoder.include_checksum(true)?;
        let mut archive = tar::Builder::new(encoder);
        let at = self.meta.ended.or(self.meta.started).unwrap_or(0.0).max(0.0) as u64;
        for (name, body) in self.files()? {
            let mut header = tar::Header::new_ustar();
            header.set_size(body.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(at);
            header.set_uid(0);
            header.set_gid(0);
            archive.append_data(&mut header, name, body.as_slice())?;
        }
        archive.into_inner()?.finish()?;
        file.as_file().sync_all()?;
        file.persist(path).map(drop).map_err(|error| error.error)
    }

    fn save_folder(&self, path: &Path) -> io::Result<()> {
        let closed = fs::Permissions::from_mode(0o700);
        let mut folder = Builder::new();
        let folder = folder.prefix(".diagnose-").permissions(closed).tempdir_in(parent(path))?;
        let adapters = (!self.adapters.is_empty()).then_some("adapters");
        let records = self.records.keys().copied();
        for sub in ["scrapes", "probes"].into_iter().chain(adapters).chain(records) {
            fs::create_dir(folder.path().join(sub))?;
        }
        for (name, body) in self.files()? {
            let target = folder.path().join(name);
            fs::create_dir_all(target.parent().unwrap_or(folder.path()))?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(target)?.write_all(&body)?;
        }
        fs::rename(folder.path(), path)?;
        let _ = folder.keep();
        Ok(())
    }

    /// Every file: what tells of the others comes first, so that a cut archive still has it.
    fn files(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let evidence = self.evidence_files()?;
        let mut files = match &self.seal {
            Some(seal) => seal.files(&evidence)?,
            None => Vec::new(),
        };
        files.extend(evidence);
        Ok(files)
    }

    fn evidence_files(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut meta = self.meta.clone();
        meta.format_version = FORMAT_VERSION;
        let meta = MetaFile { meta, notes: self.notes.clone() };
        let mut files = vec![("meta.json".to_owned(), serde_json::to_vec_pretty(&meta)?)];
        for (at, round) in &self.probes {
            files.push((format!("probes/{at}.json"), serde_json::to_vec(round)?));
        }
        for (at, body) in &self.scrapes {
            files.push((format!("scrapes/{at}.prom"), body.clone()));
        }
        for (at, folders) in &self.adapters {
            files.push((format!("adapters/{at}.json"), serde_json::to_vec_pretty(folders)?));
        }
        for (folder, records) in &self.records {
            let named =
                |(at, body): (&u64, &Vec<u8>)| (format!("{folder}/{at}.json"), body.clone());
            files.extend(records.iter().map(named));
        }
        let logs = [
            ("server.log", &self.log),
            ("kernel.log", &self.kernel_log),
            ("gateway.jsonl", &self.gateway),
        ];
        for (name, log) in logs {
            files.extend(log.as_deref().map(|log| (name.to_owned(), log.to_vec())));
        }
        Ok(files)
    }
}

fn is_archive(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".tar.zst"))
}

fn write_error(path: &Path, source: io::Error) -> BundleError {
    BundleError::Write { path: path.into(), source }
}

/// The folder that a path lies in.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    }
}
