//! The embedded library: the same cluster on the callers' own threads, in wall-clock time.
