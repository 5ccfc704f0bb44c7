//! Files in memory, with a model of what a crash leaves of them.
//!
//! Beside what a reader sees, the disk remembers what is durable: of each file the bytes it had at its last sync, of
//! each directory the entries it had at its last `sync_dir`. The `after_*` methods return what a machine would find
//! on restart, as a new disk that shares nothing with this one. A file is therefore kept when its entry is durable,
//! whatever its bytes, and its bytes are kept when it was synced, whatever its entry: both are needed, as on a real
//! disk.
//!
//! The model is harsh but not every harshness there is: it loses all that is not durable or (keeping names) all bytes
//! but no entries. Torn and garbage tails are the business of [`FaultyDisk`](super::FaultyDisk).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use super::{Disk, DiskFile, lock, parent};

/// Files in memory. Cloning the handle shares the files; the `after_*` images do not.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    tree: Arc<Mutex<Tree>>,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// What is left when the process is killed: everything that was written.
    #[must_use]
    pub fn after_kill(&self) -> MemoryDisk {
        let tree = lock(&self.tree);
        image(&tree.seen, Content::seen)
    }

    /// What is left when the power fails: synced bytes of files whose entries were synced too.
    #[must_use]
    pub fn after_power_loss(&self) -> MemoryDisk {
        let tree = lock(&self.tree);
        image(&tree.durable, Content::durable)
    }

    /// What is left when the power fails on a file system that wrote its directories early: every entry, but only
    /// the synced bytes. A rename that overtakes the sync of its file shows here.
    #[must_use]
    pub fn after_power_loss_keeping_names(&self) -> MemoryDisk {
        let tree = lock(&self.tree);
        image(&tree.seen, Content::durable)
    }

    /// All files and their bytes, by name: to compare or to keep an image.
    pub fn dump(&self) -> BTreeMap<String, Vec<u8>> {
        let tree = lock(&self.tree);
        tree.seen.files.iter().map(|(name, file)| (name.clone(), lock(&file.0).bytes.clone())).collect()
    }

    /// Puts a file there, durable at once, replacing what had the name: an image for a test.
    pub fn plant(&self, name: &str, bytes: &[u8]) {
        let mut tree = lock(&self.tree);
        let file = Arc::new(MemoryFile(Mutex::new(Content::stored(bytes.to_vec()))));
        let Tree { seen, durable } = &mut *tree;
        for names in [seen, durable] {
            names.dirs.insert(parent(name).to_owned());
            names.files.insert(name.to_owned(), Arc::clone(&file));
        }
    }
}

impl Disk for MemoryDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut tree = lock(&self.tree);
        tree.seen.check_dir(parent(name))?;
        if tree.seen.files.contains_key(name) || tree.seen.dirs.contains(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(MemoryFile::default());
        tree.seen.files.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let tree = lock(&self.tree);
        let file = tree.seen.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::clone(file) as Arc<dyn DiskFile>)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let tree = lock(&self.tree);
        tree.seen.check_dir(dir)?;
        let base = |name: &str| name.rsplit_once('/').map_or(name, |(_, base)| base).to_owned();
        let files = tree.seen.files.keys().filter(|name| parent(name) == dir).map(|name| base(name));
        let inner = tree.seen.dirs.iter().filter(|name| !name.is_empty() && parent(name) == dir);
        let mut names: Vec<String> = files.chain(inner.map(|name| base(name) + "/")).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        tree.seen.check_dir(parent(dir))?;
        if tree.seen.files.contains_key(dir) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        tree.seen.dirs.insert(dir.to_owned());
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        tree.seen.check_dir(parent(to))?;
        let file = tree.seen.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        tree.seen.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = lock(&self.tree).seen.files.remove(name);
        removed.map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn remove_dir_all(&self, dir: &str) -> io::Result<()> {
        let below = |name: &str| name == dir || name.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
        let mut tree = lock(&self.tree);
        tree.seen.files.retain(|name, _| !below(name));
        tree.seen.dirs.retain(|name| !below(name));
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        tree.seen.check_dir(dir)?;
        let Tree { seen, durable } = &mut *tree;
        durable.files.retain(|name, _| parent(name) != dir);
        durable.dirs.retain(|name| name.is_empty() || parent(name) != dir);
        let files = seen.files.iter().filter(|(name, _)| parent(name) == dir);
        durable.files.extend(files.map(|(name, file)| (name.clone(), Arc::clone(file))));
        durable.dirs.extend(seen.dirs.iter().filter(|name| parent(name) == dir).cloned());
        Ok(())
    }
}

/// The entries a reader sees and the entries a power loss leaves. Both name the same files.
#[derive(Debug, Default)]
struct Tree {
    seen: Names,
    durable: Names,
}

/// The entries of all directories.
#[derive(Debug)]
struct Names {
    files: BTreeMap<String, Arc<MemoryFile>>,
    dirs: BTreeSet<String>,
}

impl Default for Names {
    fn default() -> Names {
        Names { files: BTreeMap::new(), dirs: BTreeSet::from([String::new()]) }
    }
}

impl Names {
    fn check_dir(&self, dir: &str) -> io::Result<()> {
        if self.dirs.contains(dir) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Whether `dir` and all above it are there: an entry below one that is not cannot be reached.
    fn reaches(&self, dir: &str) -> bool {
        self.dirs.contains(dir) && (dir.is_empty() || self.reaches(parent(dir)))
    }
}

/// A disk of the entries in `names` that can be reached, with what `content` leaves of each file.
fn image(names: &Names, content: fn(&Content) -> Vec<u8>) -> MemoryDisk {
    let keep = |file: &MemoryFile| {
        let bytes = content(&lock(&file.0));
        Arc::new(MemoryFile(Mutex::new(Content::stored(bytes))))
    };
    let files: BTreeMap<String, Arc<MemoryFile>> = names
        .files
        .iter()
        .filter(|(name, _)| names.reaches(parent(name)))
        .map(|(name, file)| (name.clone(), keep(file)))
        .collect();
    let dirs: BTreeSet<String> = names.dirs.iter().filter(|dir| names.reaches(dir)).cloned().collect();
    let copy = || Names { files: files.clone(), dirs: dirs.clone() };
    MemoryDisk { tree: Arc::new(Mutex::new(Tree { seen: copy(), durable: copy() })) }
}

#[derive(Debug, Default)]
struct MemoryFile(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// How many of `bytes` a power loss leaves.
    synced: usize,
    /// Durable bytes behind those, cut off but not yet synced: a power loss brings them back.
    cut: Vec<u8>,
}

impl Content {
    fn stored(bytes: Vec<u8>) -> Content {
        Content { synced: bytes.len(), bytes, cut: Vec::new() }
    }

    fn seen(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    fn durable(&self) -> Vec<u8> {
        let kept = self.bytes.get(..self.synced).unwrap_or_default();
        [kept, &self.cut].concat()
    }
}

impl DiskFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.0).bytes.len() as u64)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        lock(&self.0).bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let content = lock(&self.0);
        let wanted = usize::try_from(offset)
            .ok()
            .and_then(|start| content.bytes.get(start..)?.get(..buffer.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(wanted);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut content = lock(&self.0);
        content.synced = content.bytes.len();
        content.cut.clear();
        Ok(())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut content = lock(&self.0);
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
        if size < content.synced {
            let durable = content.durable();
            content.cut = durable.get(size..).unwrap_or_default().to_vec();
            content.synced = size;
        }
        content.bytes.resize(size, 0);
        Ok(())
    }
}
