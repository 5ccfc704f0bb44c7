//! What a command takes, from one line of text to what `COMMAND DOCS` shows, which redis-cli's prompt makes its hints of.
//!
//! In a line `WORDS` are typed as they are, `names` stand for something; `A b` is one argument with its word in front;
//! `[..]` may be left out, `(..)` belongs together, `a | b` is one of both, and `...` may be said again.

use crate::wire::resp::Reply;

/// One argument, or several that belong together.
#[derive(Debug, Default)]
struct Argument<'a> {
    name: &'a str,
    kind: &'static str,
    token: Option<&'a str>,
    is_optional: bool,
    is_multiple: bool,
    inner: Vec<Argument<'a>>,
}

/// The arguments of a line.
pub(super) fn arguments(line: &'static str) -> Reply {
    shown(&sequence(&mut Parts { rest: line }))
}

fn shown(arguments: &[Argument<'_>]) -> Reply {
    Reply::Array(arguments.iter().map(Argument::shown).collect())
}

impl Argument<'_> {
    fn shown(&self) -> Reply {
        let text = |text: &str| Reply::bulk(text.to_owned());
        let mut fields = vec![("name", text(self.name)), ("type", text(self.kind))];
        if self.inner.is_empty() && self.kind != TOKEN {
            fields.push(("display_text", text(self.name)));
        }
        fields.extend(self.token.map(|token| ("token", text(token))));
        let flags = [(self.is_optional, "optional"), (self.is_multiple, "multiple")];
        let flags: Vec<_> = flags.iter().filter(|(is, _)| *is).map(|(_, name)| Reply::Simple(name)).collect();
        if !flags.is_empty() {
            fields.push(("flags", Reply::Array(flags)));
        }
        if !self.inner.is_empty() {
            fields.push(("arguments", shown(&self.inner)));
        }
        Reply::Map(fields.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
    }
}

/// Brackets, bars, dots and words of a line.
struct Parts<'a> {
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn peek(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start();
        let sign = self.rest.chars().next()?;
        let length = match sign {
            '[' | ']' | '(' | ')' | '|' => 1,
            '.' => DOTS.len(),
            _ => self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(self.rest.len()).max(1),
        };
        self.rest.get(..length)
    }

    fn next(&mut self) -> Option<&'a str> {
        let part = self.peek()?;
        self.rest = self.rest.get(part.len()..).unwrap_or_default();
        Some(part)
    }

    fn take(&mut self, part: &str) -> bool {
        let is_next = self.peek() == Some(part);
        if is_next {
            self.next();
        }
        is_next
    }
}

/// Up to a bar, a closing bracket or the end.
fn sequence<'a>(parts: &mut Parts<'a>) -> Vec<Argument<'a>> {
    let mut arguments = Vec::new();
    while let Some(part) = parts.peek().filter(|part| !matches!(*part, "]" | ")" | "|")) {
        parts.next();
        let mut argument = match part {
            "[" | "(" => {
                let mut choices = vec![together(sequence(parts))];
                while parts.take("|") {
                    choices.push(together(sequence(parts)));
                }
                parts.next();
                let one = one_of(choices);
                Argument { is_optional: part == "[", ..one }
            }
            word if is_token(word) => match parts.peek().filter(|next| is_name(next)) {
                Some(name) => {
                    parts.next();
                    Argument { name, kind: kind(name), token: Some(word), ..Argument::default() }
                }
                None => Argument { name: word, kind: TOKEN, token: Some(word), ..Argument::default() },
            },
            name => Argument { name, kind: kind(name), ..Argument::default() },
        };
        argument.is_multiple = parts.take(DOTS);
        arguments.push(argument);
    }
    arguments
}

fn together(mut arguments: Vec<Argument<'_>>) -> Argument<'_> {
    match arguments.pop() {
        Some(only) if arguments.is_empty() => only,
        last => {
            arguments.extend(last);
            Argument { name: "together", kind: "block", inner: arguments, ..Argument::default() }
        }
    }
}

fn one_of(mut choices: Vec<Argument<'_>>) -> Argument<'_> {
    match choices.pop() {
        Some(only) if choices.is_empty() => only,
        last => {
            choices.extend(last);
            Argument { name: "option", kind: "oneof", inner: choices, ..Argument::default() }
        }
    }
}

fn is_token(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
}

fn kind(name: &str) -> &'static str {
    match name {
        "key" => "key",
        "pattern" => "pattern",
        "seconds" | "milliseconds" | "increment" | "decrement" | "cursor" | "count" | "index" | "client-id"
        | "version" => "integer",
        "unix-time-seconds" | "unix-time-milliseconds" => "unix-time",
        _ => "string",
    }
}

const TOKEN: &str = "pure-token";
const DOTS: &str = "...";

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &'static str) -> String {
        fn tell(argument: &Argument<'_>) -> String {
            let inner: Vec<_> = argument.inner.iter().map(tell).collect();
            let token = argument.token.map(|token| format!("{token}=")).unwrap_or_default();
            let flags = ["", "?", "*", "?*"][usize::from(argument.is_optional) + 2 * usize::from(argument.is_multiple)];
            let name = if inner.is_empty() { argument.name.to_owned() } else { format!("({})", inner.join(" ")) };
            format!("{}:{token}{name}{flags}", argument.kind)
        }
        sequence(&mut Parts { rest: line }).iter().map(tell).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_line_tells_what_a_command_takes() {
        assert_eq!(told("key..."), "key:key*");
        assert_eq!(told("(key value)..."), "block:(key:key string:value)*");
        assert_eq!(
            told("key [NX | XX] [EX seconds | KEEPTTL] [GET]"),
            "key:key oneof:(pure-token:NX=NX pure-token:XX=XX)? \
             oneof:(integer:EX=seconds pure-token:KEEPTTL=KEEPTTL)? pure-token:GET=GET?"
        );
        assert_eq!(
            told("[version [AUTH user password]]"),
            "block:(integer:version block:(string:AUTH=user string:password)?)?"
        );
    }
}
