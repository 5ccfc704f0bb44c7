//! Drivers: what runs the machines of `protocol/` against replicas. The only place that reads a real clock.
//!
//! A driver carries requests and answers, and makes logs durable before an answer leaves. It counts no votes, picks no
//! replicas and retries by no policy of its own: the machines below it do.

pub mod boot;
pub mod clock;
pub mod fanout;
pub mod inline;
