//! The data directory: its lock, its FORMAT file, the nodes in it.
