//! A change of the ring from its first stage to its last: a polled machine that owns the order of steps and nothing
//! else.
