//! The README says what the program says: its transcripts are played again, its tables of commands and flags are made
//! of the definitions that the program runs by, its error codes are those of the source, and its links lead somewhere.
//! `KVSIM_BLESS=1` writes the played and the made parts anew.

#![cfg(unix)]
#![expect(clippy::expect_used, reason = "a test that cannot read the page must say so")]

#[path = "readme/tables.rs"]
mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_page_says_what_the_program_says() {
    let page = page();
    let made = with_tables(&with_transcripts(&page));
    if std::env::var_os("KVSIM_BLESS").is_some() {
        fs::write(path(), made).expect("README.md");
        return;
    }
    let differs = page.lines().zip(made.lines()).find(|(written, made)| written != made);
    assert_eq!(differs.map(|(written, _)| written), differs.map(|(_, made)| made), "KVSIM_BLESS=1 writes it anew");
    assert_eq!(page.len(), made.len(), "KVSIM_BLESS=1 writes it anew");
}

#[test]
fn every_error_code_is_explained_once() {
    let page = page();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")).filter(|row| row.starts_with(CODE));
    let explained: Vec<String> = rows.map(|row| row[..CODE.len() + 3].to_owned()).collect();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for file in sources(&Path::new(ROOT).join("src")) {
        let text = fs::read_to_string(file).expect("a source");
        known.extend(codes(&text));
    }
    assert_eq!(explained, known.into_iter().collect::<Vec<_>>(), "rows of the page; codes in src/");
}

#[test]
fn every_link_leads_to_a_file() {
    let page = page();
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let mut links = 0;
    for target in targets.filter(|target| !target.starts_with("http") && !target.starts_with('#')) {
        assert!(Path::new(ROOT).join(target).exists(), "{target}");
        links += 1;
    }
    assert!(links > 10, "{links} links");
}

#[test]
fn every_invariant_of_check_is_explained() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_kvsim")).args(["-c", "put a 1; check"]).output().expect("the program");
    let printed = String::from_utf8(output.stdout).expect("text");
    let (_, checked) = printed.split_once("checked ").expect("what was checked");
    let words = checked.split(|separator: char| !separator.is_ascii_alphanumeric() && separator != '-');
    let names: BTreeSet<&str> = words.filter(|word| word.contains('-')).collect();
    assert!(names.contains("RING-1"), "{names:?}");
    let page = page();
    let unexplained: Vec<&str> = names.into_iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert_eq!(unexplained, [""; 0]);
}

/// The page with each transcript as it is played now.
fn with_transcripts(page: &str) -> String {
    let mut parts = page.split("```console\n");
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (transcript, after) = part.split_once("```").expect("the end of a transcript");
        let played = match transcript.split_once("\nkvsim> ") {
            Some((start, _)) => session(start, transcript),
            None => {
                let folder = tempfile::tempdir().expect("a temporary directory");
                let lines = transcript.lines().filter_map(|line| line.strip_prefix("$ "));
                lines.map(|line| in_a_shell(line, folder.path())).collect()
            }
        };
        made.push_str(&format!("```console\n{played}```{after}"));
    }
    made
}

/// A line of a shell in `folder`, and what it prints.
fn in_a_shell(line: &str, folder: &Path) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_kvsim")).parent().expect("its folder").display().to_string();
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; {line}")])
        .env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap_or_default()))
        .env_remove("KVSIM_DATA_DIR")
        .current_dir(folder)
        .output()
        .expect("a shell");
    format!("$ {line}\n{}", String::from_utf8(output.stdout).expect("text"))
}

/// A session at the prompt that `start` begins (`$ kvsim --ephemeral`): its commands, each with what it prints.
fn session(start: &str, transcript: &str) -> String {
    let flags = start.strip_prefix("$ kvsim ").expect("how the session begins");
    let mut played = format!("{start}\n");
    let mut commands: Vec<&str> = Vec::new();
    let mut printed = 0;
    for command in transcript.lines().filter_map(|line| line.strip_prefix("kvsim> ")) {
        commands.push(command);
        // Runs all up to here: equal commands print equal bytes, so what is new is this command's.
        let output = Command::new(env!("CARGO_BIN_EXE_kvsim"))
            .args(flags.split(' '))
            .args(["-c", &commands.join("; ")])
            .output()
            .expect("the program");
        let text = String::from_utf8(output.stdout).expect("text");
        played.push_str(&format!("kvsim> {command}\n{}", &text[printed..]));
        printed = text.len();
    }
    played
}

/// The page with each table as it is made now, between `<!-- made: NAME -->` and `<!-- end -->`.
fn with_tables(page: &str) -> String {
    let mut parts = page.split("<!-- made: ");
    let mut made = parts.next().unwrap_or_default().to_owned();
    let mut names = BTreeSet::new();
    for part in parts {
        let (name, rest) = part.split_once(" -->").expect("a name");
        let (_, after) = rest.split_once("<!-- end -->").expect("the end of a table");
        let table = tables::named(name).unwrap_or_else(|| panic!("no table is called {name}"));
        made.push_str(&format!("<!-- made: {name} -->\n\n{table}\n<!-- end -->{after}"));
        names.insert(name);
    }
    assert_eq!(names.into_iter().collect::<Vec<_>>(), tables::NAMES, "every table, somewhere on the page");
    made
}

/// The codes that a text names.
fn codes(text: &str) -> impl Iterator<Item = String> {
    let numbers = text.split(CODE).skip(1).filter_map(|rest| rest.get(..3));
    numbers.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())).map(|number| format!("{CODE}{number}"))
}

/// The sources below a folder, without those of tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a readable folder").path();
        match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("tests") => {}
            _ if path.is_dir() => found.extend(sources(&path)),
            _ => found.push(path),
        }
    }
    found
}

fn page() -> String {
    fs::read_to_string(path()).expect("README.md")
}

fn path() -> PathBuf {
    Path::new(ROOT).join("README.md")
}

/// What every code begins with.
const CODE: &str = "KV-E";
