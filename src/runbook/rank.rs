//! Ranking causes.
