//! Files in memory, with a model of what a crash leaves of them.
//!
//! Beside what a reader sees, the disk remembers what is durable: of each file the bytes it had at its last sync, of
//! each directory the entries it had at its last `sync_dir`, and what was done to the entries since. The `after_*`
//! methods return what a machine would find on restart, as a new disk that shares nothing with this one. A file is
//! therefore kept when its entry is durable, whatever its bytes, and its bytes are kept when it was synced, whatever
//! its entry: both are needed, as on a real disk.
//!
//! The model is harsh but not every harshness there is. Torn and garbage tails are the business of
//! [`FaultyDisk`](super::FaultyDisk).

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::{Disk, DiskFile, lock, parent};
use crate::sync::{Arc, Mutex};

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

    /// What is left when the process is killed: everything, but no more of it durable than before.
    #[must_use]
    pub fn after_kill(&self) -> MemoryDisk {
        MemoryDisk { tree: Arc::new(Mutex::new(lock(&self.tree).copy())) }
    }

    /// What is left when the power fails: synced bytes of files whose entries were synced too.
    #[must_use]
    pub fn after_power_loss(&self) -> MemoryDisk {
        self.after_power_loss_choosing(&mut || false)
    }

    /// What is left when the power fails on a file system that had written its directories: every entry, but only
    /// the synced bytes. A rename that overtakes the sync of its file shows here.
    #[must_use]
    pub fn after_power_loss_keeping_names(&self) -> MemoryDisk {
        self.after_power_loss_choosing(&mut || true)
    }

    /// What is left when the power fails on a file system that had written some changes of its directories, in
    /// whatever order: those that `choose` says yes to, and only the synced bytes.
    #[must_use]
    pub fn after_power_loss_choosing(&self, choose: &mut dyn FnMut() -> bool) -> MemoryDisk {
        let tree = lock(&self.tree);
        let mut names = tree.durable.clone();
        tree.pending.iter().filter(|_| choose()).for_each(|change| names.apply(change));
        MemoryDisk { tree: Arc::new(Mutex::new(Tree::settled(&names.reachable()))) }
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
        let Tree { seen, durable, .. } = &mut *tree;
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
        tree.change(Change::Create(name.to_owned(), Arc::clone(&file)));
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
        tree.change(Change::CreateDir(dir.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        tree.seen.check_dir(parent(to))?;
        tree.seen.check_file(from)?;
        tree.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        tree.seen.check_file(name)?;
        tree.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, dir: &str) -> io::Result<()> {
        lock(&self.tree).change(Change::RemoveDir(dir.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        tree.seen.check_dir(dir)?;
        let Tree { durable, pending, .. } = &mut *tree;
        for change in pending.extract_if(.., |change| change.dir() == dir) {
            durable.apply(&change);
        }
        Ok(())
    }
}

/// The entries a reader sees, those that are durable, and what made the ones of the others. Both name the same files.
#[derive(Debug, Default)]
struct Tree {
    seen: Names,
    durable: Names,
    pending: Vec<Change>,
}

impl Tree {
    /// A disk whose entries and bytes are all durable.
    fn settled(names: &Names) -> Tree {
        let settle = |file: &MemoryFile| Content::stored(lock(&file.0).durable());
        let seen = names.copy(&mut |file| Arc::new(MemoryFile(Mutex::new(settle(file)))));
        Tree { durable: seen.clone(), seen, pending: Vec::new() }
    }

    /// The same, sharing nothing: a file that has several names here has them there.
    fn copy(&self) -> Tree {
        let mut copies = BTreeMap::new();
        let mut copy = |file: &Arc<MemoryFile>| {
            let fresh = || Arc::new(MemoryFile(Mutex::new(lock(&file.0).clone())));
            Arc::clone(copies.entry(Arc::as_ptr(file)).or_insert_with(fresh))
        };
        Tree {
            seen: self.seen.copy(&mut copy),
            durable: self.durable.copy(&mut copy),
            pending: self.pending.iter().map(|change| change.copy(&mut copy)).collect(),
        }
    }

    fn change(&mut self, change: Change) {
        self.seen.apply(&change);
        self.pending.push(change);
    }
}

/// Something done to a directory's entries.
#[derive(Clone, Debug)]
enum Change {
    Create(String, Arc<MemoryFile>),
    Rename(String, String),
    Remove(String),
    CreateDir(String),
    RemoveDir(String),
}

impl Change {
    /// The directory whose sync makes it durable.
    fn dir(&self) -> &str {
        match self {
            Change::Create(name, _)
            | Change::Rename(_, name)
            | Change::Remove(name)
            | Change::CreateDir(name)
            | Change::RemoveDir(name) => parent(name),
        }
    }

    fn copy(&self, copy: &mut dyn FnMut(&Arc<MemoryFile>) -> Arc<MemoryFile>) -> Change {
        match self {
            Change::Create(name, file) => Change::Create(name.clone(), copy(file)),
            other => other.clone(),
        }
    }
}

/// The entries of all directories.
#[derive(Clone, Debug)]
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

    fn check_file(&self, name: &str) -> io::Result<()> {
        if self.files.contains_key(name) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Makes a change; one whose ground was lost has no effect.
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Create(name, file) => {
                self.files.insert(name.clone(), Arc::clone(file));
            }
            Change::Rename(from, to) => {
                if let Some(file) = self.files.remove(from) {
                    self.files.insert(to.clone(), file);
                }
            }
            Change::Remove(name) => {
                self.files.remove(name);
            }
            Change::CreateDir(dir) => {
                self.dirs.insert(dir.clone());
            }
            Change::RemoveDir(dir) => {
                let below =
                    |name: &str| name == dir || name.strip_prefix(&**dir).is_some_and(|rest| rest.starts_with('/'));
                self.files.retain(|name, _| !below(name));
                self.dirs.retain(|name| !below(name));
            }
        }
    }

    /// The same entries of copies of the files.
    fn copy(&self, copy: &mut dyn FnMut(&Arc<MemoryFile>) -> Arc<MemoryFile>) -> Names {
        let files = self.files.iter().map(|(name, file)| (name.clone(), copy(file))).collect();
        Names { files, dirs: self.dirs.clone() }
    }

    /// Without the entries that cannot be reached from the top.
    fn reachable(mut self) -> Names {
        let all = self.clone();
        self.files.retain(|name, _| all.reaches(parent(name)));
        self.dirs.retain(|dir| all.reaches(dir));
        self
    }

    /// Whether `dir` and all above it are there.
    fn reaches(&self, dir: &str) -> bool {
        self.dirs.contains(dir) && (dir.is_empty() || self.reaches(parent(dir)))
    }
}

#[derive(Debug, Default)]
struct MemoryFile(Mutex<Content>);

#[derive(Clone, Debug, Default)]
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
