//! What is made of the arguments' definitions: completions of shells and man pages.

use std::io;

use clap_complete::Shell;
use clap_mangen::Man;

/// The completions of a shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), PROGRAM, &mut script);
    script
}

/// The man page of the program, or of one of its commands; the program's own if there is no such command.
pub fn man(command: Option<&str>) -> io::Result<Vec<u8>> {
    let mut program = super::command();
    program.build();
    let about = command.and_then(|name| program.find_subcommand(name)).unwrap_or(&program);
    let mut page = Vec::new();
    Man::new(about.clone()).render(&mut page)?;
    Ok(page)
}

/// The name of a command that has a page.
pub(super) fn page(name: &str) -> Result<String, String> {
    let program = super::command();
    let names: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
    if names.contains(&name) { Ok(name.to_owned()) } else { Err(format!("it is one of {}", names.join(", "))) }
}

const PROGRAM: &str = "kvsim";
