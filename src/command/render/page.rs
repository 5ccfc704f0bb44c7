//! Text on its way out. Everything put on a page passes the escaper; only the page itself adds colour.

use anstyle::{AnsiColor, Style};

use super::Look;
use crate::command::escape;

/// Lines of text, escaped, with restrained colour if it is wanted. On a terminal sentences are broken between words
/// where they would run over its edge.
#[derive(Debug, Default)]
pub struct Page {
    bytes: Vec<u8>,
    color: bool,
    width: Option<usize>,
}

impl Page {
    /// An empty page.
    pub fn new(look: Look) -> Page {
        Page { bytes: Vec::new(), color: look.color, width: Some(look.width).filter(|_| look.terminal) }
    }

    /// A line that stays one: a row of a table, or what came from outside.
    pub fn row(&mut self, text: &str) {
        self.styled(Style::new(), escape::escaped(text.as_bytes()));
    }

    /// A line.
    pub fn line(&mut self, text: &str) {
        self.sentence(Style::new(), text);
    }

    /// A line that may be overlooked.
    pub fn dim(&mut self, text: &str) {
        self.sentence(Style::new().dimmed(), text);
    }

    /// A line that says what the command did.
    pub fn lead(&mut self, text: &str) {
        self.sentence(Style::new().bold(), text);
    }

    /// A line that says what went wrong.
    pub fn error(&mut self, text: &str) {
        self.sentence(AnsiColor::Red.on_default(), text);
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

    fn sentence(&mut self, style: Style, text: &str) {
        let text = escape::escaped(text.as_bytes());
        match self.width {
            Some(width) => fold(&text, width, 0).into_iter().for_each(|line| self.styled(style, line)),
            None => self.styled(style, text),
        }
    }

    fn styled(&mut self, style: Style, text: String) {
        let line = if self.color { format!("{style}{text}{style:#}\n") } else { text + "\n" };
        self.bytes.extend_from_slice(line.as_bytes());
    }
}

/// Breaks a line between words where it is longer than `width` characters; the lines after the first are indented. Runs of
/// spaces within a line stay, a word that is too long by itself, and a figure with its `%`.
pub fn fold(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text.to_owned();
    while let Some((end, c)) = rest.char_indices().nth(width) {
        let start = rest.get(..end + c.len_utf8()).unwrap_or_default();
        let is_place = |at: usize| !rest.get(at + 1..).is_some_and(|tail| tail.starts_with('%'));
        let places = start.rmatch_indices(' ').map(|(at, _)| at);
        let Some(at) = places.into_iter().find(|at| is_place(*at)).filter(|at| *at > indent) else { break };
        let tail = rest.split_off(at);
        lines.push(std::mem::replace(&mut rest, " ".repeat(indent) + tail.trim_start()));
    }
    lines.push(rest);
    lines
}

/// Puts `items` behind `prefix` with `separator` between them, on lines of at most `width` bytes where the items allow
/// it; the lines after the first are indented by the prefix.
pub fn flow(prefix: &str, items: &[String], separator: &str, width: usize) -> Vec<String> {
    let mut lines = vec![prefix.to_owned()];
    let mut fresh = true;
    for item in items {
        let end = separator.trim_end();
        let full = lines.last().is_some_and(|line| line.len() + separator.len() + item.len() + end.len() > width);
        if full && !fresh {
            lines.last_mut().into_iter().for_each(|line| line.push_str(end));
            lines.push(" ".repeat(prefix.len()));
            fresh = true;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if fresh { "" } else { separator });
            line.push_str(item);
        }
        fresh = false;
    }
    lines
}

#[cfg(test)]
mod tests;
