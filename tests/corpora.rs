//! Every input that a fuzzer kept, through the same function.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::{fs, io::Read, path::Path};

/// Inputs of a target: files as they are, and those in an archive beside them.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let body = fs::read(entry.path()).unwrap();
        match name.ends_with(".tar.zst") {
            true => found.extend(packed(&body)),
            false => found.push((name, body)),
        }
    }
    found.sort();
    found
}

fn packed(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut tar = tar::Archive::new(zstd::stream::read::Decoder::new(archive).unwrap());
    let entries = tar.entries().unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.header().entry_type().is_file());
    let read = |mut entry: tar::Entry<'_, _>| {
        let name = entry.path().unwrap().display().to_string();
        let mut body = Vec::new();
        entry.read_to_end(&mut body).unwrap();
        (name, body)
    };
    files.map(read).collect()
}

#[test]
fn every_kept_input_is_still_handled() {
    for (target, body) in bodies::ALL {
        let inputs = inputs(target);
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for (name, bytes) in inputs {
            let run = std::panic::catch_unwind(|| body(&bytes));
            assert!(run.is_ok(), "fuzz/corpus/{target}/{name}");
        }
    }
}
