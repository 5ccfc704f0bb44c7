//! The data directory: its lock, its FORMAT file, the nodes in it.
//!
//! | name | what |
//! |---|---|
//! | `LOCK` | locked while a process has the directory; holds that process's id |
//! | `FORMAT` | how the directory was created: see [`Format`]; whether it has nodes |
//! | `FORMAT.tmp` | the FORMAT of a directory that is being founded, or the next FORMAT |
//! | `PEERS`, `PEERS.tmp` | of a node that is a process of its own: where it last heard that the others are |
//! | `<label>/` | the log of that node |
//!
//! Anything else is refused: it is not ours to touch. A directory is founded in three steps: FORMAT.tmp is written,
//! whole and synced; the first nodes are made, until each of their logs durably holds the first topology; then
//! [`Directory::found`] gives FORMAT its own name. Nobody is served before that, so a start that was cut off has
//! nothing to lose, and the next one begins anew:
//!
//! | found | what it is | what is done |
//! |---|---|---|
//! | FORMAT | a directory that was founded | opened; a FORMAT.tmp beside it is removed |
//! | a whole FORMAT.tmp | a start that was cut off | it and the nodes are removed; the directory is new |
//! | a torn FORMAT.tmp, no node | the same, cut off earlier | it is removed; the directory is new |
//! | nodes, neither of the above | not ours, or damaged | refused (E103) |
//! | nothing | a new directory | |
//!
//! FORMAT says `nodes: some` from when the first node was durably added until before the last one's files go, so that
//! a directory whose logs are all gone is not taken for an empty cluster. It errs on the side of `none`: who finds
//! `none` beside nodes brings it up to date ([`Directory::note_nodes`]). FORMAT is replaced in one step, by FORMAT.tmp.
//! Format 1 did not say it.
//!
//! The lock is advisory and that of the operating system: it ends with the process, however that ends. Where the
//! system keeps others from reading a locked file (Windows), E110 cannot name the process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::StorageError;
use super::disk::{Disk, RealDisk};
use super::log::files::FileName;
use crate::sync::{Arc, Mutex, PoisonError};
use crate::types::{NodeId, check_label};

/// Where a session's time comes from. Stamps of the two kinds cannot be compared, so a directory keeps to one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockKind {
    /// A simulated clock that moves only through commands.
    Virtual,
    /// The machine's clock.
    Wall,
}

impl ClockKind {
    fn name(self) -> &'static str {
        match self {
            ClockKind::Virtual => "virtual",
            ClockKind::Wall => "wall",
        }
    }

    /// As error texts call the time it gives.
    fn time_name(self) -> &'static str {
        match self {
            ClockKind::Virtual => "virtual",
            ClockKind::Wall => "wall-clock",
        }
    }
}

/// What a data directory was created with, for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// The kind of its time.
    pub clock: ClockKind,
    /// Copies of each key.
    pub copies: u8,
    /// Virtual nodes of a node of weight one.
    pub vnodes: u16,
    /// Tells the nodes of one cluster from those of another: see [`node_uid`].
    pub cluster_uid: u64,
}

/// An open data directory. The lock is held as long as this lives.
#[derive(Debug)]
pub struct Directory {
    /// Its files.
    pub disk: Arc<dyn Disk>,
    /// What it was created with.
    pub format: Format,
    /// Whether it was created just now. Until it is founded the next opening begins anew.
    pub is_new: bool,
    path: PathBuf,
    /// What FORMAT says of nodes; `None` if it does not, or is not known to.
    has_nodes: Mutex<Option<bool>>,
    _lock: Option<Lock>,
}

impl Directory {
    /// Opens the data directory at `path`, or creates it as `fresh` says if it is missing, empty, or was never founded.
    /// Gives the names of the node directories in it too, sorted. A new one must be founded: see [`Directory::found`].
    ///
    /// E110 when another process has it, E106 when its clock is not of `fresh`'s kind, E103 for a file that does not
    /// belong there, E104 when it is of a newer kvsim, E101 when FORMAT is damaged, E122 without
    /// permission or where no directory can be, E120 when there is no room for it.
    pub fn open(path: &Path, fresh: &Format) -> Result<(Directory, Vec<String>), StorageError> {
        create(path)?;
        let disk = Arc::new(RealDisk::new(path));
        // Before the lock too: in a directory that is not ours not even a LOCK is left behind.
        Listing::read(&*disk, path)?;
        let lock = lock(path)?;
        Directory::enter(disk, path, Some(lock), fresh)
    }

    /// The same on a disk that nobody else has, so without a lock: files in memory, images, disks with faults.
    pub fn on_disk(disk: Arc<dyn Disk>, fresh: &Format) -> Result<(Directory, Vec<String>), StorageError> {
        Directory::enter(disk, Path::new(""), None, fresh)
    }

    fn enter(
        disk: Arc<dyn Disk>,
        path: &Path,
        lock: Option<Lock>,
        fresh: &Format,
    ) -> Result<(Directory, Vec<String>), StorageError> {
        let listing = Listing::read(&*disk, path)?;
        let making = |error: io::Error| StorageError::making(&path.join(FORMAT).display().to_string(), &error);
        let is_new = !listing.has_format;
        if is_new {
            begin(&*disk, &listing, fresh).map_err(making)?;
            let (path, has_nodes) = (path.to_owned(), Mutex::new(Some(false)));
            let directory = Directory { disk, format: *fresh, is_new, path, has_nodes, _lock: lock };
            return Ok((directory, Vec::new()));
        }
        let (format, has_nodes) = read_format(&*disk, FORMAT)?;
        settle(&*disk, &listing).map_err(making)?;
        if format.clock != fresh.clock {
            let (found, asked) = (format.clock.time_name(), fresh.clock.time_name());
            return Err(StorageError::OtherClock { directory: path.display().to_string(), found, asked });
        }
        let (path, has_nodes) = (path.to_owned(), Mutex::new(has_nodes));
        Ok((Directory { disk, format, is_new, path, has_nodes, _lock: lock }, listing.labels))
    }

    /// Makes a new directory last: from here on what is in it is recovered. Each of its nodes must durably hold the
    /// first topology before, and nobody may have been served.
    pub fn found(&self) -> Result<(), StorageError> {
        let founded = self.disk.rename(FORMAT_TMP, FORMAT).and_then(|()| self.disk.sync_dir(""));
        founded.map_err(|error| StorageError::making(&self.path.join(FORMAT).display().to_string(), &error))
    }

    /// Lets FORMAT say whether there are nodes, durably; at once if it does. `true` only when a node's log durably holds
    /// a topology that names it, `false` only when one that names none is in every log, and then before the last goes.
    pub fn note_nodes(&self, has_nodes: bool) -> Result<(), StorageError> {
        let mut noted = self.has_nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if *noted == Some(has_nodes) {
            return Ok(());
        }
        // After a failure either may be there.
        *noted = None;
        let rewrite = || {
            if self.disk.list("")?.iter().any(|name| name == FORMAT_TMP) {
                self.disk.remove(FORMAT_TMP)?;
            }
            write_temporary(&*self.disk, &self.format.to_text(Some(has_nodes)))?;
            self.disk.rename(FORMAT_TMP, FORMAT)?;
            self.disk.sync_dir("")
        };
        rewrite().map_err(|error| StorageError::making(&self.path.join(FORMAT).display().to_string(), &error))?;
        *noted = Some(has_nodes);
        Ok(())
    }

    /// Whether FORMAT says that there are nodes.
    pub fn has_nodes(&self) -> bool {
        *self.has_nodes.lock().unwrap_or_else(PoisonError::into_inner) == Some(true)
    }

    /// What was last kept of the other nodes; nothing before the first.
    pub fn peers(&self) -> Result<String, StorageError> {
        let names = self.disk.list("").map_err(|error| StorageError::reading(PEERS, 0, &error))?;
        if !names.iter().any(|name| name == PEERS) {
            return Ok(String::new());
        }
        let bytes = read_small(&*self.disk, PEERS, MAX_PEERS_BYTES);
        let bytes = bytes.map_err(|error| StorageError::reading(PEERS, 0, &error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Keeps this of the other nodes, durably, in one step.
    pub fn note_peers(&self, text: &str) -> Result<(), StorageError> {
        let keep = || {
            if self.disk.list("")?.iter().any(|name| name == PEERS_TMP) {
                self.disk.remove(PEERS_TMP)?;
            }
            let file = self.disk.create(PEERS_TMP)?;
            file.append(text.as_bytes())?;
            file.sync()?;
            self.disk.rename(PEERS_TMP, PEERS)?;
            self.disk.sync_dir("")
        };
        keep().map_err(|error| StorageError::making(&self.path.join(PEERS).display().to_string(), &error))
    }

    /// E102 where FORMAT says that there are nodes: for who finds no log that tells of any.
    pub fn expect_none(&self) -> Result<(), StorageError> {
        let noted = self.has_nodes.lock().unwrap_or_else(PoisonError::into_inner);
        match *noted {
            Some(true) => Err(StorageError::AllLogsGone { directory: self.path.display().to_string() }),
            _ => Ok(()),
        }
    }

    /// FILE-1, for checkers: an error where the next start would not find a data directory here, or another one. The
    /// directory must be founded.
    pub fn verify(&self) -> Result<(), StorageError> {
        if !Listing::read(&*self.disk, &self.path)?.has_format {
            return Err(StorageError::NoFormat { directory: self.path.display().to_string() });
        }
        match read_format(&*self.disk, FORMAT)? {
            (format, _) if format == self.format => Ok(()),
            _ => Err(StorageError::DamagedFormat { file: FORMAT.to_owned() }),
        }
    }

    /// E140 when a flag the user gave says other than the directory was created with.
    pub fn check(&self, copies: Option<u8>, vnodes: Option<u16>) -> Result<(), StorageError> {
        let copies = copies.map(|given| ("--replicas", u64::from(given), u64::from(self.format.copies)));
        let vnodes = vnodes.map(|given| ("--vnodes", u64::from(given), u64::from(self.format.vnodes)));
        let contradiction = [copies, vnodes].into_iter().flatten().find(|(_, given, kept)| given != kept);
        contradiction.map_or(Ok(()), |(flag, given, kept)| {
            let directory = self.path.display().to_string();
            Err(StorageError::Contradiction { flag, given, kept, directory })
        })
    }
}

/// The locked LOCK file.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    /// Closing the file would do, but for a child process in the making: until it runs its program it has our files
    /// open too, and with them the lock.
    fn drop(&mut self) {
        // Nothing is lost if it fails: then the lock goes with the file.
        let _ = self.0.unlock();
    }
}

/// The unique number of a node, in every file of its log: the same for the same node of the same cluster, so that a
/// file of another node, or of a node of the same name in another cluster, is not taken for its own.
pub fn node_uid(cluster_uid: u64, label: &str, node: NodeId) -> u64 {
    let mut bytes = label.as_bytes().to_vec();
    bytes.extend_from_slice(&node.0.to_le_bytes());
    xxh3_64_with_seed(&bytes, cluster_uid)
}

impl Format {
    /// The file's text: the format, whether there are nodes, and a checksum against bit rot and hasty editing. Without
    /// word of nodes it is that of format 1.
    fn to_text(self, has_nodes: Option<bool>) -> String {
        let version = if has_nodes.is_some() { FORMAT_VERSION } else { 1 };
        let (clock, copies, vnodes, uid) = (self.clock.name(), self.copies, self.vnodes, self.cluster_uid);
        let mut text = format!(
            "{TITLE}\nformat: {version}\nclock: {clock}\ncopies: {copies}\nvnodes: {vnodes}\ncluster: {uid:016x}\n"
        );
        if let Some(has_nodes) = has_nodes {
            text.push_str(if has_nodes { "nodes: some\n" } else { "nodes: none\n" });
        }
        let check = xxh3_64_with_seed(text.as_bytes(), 0);
        format!("{text}check: {check:016x}\n")
    }

    /// What `text` says; `None` unless it is exactly what [`Format::to_text`] writes.
    fn from_text(text: &str) -> Option<(Format, Option<bool>)> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let clock = field("clock")?;
        let format = Format {
            clock: [ClockKind::Virtual, ClockKind::Wall].into_iter().find(|kind| kind.name() == clock)?,
            copies: field("copies")?.parse().ok()?,
            vnodes: field("vnodes")?.parse().ok()?,
            cluster_uid: u64::from_str_radix(field("cluster")?, 16).ok()?,
        };
        let has_nodes = field("nodes").map(|nodes| nodes == "some");
        (format.to_text(has_nodes) == text).then_some((format, has_nodes))
    }
}

/// What is in a data directory.
#[derive(Debug, Default)]
struct Listing {
    has_format: bool,
    has_temporary: bool,
    labels: Vec<String>,
}

impl Listing {
    fn read(disk: &dyn Disk, path: &Path) -> Result<Listing, StorageError> {
        let shown = |name: &str| path.join(name).display().to_string();
        let names = disk.list("").map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => StorageError::Foreign { file: path.display().to_string() },
            _ => StorageError::reading(&path.display().to_string(), 0, &error),
        })?;
        let mut listing = Listing::default();
        for name in names {
            match (name.as_str(), name.strip_suffix('/')) {
                (LOCK | PEERS | PEERS_TMP, _) => {}
                (FORMAT, _) => listing.has_format = true,
                (FORMAT_TMP, _) => listing.has_temporary = true,
                (_, Some(label)) if check_label(label).is_ok() => listing.labels.push(label.to_owned()),
                _ => return Err(StorageError::Foreign { file: shown(&name) }),
            }
        }
        match listing.labels.first() {
            Some(label) if !listing.has_format && !listing.is_unfinished_start(disk) => {
                if listing.has_segments(disk)? {
                    return Err(StorageError::NoFormat { directory: path.display().to_string() });
                }
                Err(StorageError::Foreign { file: shown(label) })
            }
            _ => Ok(listing),
        }
    }

    /// Whether one of the directories has a file that only a log has: it is a node's, and nothing of anybody else's.
    fn has_segments(&self, disk: &dyn Disk) -> Result<bool, StorageError> {
        for label in &self.labels {
            let names = disk.list(label).map_err(|error| StorageError::reading(label, 0, &error))?;
            if names.iter().any(|name| matches!(FileName::parse(name), Some(FileName::Segment(_)))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a whole FORMAT.tmp says that the nodes are those of a start that was cut off.
    fn is_unfinished_start(&self, disk: &dyn Disk) -> bool {
        // Whoever finishes the start while this looks has the lock, which is asked for next.
        self.has_temporary && (read_format(disk, FORMAT_TMP).is_ok() || disk.open(FORMAT).is_ok())
    }
}

/// Creates the directory if it is missing, durably.
fn create(path: &Path) -> Result<(), StorageError> {
    let create = || {
        if path.exists() {
            return Ok(());
        }
        fs::create_dir_all(path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        RealDisk::new(parent.unwrap_or(Path::new("."))).sync_dir("")
    };
    create().map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            StorageError::Foreign { file: path.display().to_string() }
        }
        _ => StorageError::making(&path.display().to_string(), &error),
    })
}

/// Takes the lock, and leaves this process's id in it for whoever comes next.
fn lock(path: &Path) -> Result<Lock, StorageError> {
    let name = path.join(LOCK);
    let failed = |error| StorageError::making(&name.display().to_string(), &error);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name);
    let file = opened.map_err(failed)?;
    let mut lock = match file.try_lock() {
        Ok(()) => Lock(file),
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&name).ok().and_then(|text| text.trim().parse().ok());
            return Err(StorageError::InUse { directory: path.display().to_string(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    };
    let pid = format!("{}\n", std::process::id());
    lock.0.set_len(0).and_then(|()| lock.0.write_all(pid.as_bytes())).map_err(failed)?;
    Ok(lock)
}

fn read_format(disk: &dyn Disk, name: &str) -> Result<(Format, Option<bool>), StorageError> {
    let bytes = read_small(disk, name, MAX_FORMAT_BYTES).map_err(|error| StorageError::reading(name, 0, &error))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    if lines.next() != Some(TITLE) {
        return Err(StorageError::Foreign { file: name.to_owned() });
    }
    let version = lines.next().and_then(|line| line.strip_prefix("format: ")?.parse().ok());
    match version {
        Some(found) if found > FORMAT_VERSION => {
            Err(StorageError::Newer { file: name.to_owned(), found, known: FORMAT_VERSION })
        }
        _ => Format::from_text(&text).ok_or(StorageError::DamagedFormat { file: name.to_owned() }),
    }
}

/// The first `most` bytes of a file.
fn read_small(disk: &dyn Disk, name: &str, most: usize) -> io::Result<Vec<u8>> {
    let file = disk.open(name)?;
    let length = usize::try_from(file.size()?).unwrap_or(most).min(most);
    let mut bytes = vec![0; length];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Removes what a start that was cut off has left, and begins one.
fn begin(disk: &dyn Disk, listing: &Listing, fresh: &Format) -> io::Result<()> {
    if listing.has_temporary {
        listing.labels.iter().try_for_each(|label| disk.remove_dir_all(label))?;
        // Nodes without a FORMAT.tmp would be nobody's: they are gone for good before it goes.
        disk.sync_dir("")?;
        disk.remove(FORMAT_TMP)?;
    }
    write_temporary(disk, &fresh.to_text(Some(false)))
}

fn write_temporary(disk: &dyn Disk, text: &str) -> io::Result<()> {
    let file = disk.create(FORMAT_TMP)?;
    file.append(text.as_bytes())?;
    file.sync()?;
    disk.sync_dir("")
}

/// Ends what the last process left undone in a directory that was founded.
fn settle(disk: &dyn Disk, listing: &Listing) -> io::Result<()> {
    if listing.has_temporary {
        disk.remove(FORMAT_TMP)?;
    }
    // A process killed while it founded the directory may not have come to this, and a power loss would give FORMAT
    // its old name again, under which everything is taken for the remains of a start.
    disk.sync_dir("")
}

const LOCK: &str = "LOCK";
const FORMAT: &str = "FORMAT";
const FORMAT_TMP: &str = "FORMAT.tmp";
/// The first line of FORMAT.
const TITLE: &str = "kvsim data directory";
/// The version of FORMAT, and with it of the directory's layout, that this code writes.
const FORMAT_VERSION: u32 = 2;
const PEERS: &str = "PEERS";
const PEERS_TMP: &str = "PEERS.tmp";
/// No PEERS is this long: a line for each of the most nodes there can be.
const MAX_PEERS_BYTES: usize = 1 << 20;
/// No FORMAT is this long: what is longer is not read further.
const MAX_FORMAT_BYTES: usize = 4_096;

#[cfg(test)]
mod tests;
