//! The properties that the targets judge: the same that `cargo test --test fuzzing` judges on a stable compiler.

#[path = "../fuzzing/mod.rs"]
mod properties;

pub use properties::*;
