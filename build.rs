//! Turns the runbooks' YAML into JSON: a run then reads at its start what was parsed here.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=runbooks");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut files = Vec::new();
    yaml_files(&root.join("runbooks"), &mut files)?;
    // What logs look like is no judgement: the sources compile it in themselves.
    files.retain(|path| !path.ends_with("log-patterns.yaml"));
    files.sort();
    let mut part = |folder: &str| -> Vec<PathBuf> {
        files.extract_if(.., |path| path.starts_with(root.join(folder))).collect()
    };
    let (watched, loads) = (part("runbooks/monitoring"), part("runbooks/load"));
    embed(&root, &files, "runbooks.rs")?;
    embed(&root, &loads, "load.rs")?;
    embed(&root, &watched, "monitoring.rs")
}

fn embed(root: &Path, files: &[PathBuf], name: &str) -> Result<(), Box<dyn Error>> {
    let mut list = String::from("&[\n");
    for file in files {
        let yaml = fs::read_to_string(file)?;
        // `no` is a word, as in YAML 1.2.
        let options = serde_saphyr::options! { strict_booleans: true };
        let value: serde_json::Value = serde_saphyr::from_str_with_options(&yaml, options)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let path = file.strip_prefix(root)?.display().to_string();
        writeln!(
            list,
            "Embedded {{ path: {path:?}, yaml: {yaml:?}, json: {:?} }},",
            value.to_string()
        )?;
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join(name), list + "]\n")?;
    Ok(())
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            yaml_files(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            found.push(path);
        }
    }
    Ok(())
}
