//! Programs that the tests run for real: `scripts/test` installs them.
#![allow(dead_code)]

use std::path::PathBuf;

/// The installed program of this name.
pub fn tool(name: &str) -> PathBuf {
    installed("bin", name)
}

/// A schema that others have published.
pub fn schema(name: &str) -> PathBuf {
    installed("schemas", name)
}

fn installed(folder: &str, name: &str) -> PathBuf {
    let root = std::env::var_os("DIAGNOSE_TEST_TOOLS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/test-tools"),
        PathBuf::from,
    );
    let path = root.join(folder).join(name);
    assert!(path.exists(), "{} is not there: run scripts/test, which installs it", path.display());
    path
}

/// A port of this machine that is free now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
