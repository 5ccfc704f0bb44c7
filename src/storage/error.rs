//! What storage can meet. Each text says what happened, what changed, what to do; each code is what users search for.

/// See `code` and the text of each; snapshot-tested.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {}

impl StorageError {
    /// `KV-E101` and so on.
    pub fn code(&self) -> &'static str {
        todo!()
    }
}
