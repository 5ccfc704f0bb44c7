//! The walkthrough: chapters that type real commands at a scratch cluster, with a few sentences around them.
//!
//! Nothing in it is made up. Each line behind `kvsim> ` is parsed and executed as one typed at the prompt, on a cluster
//! in memory in virtual time, and what stands below it is what the command answered. So the same seed gives the same
//! bytes on every machine, and a figure that has changed shows in the test that compares them. Every chapter begins
//! with a cluster of its own: each can be shown alone.
//!
//! Caveat: sentences must hold for every seed; figures are left to the answers.

mod chapters;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cluster::{Backing, Cluster, ClusterConfig};
use crate::command::render::{Look, fold, text};
use crate::command::{CommandError, Response, execute, parse, split};
use crate::error::Error;

/// How many chapters there are.
pub const CHAPTERS: usize = chapters::ALL.len();

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// One chapter, the first is 1; all without it.
    pub only: Option<usize>,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Columns of the window; beyond [`MAX_WIDTH`] they are not used.
    pub width: usize,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// All was shown, or all that was wanted.
    Shown,
    /// Ctrl-C.
    Stopped,
}

/// What ends it before its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A scratch cluster cannot be made.
    #[error(transparent)]
    Cluster(#[from] Error),
    /// What is shown cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Shows the chapters on `out`. Between two of them `goes_on` is asked whether there is to be more; `stop`, once it is
/// set, ends a command that runs within milliseconds, and the walkthrough with it.
pub fn run(
    settings: Settings,
    stop: &Arc<AtomicBool>,
    goes_on: &mut dyn FnMut() -> bool,
    out: &mut dyn Write,
) -> Result<Ending, DemoError> {
    let wanted = |number: &usize| settings.only.is_none_or(|only| only == *number);
    let numbers: Vec<usize> = (1..=CHAPTERS).filter(wanted).collect();
    let mut stage = Stage { settings, stop, out };
    for (nth, number) in numbers.iter().enumerate() {
        if nth > 0 && !goes_on() {
            return Ok(Ending::Shown);
        }
        if let Some(chapter) = chapters::ALL.get(number - 1) {
            stage.show(*number, chapter)?;
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(Ending::Stopped);
        }
    }
    if settings.only.is_none() {
        if !goes_on() {
            return Ok(Ending::Shown);
        }
        stage.close()?;
    }
    Ok(Ending::Shown)
}

/// A chapter.
struct Chapter {
    title: &'static str,
    /// The cluster it begins with.
    scene: Scene,
    steps: &'static [Step],
    /// What it taught, in one sentence.
    taught: &'static str,
}

/// A new cluster.
#[derive(Clone, Copy)]
struct Scene {
    nodes: usize,
    vnodes: u16,
    cache_entries: usize,
}

enum Step {
    /// Sentences.
    Say(&'static str),
    /// A line typed at the prompt.
    Type(&'static str),
    /// The same, without its answers, which were seen before.
    Again(&'static str),
    /// The cluster is exchanged for a new one.
    Change(Scene),
}

/// Where it is shown.
struct Stage<'a> {
    settings: Settings,
    stop: &'a Arc<AtomicBool>,
    out: &'a mut dyn Write,
}

impl Stage<'_> {
    fn show(&mut self, number: usize, chapter: &Chapter) -> Result<(), DemoError> {
        self.say(&format!("--- {number} of {CHAPTERS}: {} ---", chapter.title))?;
        let mut cluster = self.open(chapter.scene)?;
        for step in chapter.steps {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            match step {
                Step::Say(text) => self.say(text)?,
                Step::Type(line) => self.type_line(&mut cluster, line)?,
                Step::Again(line) => self.type_again(&mut cluster, line)?,
                Step::Change(scene) => cluster = self.open(*scene)?,
            }
        }
        if self.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.say(&format!("=> {}", chapter.taught))?;
        Ok(writeln!(self.out)?)
    }

    fn close(&mut self) -> io::Result<()> {
        chapters::CLOSING.iter().try_for_each(|text| self.say(text))
    }

    fn open(&self, scene: Scene) -> Result<Cluster, Error> {
        let Scene { nodes, vnodes, cache_entries } = scene;
        let config =
            ClusterConfig { nodes, vnodes, cache_entries, seed: self.settings.seed, ..ClusterConfig::default() };
        let (mut cluster, _) = Cluster::open(config, Backing::Memory)?;
        cluster.set_interrupt(Arc::clone(self.stop));
        Ok(cluster)
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        fold(text, self.look().width, 0).iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }

    fn type_line(&mut self, cluster: &mut Cluster, line: &str) -> io::Result<()> {
        self.say(&format!("kvsim> {line}"))?;
        let look = self.look();
        let out = &mut *self.out;
        perform(cluster, line, &mut |answer| match answer {
            Ok(response) => out.write_all(&text::render(&response, look)),
            Err(error) => out.write_all(&text::error(&error, None, look)),
        })
    }

    fn type_again(&mut self, cluster: &mut Cluster, line: &str) -> io::Result<()> {
        self.say(&format!("kvsim> {line}"))?;
        perform(cluster, line, &mut |_| Ok(()))
    }

    /// As at a prompt, but without colour, and no wider than everybody's window.
    fn look(&self) -> Look {
        Look { terminal: true, color: false, width: self.settings.width.min(MAX_WIDTH) }
    }
}

/// Runs the commands of a line as the prompt does, and gives each answer to `tell`.
fn perform(
    cluster: &mut Cluster,
    line: &str,
    tell: &mut dyn FnMut(Result<Response, CommandError>) -> io::Result<()>,
) -> io::Result<()> {
    // A line that cannot be read is a mistake in a chapter, and is shown as one.
    let statements = match split::statements(line.as_bytes()) {
        Ok(statements) => statements,
        Err(error) => return tell(Err(error.into())),
    };
    for statement in statements {
        let parsed = statement.map_err(CommandError::from).and_then(|statement| Ok(parse(statement)?));
        tell(parsed.and_then(|parsed| execute(cluster, parsed.command, &mut |_| Ok(()))))?;
        if let Some(report) = cluster.take_clients() {
            tell(Ok(Response::ClientsEnded(report)))?;
        }
    }
    Ok(())
}

/// The width it is set in where there is room.
pub const MAX_WIDTH: usize = 80;

#[cfg(test)]
mod tests;
