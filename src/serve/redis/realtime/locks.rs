//! Who may run: jobs take what they are about in the order in which they come, all of it at once, and keep it until they are
//! answered. So they have their effects as if they ran one after the other, in an order that every client's own is part of.
//!
//! A job waits for those before it that are about the same key, unless both only read it. Besides the keys there is the
//! store as a whole: who looks at all keys is not to see half of what a job writes to several, and a few jobs have the store
//! to themselves. None overtakes another that it would have to wait for, so nobody waits for ever.

use std::collections::{HashMap, VecDeque};

use crate::types::{ByToken, Key};

/// What a job is about: a key, or, of none, the store; and how it takes it.
pub(super) type Want = (Option<Key>, Mode);

/// How something is taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Mode {
    /// To read a key; of the store, to read keys or to write one.
    Share,
    /// To write several keys.
    Several,
    /// To look at all keys.
    Look,
    /// For itself.
    Alone,
}

const MODES: [Mode; 4] = [Mode::Share, Mode::Several, Mode::Look, Mode::Alone];

impl Mode {
    fn goes_with(self, other: Mode) -> bool {
        let clash = |one: Mode, two: Mode| one == Mode::Alone || (one == Mode::Several && two == Mode::Look);
        !clash(self, other) && !clash(other, self)
    }
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Locks {
    store: Line,
    /// Of those that anybody wants.
    keys: HashMap<Key, Line, ByToken<0>>,
}

/// Who has something, and who waits for it.
#[derive(Debug, Default)]
struct Line {
    had: Counts,
    waited: Counts,
    waiting: VecDeque<(u64, Mode)>,
}

/// How many, by mode.
#[derive(Clone, Copy, Debug, Default)]
struct Counts([usize; MODES.len()]);

impl Counts {
    fn of(&mut self, mode: Mode) -> &mut usize {
        &mut self.0[mode as usize]
    }

    fn go_with(&self, mode: Mode) -> bool {
        self.0.iter().zip(MODES).all(|(count, other)| *count == 0 || mode.goes_with(other))
    }
}

impl Locks {
    /// A job comes and wants this, each once. How much of it it has to wait for.
    pub(super) fn take(&mut self, job: u64, wants: &[Want]) -> usize {
        let mut missing = 0;
        for (key, mode) in wants {
            let line = match key {
                Some(key) => self.keys.entry(key.clone()).or_default(),
                None => &mut self.store,
            };
            missing += usize::from(!line.take(job, *mode));
        }
        missing
    }

    /// A job that had all it wanted is over. For each thing that another had to wait for and has now, `told` hears of it.
    pub(super) fn release(&mut self, wants: &[Want], told: &mut dyn FnMut(u64)) {
        for (key, mode) in wants {
            match key {
                None => self.store.release(*mode, told),
                Some(key) => {
                    let Some(line) = self.keys.get_mut(key) else { continue };
                    line.release(*mode, told);
                    if line.had.0 == [0; MODES.len()] {
                        self.keys.remove(key);
                    }
                }
            }
        }
    }

    /// Keys that somebody has or waits for.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Line {
    fn take(&mut self, job: u64, mode: Mode) -> bool {
        let is_free = self.had.go_with(mode) && self.waited.go_with(mode);
        if is_free {
            *self.had.of(mode) += 1;
        } else {
            *self.waited.of(mode) += 1;
            self.waiting.push_back((job, mode));
        }
        is_free
    }

    fn release(&mut self, mode: Mode, told: &mut dyn FnMut(u64)) {
        *self.had.of(mode) -= 1;
        let (mut at, mut passed) = (0, Counts::default());
        while let Some((job, mode)) = self.waiting.get(at).copied() {
            if self.had.go_with(mode) && passed.go_with(mode) {
                self.waiting.remove(at);
                *self.waited.of(mode) -= 1;
                *self.had.of(mode) += 1;
                told(job);
            } else if mode == Mode::Alone {
                return;
            } else {
                *passed.of(mode) += 1;
                at += 1;
            }
        }
    }
}
