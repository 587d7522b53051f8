//! Command line: every command and flag, no logic.
