//! Walking a decision tree.
