//! Where answers and errors go, in which form.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use indicatif::{ProgressBar, ProgressStyle};

use crate::command::render::{Look, Page, json, text};
use crate::command::response::Loaded;
use crate::command::{CommandError, Response};

/// `--format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Two streams: results, and everything else.
pub struct Output {
    format: Format,
    results: Box<dyn Write>,
    results_look: Look,
    asides: Box<dyn Write>,
    asides_look: Look,
    progress: Option<ProgressBar>,
}

impl Output {
    /// Standard output and standard error. `interactive`: a person talks to the prompt, so that in text everything
    /// is part of one conversation.
    pub fn standard(format: Format, interactive: bool) -> Output {
        let results_look = look(&io::stdout(), io::stdout().is_terminal());
        let (asides, asides_look): (Box<dyn Write>, Look) = if interactive && format == Format::Text {
            (Box::new(io::stdout()), results_look)
        } else {
            (Box::new(io::stderr()), look(&io::stderr(), io::stderr().is_terminal()))
        };
        Output { format, results: Box::new(io::stdout()), results_look, asides, asides_look, progress: None }
    }

    /// Two streams that are no terminals.
    pub fn to(format: Format, results: Box<dyn Write>, asides: Box<dyn Write>) -> Output {
        let (results_look, asides_look) = (Look::default(), Look::default());
        Output { format, results, results_look, asides, asides_look, progress: None }
    }

    /// Says how wide the terminal is now.
    pub fn set_width(&mut self, columns: usize) {
        self.results_look.width = columns;
        self.asides_look.width = columns;
    }

    /// Where answers go, to be flushed by who writes there, and how wide that is.
    pub(super) fn results(&mut self) -> (&mut dyn Write, usize) {
        self.end_progress();
        (&mut *self.results, self.results_look.width)
    }

    /// Both streams.
    pub(super) fn streams(&mut self) -> (&mut dyn Write, &mut dyn Write) {
        self.end_progress();
        (&mut *self.results, &mut *self.asides)
    }

    /// Text or JSON.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Whether answers are coloured.
    pub(super) fn has_color(&self) -> bool {
        self.results_look.color
    }

    /// An answer, flushed: whoever reads the line may rely on it.
    pub(super) fn answer(&mut self, command: &str, response: &Response) -> io::Result<()> {
        self.end_progress();
        let bytes = match self.format {
            Format::Text => text::render(response, self.results_look),
            Format::Json => json::render(command, response),
        };
        self.results.write_all(&bytes)?;
        self.results.flush()?;
        if self.format == Format::Json {
            response.notes().iter().for_each(|note| self.note(note));
        }
        Ok(())
    }

    /// How far a `load` has come: a line in JSON, a bar on a terminal.
    pub(super) fn loading(
        &mut self,
        command: &str,
        loaded: Loaded,
        answer: impl FnOnce(Loaded) -> Response,
    ) -> io::Result<()> {
        match self.format {
            Format::Json => self.answer(command, &answer(loaded)),
            Format::Text => {
                let (read, total) = loaded.bytes;
                self.progress.get_or_insert_with(|| bar(total)).set_position(read);
                Ok(())
            }
        }
    }

    /// An error, on the stream for asides. That this stream may be closed does not end the session.
    pub(super) fn failure(&mut self, command: Option<&str>, error: &CommandError, line: Option<u64>) {
        self.end_progress();
        let bytes = match self.format {
            Format::Text => text::error(error, line, self.asides_look),
            Format::Json => json::error(command, error, line),
        };
        self.aside(&bytes);
    }

    /// An opening or closing line.
    pub(super) fn notice(&mut self, text: &str) {
        let mut page = Page::new(self.asides_look);
        page.dim(text);
        self.aside(&page.into_bytes());
    }

    /// A note: a complete sentence.
    pub(super) fn note(&mut self, text: &str) {
        self.notice(&text::with_prefix("note: ", text));
    }

    fn aside(&mut self, bytes: &[u8]) {
        let _ = self.asides.write_all(bytes).and_then(|()| self.asides.flush());
    }

    fn end_progress(&mut self) {
        if let Some(bar) = self.progress.take() {
            bar.finish_and_clear();
        }
    }
}

/// How standard output looks.
pub fn standard_look() -> Look {
    look(&io::stdout(), io::stdout().is_terminal())
}

/// Colour only on a terminal that can show it, and never with `NO_COLOR`.
fn look<S: anstream::stream::RawStream>(stream: &S, terminal: bool) -> Look {
    let color = terminal && AutoStream::choice(stream) != ColorChoice::Never;
    let width = if terminal { usize::MAX } else { Look::default().width };
    Look { terminal, color, width }
}

/// Draws on standard error, and only on a terminal.
fn bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}");
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
