//! Cuts a line into statements and words, with the quoting of redis-cli.
//!
//! `"..."` knows `\n \r \t \b \a \\ \"` and `\xHH`; `'...'` knows `\'`; outside quotes a backslash is itself. A quote
//! may begin inside a word, but must end at its end. `;` and newlines separate statements outside quotes; `#` at the
//! start of a word begins a comment that runs to the end of the line. Words are bytes: nothing has to be UTF-8.
//!
//! Memory is bounded by one statement: [`statements`] checks the whole line first, so that a line with an unclosed
//! quote runs nothing, and then cuts one statement at a time.

use super::error::UsageError;

/// One word of a statement.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Word {
    /// The bytes, escapes decoded.
    pub bytes: Vec<u8>,
    /// Whether any of it was quoted: then it is never a flag.
    pub quoted: bool,
}

/// The words up to a `;`, a newline or the end. Never empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Statement {
    /// The words, the command's name first.
    pub words: Vec<Word>,
    /// Whether a comment ended it: a `#` that was meant as an argument is worth a hint.
    pub commented: bool,
}

/// The most words of one statement: as many elements as a Redis request may have. Bounds memory, since a word of one
/// byte costs some fifty.
pub const MAX_WORDS: usize = 65_536;

/// The longest line, in bytes: the largest value there can be with each byte written `\xHH`, and room for its command.
pub const MAX_LINE: usize = 4 * crate::types::MAX_VALUE_CAP + (64 << 10);

/// The statements of `line`, or what is wrong with its quoting (then none of them should run).
pub fn statements(line: &[u8]) -> Result<Statements<'_>, UsageError> {
    if line.len() > MAX_LINE {
        return Err(UsageError::LineTooLong);
    }
    let all = Statements { scanner: Scanner { rest: line } };
    all.clone().try_for_each(|statement| statement.map(drop))?;
    Ok(all)
}

/// Whether `line` ends inside quotes, so that a prompt should go on reading.
pub fn is_open(line: &[u8]) -> bool {
    matches!(statements(line), Err(UsageError::UnclosedQuote { .. }))
}

/// An iterator over statements. After an error it ends.
#[derive(Clone, Debug)]
pub struct Statements<'a> {
    scanner: Scanner<'a>,
}

impl Iterator for Statements<'_> {
    type Item = Result<Statement, UsageError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.scanner.rest.is_empty() {
            match self.scanner.statement() {
                Ok(statement) if statement.words.is_empty() => {}
                Ok(statement) => return Some(Ok(statement)),
                Err(error) => {
                    self.scanner.rest = &[];
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

#[derive(Clone, Debug)]
struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn bump(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// Reads up to and including the separator that ends the statement.
    fn statement(&mut self) -> Result<Statement, UsageError> {
        let mut statement = Statement::default();
        while let Some(&byte) = self.rest.first() {
            match byte {
                b';' | b'\n' => {
                    self.bump();
                    break;
                }
                b'#' => {
                    statement.commented = true;
                    self.skip_comment();
                    break;
                }
                _ if is_space(byte) => {
                    self.bump();
                }
                _ if statement.words.len() == MAX_WORDS => return Err(UsageError::TooManyWords),
                _ => statement.words.push(self.word()?),
            }
        }
        Ok(statement)
    }

    fn skip_comment(&mut self) {
        let end = self.rest.iter().position(|byte| *byte == b'\n').map_or(self.rest.len(), |at| at + 1);
        self.rest = self.rest.get(end..).unwrap_or_default();
    }

    fn word(&mut self) -> Result<Word, UsageError> {
        let mut word = Word::default();
        while let Some(&byte) = self.rest.first() {
            if ends_word(byte) {
                break;
            }
            self.bump();
            if byte == b'"' || byte == b'\'' {
                word.quoted = true;
                self.quoted(byte, &mut word.bytes)?;
                break;
            }
            word.bytes.push(byte);
        }
        Ok(word)
    }

    /// Reads what follows an opening `quote`, with the closing one.
    fn quoted(&mut self, quote: u8, into: &mut Vec<u8>) -> Result<(), UsageError> {
        loop {
            match self.bump() {
                None => return Err(UsageError::UnclosedQuote { quote: char::from(quote) }),
                Some(byte) if byte == quote => break,
                Some(b'\\') if quote == b'"' => self.escape(into),
                Some(b'\\') if self.rest.first() == Some(&b'\'') => {
                    self.bump();
                    into.push(b'\'');
                }
                Some(byte) => into.push(byte),
            }
        }
        match self.rest.first() {
            Some(&next) if !ends_word(next) => Err(UsageError::TextAfterQuote { quote: char::from(quote) }),
            _ => Ok(()),
        }
    }

    /// Reads what follows a backslash in double quotes. An escape nobody knows stands for its letter.
    fn escape(&mut self, into: &mut Vec<u8>) {
        if let [b'x', high, low, rest @ ..] = self.rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            into.push(high << 4 | low);
            self.rest = rest;
            return;
        }
        let Some(letter) = self.bump() else { return };
        into.push(match letter {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'a' => 0x07,
            other => other,
        });
    }
}

fn ends_word(byte: u8) -> bool {
    byte == b';' || is_space(byte)
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests;
