//! The text formats of `/metrics`.
