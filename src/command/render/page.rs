//! Text on its way out. Everything put on a page passes the escaper; only the page itself adds colour.

use anstyle::{AnsiColor, Style};

use crate::command::escape;

/// Lines of text, escaped, with restrained colour if it is wanted.
#[derive(Debug, Default)]
pub struct Page {
    bytes: Vec<u8>,
    color: bool,
}

impl Page {
    /// An empty page. `color`: whether dim and red may be used.
    pub fn new(color: bool) -> Page {
        Page { bytes: Vec::new(), color }
    }

    /// A line.
    pub fn line(&mut self, text: &str) {
        self.styled(Style::new(), text);
    }

    /// A line that may be overlooked.
    pub fn dim(&mut self, text: &str) {
        self.styled(Style::new().dimmed(), text);
    }

    /// A line that says what the command did.
    pub fn lead(&mut self, text: &str) {
        self.styled(Style::new().bold(), text);
    }

    /// A line that says what went wrong.
    pub fn error(&mut self, text: &str) {
        self.styled(AnsiColor::Red.on_default(), text);
    }

    /// A value with a line end, byte for byte. Never for a terminal.
    pub fn raw(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'\n');
    }

    /// Clears a terminal's screen, and what has scrolled out of it.
    pub fn clear_screen(&mut self) {
        self.bytes.extend_from_slice(b"\x1b[H\x1b[2J\x1b[3J");
    }

    /// The page.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn styled(&mut self, style: Style, text: &str) {
        let text = escape::escaped(text.as_bytes());
        let line = if self.color { format!("{style}{text}{style:#}\n") } else { text + "\n" };
        self.bytes.extend_from_slice(line.as_bytes());
    }
}
