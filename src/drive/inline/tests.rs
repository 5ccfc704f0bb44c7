//! Flights and ring changes on real replicas in memory.
