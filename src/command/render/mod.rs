//! Bytes of data: text for people, JSON for programs. Neither knows where the bytes go.

mod beliefs;
mod faults;
mod figures;
pub mod json;
mod live;
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

use crate::types::Time;

/// The clock that times are of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// Of a simulation.
    Virtual,
    /// Of this machine, where the nodes are processes of their own.
    Wall,
}

impl Clock {
    /// A duration, for people.
    fn lasted(self, time: Time) -> String {
        match self {
            Clock::Virtual => format!("{} virtual", lasted(time)),
            Clock::Wall => lasted(time),
        }
    }

    /// What JSON calls a duration.
    fn field(self) -> &'static str {
        match self {
            Clock::Virtual => "virtual_us",
            Clock::Wall => "took_us",
        }
    }
}
