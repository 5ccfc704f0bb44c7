//! A disk that fails on request: full, unreadable, unable to sync or lying about it, or dead at a chosen step.
//!
//! It wraps any disk. Every call that changes something is a numbered step, so a test runs a scenario once to count
//! its steps and then once for each of them with the machine dying there. It also keeps its own account of how much
//! of each file was synced, and can cut the files below to that, as a power loss would, on real files too.
//!
//! What was in a file when the wrapper first met it counts as synced. Entries of directories are taken as durable at
//! once; for their loss, ask the [`MemoryDisk`] below for its images.

use std::collections::BTreeMap;
use std::io;

use super::{Disk, DiskFile, MemoryDisk, lock};
use crate::sync::{Arc, Mutex};

/// How syncs fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SyncFault {
    /// They do not.
    #[default]
    None,
    /// The next one fails; later ones of that file report success and sync nothing, as Linux page caches did
    /// ("fsyncgate": the failed pages were marked clean).
    OnceThenLie,
    /// Every one fails.
    Always,
}

/// How reads fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReadFault {
    /// They do not.
    #[default]
    None,
    /// Every one is an input/output error.
    Error,
    /// Every one ends half-way through its buffer.
    Short,
}

/// What the step that the machine dies in still does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashEffect {
    /// Nothing.
    Nothing,
    /// An append writes half of its bytes; other steps do nothing.
    Half,
    /// All of it, but nobody hears of it.
    Whole,
}

/// A disk with faults.
#[derive(Debug)]
pub struct FaultyDisk {
    inner: Arc<dyn Disk>,
    state: Arc<Mutex<State>>,
}

impl FaultyDisk {
    /// `inner`, without a fault yet.
    pub fn new(inner: Arc<dyn Disk>) -> FaultyDisk {
        FaultyDisk { inner, state: Arc::default() }
    }

    /// Lets `bytes` more be appended, in all files together; the append beyond writes what fits and then fails as a
    /// full disk does. `None` for no limit.
    pub fn set_room(&self, bytes: Option<u64>) {
        lock(&self.state).room = bytes;
    }

    /// How syncs of files and directories fail from here on.
    pub fn fail_syncs(&self, fault: SyncFault) {
        lock(&self.state).sync = fault;
    }

    /// How reads fail from here on.
    pub fn fail_reads(&self, fault: ReadFault) {
        self.fail_reads_after(0, fault);
    }

    /// How reads fail after `good` more that do not.
    pub fn fail_reads_after(&self, good: u64, fault: ReadFault) {
        let mut state = lock(&self.state);
        state.good_reads = good;
        state.read = fault;
    }

    /// Ends every fault: there is room, reads and syncs do what they say, also those of files whose sync had failed.
    /// What was lost stays lost.
    pub fn mend(&self) {
        let mut state = lock(&self.state);
        (state.room, state.sync, state.read, state.good_reads) = (None, SyncFault::None, ReadFault::None, 0);
        state.files.values().for_each(|synced| lock(synced).lost = false);
    }

    /// The machine dies at the step of this number (the first is 0): it has `effect`, and every call from there on
    /// fails.
    pub fn crash_at(&self, step: u64, effect: CrashEffect) {
        lock(&self.state).crash = Some((step, effect));
    }

    /// Steps taken so far: calls that change something.
    pub fn steps(&self) -> u64 {
        lock(&self.state).steps
    }

    /// Whether the machine has died.
    pub fn crashed(&self) -> bool {
        lock(&self.state).dead
    }

    /// Cuts every file below to what was synced, and ends all faults. Returns how many bytes were not.
    pub fn power_loss(&self) -> io::Result<u64> {
        self.cut(None)
    }

    /// As [`FaultyDisk::power_loss`], but of the bytes that were not synced a random number stays, the last of them
    /// as garbage.
    pub fn power_loss_torn(&self, random: &mut dyn FnMut() -> u64) -> io::Result<u64> {
        self.cut(Some(random))
    }

    /// Syncs every file below, and does not count it: what this wrapper stands for has not synced anything. On an
    /// error it says which file, the rest is not tried.
    pub fn sync_below(&self) -> Result<(), (String, io::Error)> {
        let names: Vec<String> = lock(&self.state).files.keys().cloned().collect();
        names.into_iter().try_for_each(|name| {
            let synced = self.inner.open(&name).and_then(|file| file.sync());
            synced.map_err(|error| (name, error))
        })
    }

    /// What a power loss would leave of the files inside `dir` if it came now, on a disk of its own. Nothing changes, and
    /// no fault is met.
    pub fn survivors(&self, dir: &str) -> io::Result<MemoryDisk> {
        let image = MemoryDisk::new();
        for name in self.inner.list(dir)?.into_iter().filter(|name| !name.ends_with('/')) {
            let name = format!("{dir}/{name}");
            let file = self.inner.open(&name)?;
            let synced = self.synced(&name)?.min(file.size()?);
            let mut bytes = vec![0; usize::try_from(synced).map_err(|_| io::ErrorKind::OutOfMemory)?];
            file.read_at(0, &mut bytes)?;
            image.plant(&name, &bytes);
        }
        Ok(image)
    }

    /// How many bytes of a file a power loss would leave at least.
    pub fn synced(&self, name: &str) -> io::Result<u64> {
        let synced = lock(&self.state).files.get(name).map(|synced| lock(synced).bytes);
        synced.map_or_else(|| self.inner.open(name)?.size(), Ok)
    }

    fn cut(&self, mut random: Option<&mut dyn FnMut() -> u64>) -> io::Result<u64> {
        let mut state = lock(&self.state);
        let mut all_unsynced = 0;
        for (name, synced) in std::mem::take(&mut *state).files {
            let file = self.inner.open(&name)?;
            let synced = lock(&synced).bytes;
            let unsynced = file.size()?.saturating_sub(synced);
            if unsynced == 0 {
                continue;
            }
            all_unsynced += unsynced;
            let tail = match &mut random {
                Some(random) => torn_tail(&*file, synced, unsynced, *random)?,
                None => Vec::new(),
            };
            file.truncate(synced)?;
            file.append(&tail)?;
            file.sync()?;
        }
        Ok(all_unsynced)
    }

    /// Counts a step and does it, unless the machine dies there.
    fn step<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let effect = lock(&self.state).count()?;
        match effect {
            None => act(),
            Some(CrashEffect::Whole) => act().and(Err(crash())),
            Some(CrashEffect::Nothing | CrashEffect::Half) => Err(crash()),
        }
    }

    fn track(&self, name: &str, file: Arc<dyn DiskFile>) -> io::Result<Arc<dyn DiskFile>> {
        let size = file.size()?;
        let mut state = lock(&self.state);
        let synced = state.files.entry(name.to_owned()).or_insert_with(|| Synced::upto(size));
        let synced = Arc::clone(synced);
        Ok(Arc::new(FaultyFile { inner: file, synced, state: Arc::clone(&self.state) }))
    }
}

impl Disk for FaultyDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.step(|| self.inner.create(name))?;
        self.track(name, file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        lock(&self.state).alive()?;
        self.track(name, self.inner.open(name)?)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        lock(&self.state).alive()?;
        self.inner.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.step(|| self.inner.create_dir(dir))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step(|| {
            self.inner.rename(from, to)?;
            let mut state = lock(&self.state);
            let replaced = state.files.remove(from).map(|synced| state.files.insert(to.to_owned(), synced));
            if replaced.is_none() {
                state.files.remove(to);
            }
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(|| {
            self.inner.remove(name)?;
            lock(&self.state).files.remove(name);
            Ok(())
        })
    }

    fn remove_dir_all(&self, dir: &str) -> io::Result<()> {
        self.step(|| {
            self.inner.remove_dir_all(dir)?;
            let below = |name: &str| name.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
            lock(&self.state).files.retain(|name, _| !below(name));
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.step(|| {
            lock(&self.state).sync()?;
            self.inner.sync_dir(dir)
        })
    }
}

#[derive(Debug, Default)]
struct State {
    room: Option<u64>,
    sync: SyncFault,
    read: ReadFault,
    /// Reads that succeed before `read` applies.
    good_reads: u64,
    crash: Option<(u64, CrashEffect)>,
    steps: u64,
    dead: bool,
    files: BTreeMap<String, Arc<Mutex<Synced>>>,
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(crash()) } else { Ok(()) }
    }

    /// Counts a step; its effect if it is the last.
    fn count(&mut self) -> io::Result<Option<CrashEffect>> {
        self.alive()?;
        let effect = self.crash.filter(|(step, _)| *step == self.steps).map(|(_, effect)| effect);
        self.steps += 1;
        self.dead = effect.is_some();
        Ok(effect)
    }

    /// How the next read fails.
    fn next_read(&mut self) -> io::Result<ReadFault> {
        self.alive()?;
        if self.good_reads == 0 {
            return Ok(self.read);
        }
        self.good_reads -= 1;
        Ok(ReadFault::None)
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.sync {
            SyncFault::None => Ok(()),
            SyncFault::OnceThenLie => {
                self.sync = SyncFault::None;
                Err(io::Error::other("injected sync failure"))
            }
            SyncFault::Always => Err(io::Error::other("injected sync failure")),
        }
    }
}

/// How much of a file is durable, as this wrapper accounts for it.
#[derive(Debug)]
struct Synced {
    bytes: u64,
    /// A sync of this file has failed: its later successes are lies.
    lost: bool,
}

impl Synced {
    fn upto(bytes: u64) -> Arc<Mutex<Synced>> {
        Arc::new(Mutex::new(Synced { bytes, lost: false }))
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn DiskFile>,
    synced: Arc<Mutex<Synced>>,
    state: Arc<Mutex<State>>,
}

impl FaultyFile {
    /// Appends the first `len` of `bytes`.
    fn append_part(&self, bytes: &[u8], len: usize) -> io::Result<()> {
        self.inner.append(bytes.get(..len).unwrap_or(bytes))
    }
}

impl DiskFile for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        lock(&self.state).alive()?;
        self.inner.size()
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.state);
        match state.count()? {
            None => {}
            Some(CrashEffect::Nothing) => return Err(crash()),
            Some(CrashEffect::Half) => return self.append_part(bytes, bytes.len() / 2).and(Err(crash())),
            Some(CrashEffect::Whole) => return self.inner.append(bytes).and(Err(crash())),
        }
        if let Some(room) = &mut state.room {
            let fits = usize::try_from(*room).unwrap_or(usize::MAX).min(bytes.len());
            *room -= fits as u64;
            if fits < bytes.len() {
                return self.append_part(bytes, fits).and(Err(io::ErrorKind::StorageFull.into()));
            }
        }
        drop(state);
        self.inner.append(bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let fault = lock(&self.state).next_read()?;
        match fault {
            ReadFault::None => self.inner.read_at(offset, buffer),
            ReadFault::Error => Err(io::Error::other("injected read failure")),
            ReadFault::Short => {
                let half = buffer.len() / 2;
                self.inner.read_at(offset, buffer.split_at_mut(half).0)?;
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let effect = lock(&self.state).count()?;
        if matches!(effect, Some(CrashEffect::Nothing | CrashEffect::Half)) {
            return Err(crash());
        }
        let size = self.inner.size()?;
        let verdict = lock(&self.state).sync();
        let mut synced = lock(&self.synced);
        if let Err(failure) = verdict {
            synced.lost = true;
            return Err(failure);
        }
        if !synced.lost {
            self.inner.sync()?;
            synced.bytes = size;
        }
        effect.map_or(Ok(()), |_| Err(crash()))
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let effect = lock(&self.state).count()?;
        if matches!(effect, Some(CrashEffect::Nothing | CrashEffect::Half)) {
            return Err(crash());
        }
        self.inner.truncate(size)?;
        let mut synced = lock(&self.synced);
        synced.bytes = synced.bytes.min(size);
        effect.map_or(Ok(()), |_| Err(crash()))
    }
}

/// What a power loss leaves of the `unsynced` bytes behind `synced`: some of them, the last ones scrambled.
fn torn_tail(file: &dyn DiskFile, synced: u64, unsynced: u64, random: &mut dyn FnMut() -> u64) -> io::Result<Vec<u8>> {
    let kept = random() % (unsynced + 1);
    let intact = random() % (kept + 1);
    let length = usize::try_from(kept).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut tail = vec![0; length];
    file.read_at(synced, &mut tail)?;
    for byte in tail.iter_mut().skip(usize::try_from(intact).unwrap_or(length)) {
        *byte ^= random() as u8;
    }
    Ok(tail)
}

fn crash() -> io::Error {
    io::Error::other("the machine is down")
}
