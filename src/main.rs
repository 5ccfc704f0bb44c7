//! kvsim
fn main() {}
