//! AWS as far as the tests need it.

pub mod sample;
pub mod stub;
