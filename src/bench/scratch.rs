//! The scratch directory.

use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::BenchError;
use crate::command::escape;

/// A new directory that is removed with everything in it when this is dropped, on a panic too.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// `kvsim-benchmark-<process>-<seconds since 1970>` in `temporary`, for this user alone. What a killed run leaves
    /// behind is known by its name.
    pub(super) fn make(temporary: &Path) -> Result<Scratch, BenchError> {
        #[expect(clippy::disallowed_methods, reason = "the name tells people when the run began")]
        let now = SystemTime::now();
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let name = format!("kvsim-benchmark-{}-{seconds}", std::process::id());
        // Tests run several in one process and one second.
        let names = (0..MAX_TRIES).map(|nth| if nth == 0 { name.clone() } else { format!("{name}-{nth}") });
        let mut last = temporary.join(&name);
        for name in names {
            last = temporary.join(name);
            match builder().create(&last) {
                Ok(()) => return Ok(Scratch { path: last }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(BenchError::Scratch { directory: shown(&last), source }),
            }
        }
        Err(BenchError::Scratch { directory: shown(&last), source: io::ErrorKind::AlreadyExists.into() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it and says when that fails.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(&self.path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Mostly it is gone already; otherwise something else has failed, and that is what is told.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A path for a terminal.
pub(super) fn shown(path: &Path) -> String {
    escape::escaped(path.as_os_str().as_encoded_bytes())
}

fn builder() -> DirBuilder {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "other systems have no modes"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Runs of one process that begin in the same second.
const MAX_TRIES: u32 = 100;
