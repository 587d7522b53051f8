//! AWS as far as the tests need it.

pub mod account;
pub mod sample;
pub mod stub;
