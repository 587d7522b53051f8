//! What is shipped: each file that a package, an image or a unit names is there, and each command in
//! them is one that the program takes.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use diagnose::cli;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn manifest() -> toml::Table {
    read("Cargo.toml").parse().unwrap()
}

/// Source and destination of each file of the Debian package.
fn assets() -> BTreeMap<String, String> {
    let deb = &manifest()["package"]["metadata"]["deb"];
    let text = |it: &toml::Value| it.as_str().unwrap().to_owned();
    let assets = deb["assets"].as_array().unwrap().iter();
    assets.map(|it| (text(&it[0]), text(&it[1]))).collect()
}

#[test]
fn every_file_of_the_debian_package_is_there_or_made_by_the_script() {
    let script = read("scripts/deb");
    let loops = script.split("for shell in ").nth(1).unwrap().split(';').next().unwrap();
    let shells: Vec<&str> = loops.split(' ').collect();
    for (source, target) in assets() {
        assert!(!target.starts_with('/'), "cargo-deb wants {target} without the first slash");
        match source.strip_prefix("target/packaging/diagnose.") {
            _ if source == "target/packaging/man/*.1" => {
                assert!(script.contains("diagnose man --dir \"$made/man\""));
            }
            Some(shell) => assert!(shells.contains(&shell), "{shells:?}"),
            None if source == "target/release/diagnose" => {}
            None => assert!(root().join(&source).exists(), "{source}"),
        }
    }
    let targets: Vec<String> = assets().into_values().collect();
    for wanted in ["usr/bin/", "usr/share/man/man1/", "usr/lib/systemd/system/"] {
        assert!(targets.iter().any(|it| it == wanted), "{wanted}");
    }
    assert_eq!(targets.iter().filter(|it| it.contains("completions")).count(), 3);
}

#[test]
fn every_command_has_a_manual_page_with_its_flags() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_diagnose"));
    let status = program.args(["man", "--dir"]).arg(dir.path()).status().unwrap();
    assert!(status.success());
    let page = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert!(page("diagnose.1").contains("high\\-ttft"));
    assert!(page("diagnose-high-ttft.1").contains("\\-\\-replay"));
    assert!(page("diagnose-alerts-check.1").contains("\\-\\-url"));
    assert!(!dir.path().join("diagnose-generate.1").exists(), "hidden commands have none");
}

#[test]
fn what_cargo_installs_holds_all_that_the_build_reads() {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let listed: Vec<&str> = listed.lines().collect();
    let mut needed = vec!["build.rs".to_owned(), "Cargo.lock".into(), "src/main.rs".into()];
    needed.push("src/report/html/style.css".into());
    yaml_files(&root().join("runbooks"), &mut needed);
    assert!(needed.len() > 30, "{needed:?}");
    for file in needed {
        assert!(listed.contains(&file.as_str()), "{file} is missing:\n{listed:#?}");
    }
    let large = listed.iter().find(|file| file.starts_with("fixtures/incidents"));
    assert_eq!(large, None, "recordings are no part of the program");
}

fn yaml_files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else {
            found.push(path.strip_prefix(root()).unwrap().display().to_string());
        }
    }
}

/// Arguments of an instruction of the Dockerfile, by line.
fn instructions<'a>(file: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let lines = file.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn the_image_copies_what_the_build_needs_and_runs_as_nobody() {
    let file = read("packaging/Dockerfile");
    let ignored = read("packaging/Dockerfile.dockerignore");
    let copies = instructions(&file, "COPY");
    let (from_build, from_here): (Vec<_>, Vec<_>) =
        copies.into_iter().partition(|words| words[0].starts_with("--from=build"));
    let context = tempfile::tempdir().unwrap();
    for source in from_here.iter().flat_map(|words| &words[..words.len() - 1]) {
        assert!(ignored.lines().any(|line| line == format!("!{source}")), "{source} is ignored");
        copy(&root().join(source), &context.path().join(source));
    }
    // A program that is not there is refused after all manifests were read and the file of every
    // target was found, and before anything is built.
    let build = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--offline", "--bin", "none"])
        .current_dir(context.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&build.stderr);
    assert!(said.contains("no bin target named `none`"), "{said}");
    assert_eq!(from_build.len(), 1);
    let version = manifest()["package"]["rust-version"].as_str().unwrap().to_owned();
    let images = instructions(&file, "FROM");
    assert!(images[0][0].starts_with(&format!("rust:{version}-")), "{images:?}");
    let user = instructions(&file, "USER").pop().unwrap()[0].to_owned();
    assert!(!user.starts_with('0') && user != "root", "{user}");
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
        return;
    }
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

/// The settings of a unit by section and name; those given several times, joined.
fn unit(path: &str) -> BTreeMap<(String, String), String> {
    let (mut section, mut found) = (String::new(), BTreeMap::new());
    for line in read(path).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
            continue;
        }
        let (name, value) = line.split_once('=').unwrap();
        let kept: &mut String = found.entry((section.clone(), name.to_owned())).or_default();
        kept.push_str(value);
    }
    found
}

const SERVICE: &str = "packaging/systemd/diagnose-sweep.service";
const TIMER: &str = "packaging/systemd/diagnose-sweep.timer";

fn service(name: &str) -> String {
    unit(SERVICE).remove(&("Service".into(), name.into())).unwrap_or_default()
}

#[test]
fn the_service_runs_what_the_package_installs_and_the_program_takes() {
    let start = service("ExecStart");
    let (program, arguments) = start.split_once(' ').unwrap();
    assert_eq!(program, format!("/{}diagnose", assets()["target/release/diagnose"]));
    let words = ["diagnose"].into_iter().chain(arguments.split(' ')).map(Into::into);
    assert!(cli::parse(words).is_ok(), "{arguments}");
    let state = format!("/var/lib/{}/", service("StateDirectory"));
    assert!(arguments.contains(&state), "the only folder it may write is {state}");
}

/// A finding and a sweep that could not tell must be seen; one that was stopped need not be.
#[test]
fn a_finding_leaves_the_unit_failed() {
    assert_eq!(service("SuccessExitStatus"), "143");
    assert_eq!(service("Type"), "oneshot");
    assert_eq!(service("Restart"), "", "a finding is not mended by looking again at once");
}

#[test]
fn the_service_is_locked_in_and_still_sees_what_it_judges() {
    for (name, value) in [
        ("DynamicUser", "yes"),
        ("ProtectSystem", "strict"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("SystemCallFilter", "@system-service"),
        ("DevicePolicy", "closed"),
    ] {
        let key = ("Service".into(), name.into());
        assert_eq!(unit(SERVICE).get(&key).map(String::as_str), Some(value), "{name}");
    }
    assert!(service("DeviceAllow").contains("char-nvidia"), "GPUs");
    assert_eq!(service("PrivateDevices"), "", "it would hide the GPUs");
    assert_eq!(service("ProtectProc"), "", "it would hide the server's process");
    assert_eq!(service("PrivateNetwork"), "", "it would hide the server");
}

#[test]
fn the_timer_starts_the_service_of_its_name() {
    let timer = unit(TIMER);
    let get = |section: &str, name: &str| timer.get(&(section.into(), name.into())).cloned();
    assert_eq!(get("Timer", "Unit"), None, "without it, the service of the same name");
    assert!(get("Timer", "OnCalendar").is_some());
    assert_eq!(get("Install", "WantedBy").as_deref(), Some("timers.target"));
    let names = [SERVICE, TIMER].map(|path| Path::new(path).file_stem().unwrap().to_owned());
    assert_eq!(names[0], names[1]);
    for path in [SERVICE, TIMER] {
        assert!(assets().contains_key(path), "{path} is in the package");
    }
}

/// Where systemd is, it reads them too; the tests above need none.
#[test]
fn systemd_takes_the_units() {
    let Some(program) = on_path("systemd-analyze") else { return };
    let dir = tempfile::tempdir().unwrap();
    let here = |path: &str| dir.path().join(Path::new(path).file_name().unwrap());
    let service = read(SERVICE).replace("/usr/bin/diagnose", env!("CARGO_BIN_EXE_diagnose"));
    fs::write(here(SERVICE), service).unwrap();
    fs::write(here(TIMER), read(TIMER)).unwrap();
    let verify = |service: &Path| {
        let output = Command::new(&program)
            .args(["verify", "--man=no"])
            .args([service, &here(TIMER)])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.lines().filter(|line| line.contains("diagnose-sweep")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(verify(&here(SERVICE)), "");
    let broken = fs::read_to_string(here(SERVICE)).unwrap() + "ProtectSystm=strict\n";
    fs::write(here(SERVICE), broken).unwrap();
    assert!(verify(&here(SERVICE)).contains("ProtectSystm"), "it looks");
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists())
}
