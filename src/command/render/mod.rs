//! Bytes of data: text for people, JSON for programs. Neither knows where the bytes go.

mod beliefs;
mod faults;
mod figures;
pub mod json;
mod metrics;
mod ownership;
mod page;
mod ring;
mod story;
mod tables;
pub mod text;

pub use figures::{bytes, clock, counted, grouped, lasted, percent};
pub use page::{Page, flow, fold};
pub use story::diagram;
pub use text::Look;
