//! The kinds of requests that no well-behaved client makes.

/// Why a request was refused, or its connection cut, before the node had to do with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Hostile {
    /// Its head was not complete in time.
    SlowHead,
    /// Its body was not complete in time.
    SlowBody,
    /// Its answer was not read in time.
    SlowReader,
    /// Its head or its body is longer than any may be.
    TooLarge,
    /// It has more header fields than any may have.
    TooManyHeaders,
    /// It is no HTTP, or can be read in more than one way.
    Malformed,
    /// The connection ended in the middle of it.
    Truncated,
    /// It is for another host: a page of the web that has its own name point here (DNS rebinding).
    ForeignHost,
    /// A page of another site sent it, and it would change something.
    ForeignOrigin,
}

impl Hostile {
    /// Every kind, in the order in which they are reported.
    pub const ALL: [Hostile; 9] = [
        Hostile::SlowHead,
        Hostile::SlowBody,
        Hostile::SlowReader,
        Hostile::TooLarge,
        Hostile::TooManyHeaders,
        Hostile::Malformed,
        Hostile::Truncated,
        Hostile::ForeignHost,
        Hostile::ForeignOrigin,
    ];

    /// Its name among the figures: `slow_head`.
    pub fn name(self) -> &'static str {
        match self {
            Hostile::SlowHead => "slow_head",
            Hostile::SlowBody => "slow_body",
            Hostile::SlowReader => "slow_reader",
            Hostile::TooLarge => "too_large",
            Hostile::TooManyHeaders => "too_many_headers",
            Hostile::Malformed => "malformed",
            Hostile::Truncated => "truncated",
            Hostile::ForeignHost => "foreign_host",
            Hostile::ForeignOrigin => "foreign_origin",
        }
    }
}
