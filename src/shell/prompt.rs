//! The prompt: a line editor with history, on a terminal.
//!
//! Enter inside quotes goes on to another line. A paste of several lines arrives as one text and is run line by line;
//! the splitter knows which line ends are inside quotes. Ctrl-C clears the line, Ctrl-D leaves.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Editor};

use super::ShellError;
use super::session::{Flow, Session};
use crate::command::split;

/// Lines of history that are kept.
const HISTORY_LINES: usize = 1_000;

/// Runs lines until `exit`, Ctrl-D or the end of the terminal.
pub(super) fn run(session: &mut Session) -> Result<(), ShellError> {
    let config = Config::builder().max_history_size(HISTORY_LINES)?.history_ignore_space(true).build();
    let mut editor: Editor<Quotes, FileHistory> = Editor::with_config(config)?;
    editor.set_helper(Some(Quotes));
    let history = history_file();
    if let Some(path) = &history {
        // History is a convenience: without it the prompt works.
        let _ = editor.load_history(path);
    }
    loop {
        let line = match editor.readline("kvsim> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if editor.add_history_entry(line.as_str())? {
            let _ = history.as_ref().map(|path| editor.append_history(path));
        }
        if let Some((columns, _)) = editor.dimensions() {
            session.output().set_width(usize::from(columns));
        }
        let mut ask = |question: &str| matches!(editor.readline(question), Ok(answer) if is_yes(&answer));
        if session.run_typed(line.as_bytes(), &mut ask)? == Flow::Exit {
            return Ok(());
        }
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// `$XDG_STATE_HOME/kvsim/history`, made readable by its owner only; none if there is no place for it.
fn history_file() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let folder = state.join("kvsim");
    fs::create_dir_all(&folder).ok()?;
    let path = folder.join("history");
    create_private(&path).ok()?;
    Some(path)
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().append(true).create(true).open(path).map(drop)
}

/// Goes on reading while a quote is open.
struct Quotes;

impl Validator for Quotes {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let open = split::is_open(context.input().as_bytes());
        Ok(if open { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl rustyline::completion::Completer for Quotes {
    type Candidate = String;
}
impl rustyline::hint::Hinter for Quotes {
    type Hint = String;
}
impl rustyline::highlight::Highlighter for Quotes {}
impl rustyline::Helper for Quotes {}
