//! Where the newest record of each key is: ordered shards with digests.
