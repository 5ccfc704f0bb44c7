//! Reading a log back after a crash.
