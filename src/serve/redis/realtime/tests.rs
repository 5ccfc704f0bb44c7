//! The engine with a clock that the test moves.

mod faults;
mod keys;
mod lines;
mod world;
