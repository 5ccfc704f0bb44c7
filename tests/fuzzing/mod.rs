//! What must hold of any bytes, whoever makes them: proptest in `tests/fuzzing.rs`, libFuzzer in `tests/fuzz`,
//! `tests/counted/parsers.rs` where it is counted. Each `judge` panics where it does not hold.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod frames;
pub mod grammar;
pub mod log_records;
pub mod messages;
pub mod scripts;
mod supply;
