//! Two sides beside each other, as a user compares them.
#![allow(missing_docs, clippy::unwrap_used)]
