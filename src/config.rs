//! Settings: flags, environment and `diagnose.toml` in one struct.
