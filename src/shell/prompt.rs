//! The prompt: a line editor with history, completion and hints, on a terminal.
//!
//! Enter inside quotes goes on to another line. A paste of several lines arrives as one text and is run line by line;
//! the splitter knows which line ends are inside quotes. Ctrl-C clears the line, Ctrl-D leaves.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anstyle::Style;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::history::{FileHistory, History, SearchDirection};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{ColorMode, CompletionType, Config, Context, DefaultEditor, Editor};

use super::ShellError;
use super::complete::{self, Names};
use super::session::{Flow, Session, Terminal};
use crate::command::grammar::Kind;
use crate::command::split;

/// Shown on every further line of a quote.
const OPEN_QUOTE: &str = "  (a quote is open: close it, or give up with Ctrl-C)";
/// Between two chapters of the walkthrough.
const MORE: &str = "[Enter goes on, q ends] ";
/// Lines of history that are kept.
const HISTORY_LINES: usize = 1_000;

/// Runs lines until `exit`, Ctrl-D or the end of the terminal.
pub(super) fn run(session: &mut Session) -> Result<(), ShellError> {
    let has_color = session.output().has_color();
    let color = if has_color { ColorMode::Enabled } else { ColorMode::Disabled };
    let config = Config::builder()
        .max_history_size(HISTORY_LINES)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .color_mode(color)
        .build();
    let mut typing = Typing { editor: Editor::with_config(config)? };
    let history = history_file();
    if let Some(path) = &history {
        // History is a convenience: without it the prompt works.
        let _ = typing.editor.load_history(path);
    }
    loop {
        let files = FilenameCompleter::new();
        typing.editor.set_helper(Some(Helper { names: session.names(), files, has_hints: has_color }));
        let line = match typing.editor.readline("kvsim> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if typing.editor.add_history_entry(line.as_str())? {
            let _ = history.as_ref().map(|path| typing.editor.append_history(path));
        }
        if let Some((columns, _)) = typing.editor.dimensions() {
            session.output().set_width(usize::from(columns));
        }
        if session.run_typed(line.as_bytes(), &mut typing)? == Flow::Exit {
            return Ok(());
        }
    }
}

/// The terminal's width, before anything is typed.
pub(super) fn columns() -> Option<usize> {
    let (columns, _) = DefaultEditor::new().ok()?.dimensions()?;
    Some(usize::from(columns))
}

/// The line editor.
struct Typing {
    editor: Editor<Helper, FileHistory>,
}

impl Terminal for Typing {
    fn confirm(&mut self, question: &str) -> bool {
        // A yes is no command: nothing is offered, and it is not kept.
        self.editor.set_helper(None);
        matches!(self.editor.readline(question), Ok(answer) if is_yes(&answer))
    }

    fn goes_on(&mut self) -> bool {
        self.editor.set_helper(None);
        wants_more(self.editor.readline(MORE))
    }

    fn history(&self, limit: usize) -> Vec<(usize, String)> {
        let history = self.editor.history();
        let first = history.len().saturating_sub(limit);
        let entry = |at: usize| Some((at + 1, history.get(at, SearchDirection::Forward).ok()??.entry.into_owned()));
        (first..history.len()).filter_map(entry).collect()
    }
}

/// Asks where no prompt is whether there is to be more.
pub(super) fn ask_for_more() -> bool {
    DefaultEditor::new().is_ok_and(|mut editor| wants_more(editor.readline(MORE)))
}

/// Enter does; `q`, Ctrl-C and Ctrl-D do not.
fn wants_more(answer: Result<String, ReadlineError>) -> bool {
    answer.is_ok_and(|answer| !answer.trim().to_ascii_lowercase().starts_with('q'))
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

/// What the editor asks about a line that is being typed.
struct Helper {
    names: Names,
    files: FilenameCompleter,
    /// Without colour a hint could not be told from what is typed.
    has_hints: bool,
}

/// Goes on reading while a quote is open.
impl Validator for Helper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let open = split::is_open(context.input().as_bytes());
        Ok(if open { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Completer for Helper {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let place = complete::place(line.get(..cursor).unwrap_or_default());
        if place.kind() == Some(Kind::Path) {
            return self.files.complete(line, cursor, context);
        }
        let candidates = place.candidates(&self.names);
        let pair = |word: String| Pair { replacement: format!("{word} "), display: word };
        Ok((place.start, candidates.into_iter().map(pair).collect()))
    }
}

/// Arguments still to come: shown, never taken for typed.
struct ToCome(String);

impl Hint for ToCome {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for Helper {
    type Hint = ToCome;

    fn hint(&self, line: &str, cursor: usize, _: &Context<'_>) -> Option<ToCome> {
        if cursor < line.len() || !self.has_hints {
            return None;
        }
        // Enter was pressed inside quotes: without a word the prompt would seem to hang.
        if line.contains('\n') && split::is_open(line.as_bytes()) {
            return Some(ToCome(OPEN_QUOTE.to_owned()));
        }
        complete::place(line).hint().map(ToCome)
    }
}

impl Highlighter for Helper {
    fn highlight_hint<'h>(&self, hint: &'h str) -> std::borrow::Cow<'h, str> {
        let dim = Style::new().dimmed();
        format!("{dim}{hint}{dim:#}").into()
    }
}

impl rustyline::Helper for Helper {}
