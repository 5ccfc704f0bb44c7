//! A Rust file seen through a narrow slit: enough of the language to know code from comments, text and tests, to
//! find functions and modules, and to follow paths. It need not understand what the compiler will.

/// One file.
pub(crate) struct Source {
    /// Relative to the package, with `/`.
    pub(crate) path: String,
    /// Without comments and without what stands in quotes, byte for byte in place.
    pub(crate) code: String,
    /// `code` without items under `#[cfg(test)]`.
    pub(crate) production: String,
    /// The text of the file.
    raw: String,
    /// Where the items under `#[cfg(test)]` are.
    tests: Vec<(usize, usize)>,
}

/// A path from the root of the crate: `room::..` at a place in a file.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Import {
    /// Its first name, or `*`.
    pub(crate) room: String,
    /// Where it is written.
    pub(crate) line: usize,
}

/// A declaration `mod name;`.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Declared {
    /// The files it may mean, the first that exists is meant.
    pub(crate) files: Vec<String>,
    /// Where it is written.
    pub(crate) line: usize,
    /// Whether it is under `#[cfg(test)]`.
    pub(crate) for_tests: bool,
}

impl Source {
    pub(crate) fn new(path: &str, raw: &str) -> Source {
        let code = blank_text(raw);
        let tests = test_items(&code);
        let mut production = code.clone().into_bytes();
        for (start, end) in &tests {
            blank(&mut production, *start, *end);
        }
        let production = String::from_utf8(production).expect("items begin and end at ASCII");
        Source { path: path.to_owned(), code, production, raw: raw.to_owned(), tests }
    }

    pub(crate) fn line(&self, offset: usize) -> usize {
        1 + newlines(&self.code[..offset])
    }

    /// Lines that are not under `#[cfg(test)]`.
    pub(crate) fn production_lines(&self) -> usize {
        let tests: usize = self.tests.iter().map(|(start, end)| newlines(&self.raw[*start..*end])).sum();
        self.raw.lines().count() - tests
    }

    /// The module the file is: `["ring", "naive"]` for `src/ring/naive.rs`, nothing for a root.
    pub(crate) fn module(&self) -> Vec<&str> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let mut names: Vec<&str> = inner.strip_suffix(".rs").unwrap_or(inner).split('/').collect();
        if names.last() == Some(&"mod") || matches!(names[..], ["lib" | "main"]) {
            names.pop();
        }
        names
    }

    /// Every path that begins at the root of the crate, in imports and in expressions alike.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for root in ["crate", "kvsim", "super"] {
            let begins = |start: &usize| !self.code[..*start].ends_with("::");
            for start in words(&self.code, root).into_iter().filter(begins) {
                let mut paths = Vec::new();
                read_paths(self.code.as_bytes(), &mut start.clone(), &[], &mut paths);
                for path in paths {
                    imports.extend(self.seen_from_root(&path, start));
                }
            }
        }
        imports.sort_by_key(|import| import.line);
        imports
    }

    /// The first name of `path` seen from the root; nothing for what stays in the room or names the root alone.
    fn seen_from_root(&self, path: &[String], offset: usize) -> Option<Import> {
        let supers = path.iter().take_while(|name| *name == "super").count();
        let depth = self.module().len() + self.inline_modules(offset);
        let reaches_root = supers == 0 || supers == depth;
        let room = path.get(supers.max(1))?;
        (reaches_root && room != "self").then(|| Import { room: room.clone(), line: self.line(offset) })
    }

    /// How many `mod name { .. }` of this file enclose `offset`.
    fn inline_modules(&self, offset: usize) -> usize {
        let bodies = modules(&self.code).filter(|(.., end)| self.code[*end..].starts_with('{'));
        bodies.filter(|(.., open)| (*open..matching(self.code.as_bytes(), *open)).contains(&offset)).count()
    }

    /// The names of all modules declared here, with a body or in a file of their own.
    pub(crate) fn module_names(&self) -> Vec<(String, usize)> {
        modules(&self.code).map(|(start, name, _)| (name.to_owned(), self.line(start))).collect()
    }

    /// The modules in files of their own.
    pub(crate) fn declared(&self) -> Vec<Declared> {
        let declared = modules(&self.code).filter(|(.., end)| self.code[*end..].starts_with(';'));
        declared
            .map(|(start, name, _)| Declared {
                files: self.files_of(name, start),
                line: self.line(start),
                for_tests: !self.production[start..].starts_with("mod"),
            })
            .collect()
    }

    fn files_of(&self, name: &str, start: usize) -> Vec<String> {
        let parent = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let is_root = matches!(self.path.rsplit('/').next(), Some("mod.rs" | "lib.rs" | "main.rs"));
        let folder = if is_root { parent } else { self.path.trim_end_matches(".rs") };
        let attributes = self.code[..start].rfind([';', '{', '}']).map_or(0, |end| end + 1);
        match self.raw[attributes..start].split_once("path = \"").and_then(|(_, rest)| rest.split_once('"')) {
            Some((given, _)) => vec![format!("{parent}/{given}")],
            None => vec![format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")],
        }
    }

    /// Functions with bodies outside of tests: name, first line, number of lines.
    pub(crate) fn functions(&self) -> Vec<(String, usize, usize)> {
        let code = self.production.as_bytes();
        let mut functions = Vec::new();
        for start in words(&self.production, "fn") {
            let name: String =
                self.production[start + 2..].trim_start().chars().take_while(|c| is_name(*c as u8)).collect();
            let end = item_end(code, start);
            if !name.is_empty() && code.get(end - 1) == Some(&b'}') {
                functions.push((name, self.line(start), 1 + newlines(&self.production[start..end])));
            }
        }
        functions
    }
}

/// Where `word` stands alone in `code` (it may end in punctuation).
pub(crate) fn words(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let alone = |at: &usize| {
        let before = at.checked_sub(1).is_some_and(|before| is_name(bytes[before]));
        let ends_in_name = word.bytes().last().is_some_and(is_name);
        let behind = bytes.get(at + word.len()).is_some_and(|next| is_name(*next));
        !(before || (ends_in_name && behind))
    };
    code.match_indices(word).map(|(at, _)| at).filter(alone).collect()
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn blank(bytes: &mut [u8], start: usize, end: usize) {
    for byte in &mut bytes[start..end] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Modules declared in `code`: offset of `mod`, name, offset of the `;` or `{` behind it.
fn modules(code: &str) -> impl Iterator<Item = (usize, &str, usize)> {
    words(code, "mod").into_iter().filter_map(move |start| {
        let name = code[start + 3..].trim_start();
        let name_at = code.len() - name.len();
        let len = name.bytes().take_while(|byte| is_name(*byte)).count();
        let end = code.len() - code[name_at + len..].trim_start().len();
        (len > 0 && code[end..].starts_with([';', '{'])).then(|| (start, &name[..len], end))
    })
}

/// Reads the path or tree of paths that begins at `at`, as far as names go.
fn read_paths(code: &[u8], at: &mut usize, before: &[String], paths: &mut Vec<Vec<String>>) {
    skip_space(code, at);
    match code.get(*at) {
        Some(b'{') => {
            *at += 1;
            loop {
                skip_space(code, at);
                match code.get(*at) {
                    None => return,
                    Some(b'}') => break *at += 1,
                    Some(b'{' | b'*') => read_paths(code, at, before, paths),
                    Some(byte) if is_name(*byte) => read_paths(code, at, before, paths),
                    Some(_) => *at += 1,
                }
            }
        }
        Some(b'*') => {
            *at += 1;
            paths.push([before, &["*".to_owned()]].concat());
        }
        _ => {
            let name = read_name(code, at);
            if name.is_empty() {
                return paths.push(before.to_vec());
            }
            let path = [before, &[name]].concat();
            skip_space(code, at);
            if code[*at..].starts_with(b"::") {
                *at += 2;
                return read_paths(code, at, &path, paths);
            }
            if code[*at..].starts_with(b"as ") {
                *at += 3;
                skip_space(code, at);
                read_name(code, at);
            }
            paths.push(path);
        }
    }
}

fn read_name(code: &[u8], at: &mut usize) -> String {
    let len = code[*at..].iter().take_while(|byte| is_name(**byte)).count();
    let name = String::from_utf8_lossy(&code[*at..*at + len]).into_owned();
    *at += len;
    name
}

fn skip_space(code: &[u8], at: &mut usize) {
    *at += code[*at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
}

/// The items under `#[cfg(test)]` or `#![cfg(test)]`, `all(test, ..)` and `any(test, ..)` included.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let bytes = code.as_bytes();
    let mut items: Vec<(usize, usize)> = Vec::new();
    for (start, opening) in code.match_indices("#[cfg(").chain(code.match_indices("#![cfg(")) {
        let end = matching(bytes, start + opening.len() - "[cfg(".len());
        let condition = &code[start..end];
        let of_tests = !words(condition, "test").is_empty() && words(condition, "not").is_empty();
        if of_tests && opening.starts_with("#!") {
            return vec![(0, code.len())];
        }
        if of_tests && !items.iter().any(|(from, to)| (*from..*to).contains(&start)) {
            items.push((start, item_end(bytes, end)));
        }
    }
    items
}

/// Where the item at `start` ends: behind its body, or its `;`, or where what encloses it ends.
fn item_end(code: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = code.get(at) {
        match byte {
            b'{' => return matching(code, at),
            b'(' | b'[' => at = matching(code, at),
            b';' => return at + 1,
            b'}' => return at,
            _ => at += 1,
        }
    }
    code.len()
}

/// Behind the bracket that closes the one at `open`.
fn matching(code: &[u8], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// `raw` with comments and the insides of text and character literals blanked.
fn blank_text(raw: &str) -> String {
    let mut code = raw.as_bytes().to_vec();
    let mut at = 0;
    while at < raw.len() {
        let rest = &raw.as_bytes()[at..];
        let in_name = at > 0 && is_name(raw.as_bytes()[at - 1]);
        let len = match rest {
            [b'/', b'/', ..] => rest.iter().take_while(|byte| **byte != b'\n').count(),
            [b'/', b'*', ..] => comment_len(rest),
            [b'"', ..] => quoted_len(rest, b'"'),
            [b'\'', ..] => character_len(&raw[at..]).unwrap_or(0),
            [b'r', b'"' | b'#', ..] if !in_name => raw_text_len(rest, 1),
            [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_name => raw_text_len(rest, 2),
            _ => 0,
        };
        blank(&mut code, at, at + len);
        at += len.max(1);
    }
    String::from_utf8(code).expect("literals and comments begin and end at ASCII")
}

/// A comment that may hold others.
fn comment_len(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_len(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A character literal; a lifetime is none.
fn character_len(rest: &str) -> Option<usize> {
    let inside = rest[1..].chars().next()?;
    let closes = rest[1 + inside.len_utf8()..].starts_with('\'');
    match inside {
        '\\' => Some(quoted_len(rest.as_bytes(), b'\'')),
        '\'' => None,
        _ => closes.then_some(2 + inside.len_utf8()),
    }
}

/// Text between `r#"` and `"#`, with as many `#` as there are; 0 if it is a raw name.
fn raw_text_len(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(prefix + hashes) != Some(&b'"') {
        return 0;
    }
    let start = prefix + hashes + 1;
    let closing = [&b"\""[..], &vec![b'#'; hashes]].concat();
    let inside = rest[start..].windows(closing.len()).position(|end| end == closing);
    inside.map_or(rest.len(), |inside| start + inside + closing.len())
}
