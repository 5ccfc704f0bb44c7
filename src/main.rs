//! `kvsim`: arguments in, exit code out. What happens between is the library's.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use kvsim::arguments::{self, Task};
use kvsim::bench;
use kvsim::campaign;
use kvsim::command::escape;
use kvsim::shell::{self, Ending, Format, ShellError};

/// Values are of some hundred bytes and of many threads, and the system's allocator spreads them over small pages.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a program returns after Ctrl-C: 128 and the number of SIGINT.
const INTERRUPTED_CODE: i32 = 130;
/// Set by whoever wants a benchmark or a campaign to stop.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    match arguments::read(std::env::args_os()) {
        Ok(Task::Session(options)) => ended(shell::run(&options), options.format),
        Ok(Task::Demo { seed, pauses }) => ended(shell::walkthrough(seed, pauses), Format::Text),
        Ok(Task::Benchmark(settings)) => benchmark(&settings),
        Ok(Task::Simulate(settings)) => simulate(&settings),
        #[cfg(feature = "serve")]
        Ok(Task::Node(settings)) => node(&settings),
        #[cfg(feature = "serve")]
        Ok(Task::Serve(settings)) => serve(&settings),
        #[cfg(feature = "serve")]
        Ok(Task::Client(options)) => ended(shell::run_live(&options), options.format),
        Ok(Task::Completions(shell)) => print(&arguments::completions(shell)),
        Ok(Task::Man(command)) => match arguments::man(command.as_deref()) {
            Ok(page) => print(&page),
            Err(error) => fail(&error.into(), Format::Text),
        },
        Err(error) => refuse(&error),
    }
}

fn ended(session: Result<Ending, ShellError>, format: Format) -> ExitCode {
    match session.map_err(anyhow::Error::from) {
        Ok(ending) => ExitCode::from(ending.exit_code()),
        Err(error) => fail(&error, format),
    }
}

fn benchmark(settings: &bench::Settings) -> ExitCode {
    // Without a handler Ctrl-C ends the process at once, and the scratch files stay.
    let _ = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed));
    match bench::run(settings, &INTERRUPTED, &mut io::stdout(), &mut io::stderr()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            match settings.format {
                bench::Format::Json => drop(io::stderr().write_all(&error.json())),
                bench::Format::Text | bench::Format::Csv => say(&error.to_string()),
            }
            ExitCode::FAILURE
        }
    }
}

fn simulate(settings: &campaign::Settings) -> ExitCode {
    // The seeds under way come to their ends first; a second Ctrl-C does not wait for them.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED_CODE);
        }
        say("stopping once the seeds under way have ended; Ctrl-C again stops at once");
    });
    // What panics is a finding, and told as one.
    std::panic::set_hook(Box::new(|_| {}));
    match campaign::run(settings, shell::look(), &INTERRUPTED, &mut io::stdout(), &mut io::stderr()) {
        Ok(campaign::Ending::Clean) => ExitCode::SUCCESS,
        Ok(campaign::Ending::Violated | campaign::Ending::BelowFloor) => ExitCode::FAILURE,
        Ok(campaign::Ending::Stopped) => ExitCode::from(INTERRUPTED_CODE as u8),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => fail(&error.into(), Format::Text),
    }
}

#[cfg(feature = "serve")]
fn node(settings: &kvsim::serve::node::Settings) -> ExitCode {
    match kvsim::serve::node::run(settings, &mut tell) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.into(), Format::Text),
    }
}

#[cfg(feature = "serve")]
fn serve(settings: &kvsim::serve::redis::Settings) -> ExitCode {
    match kvsim::serve::redis::run(settings, &mut tell) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.into(), Format::Text),
    }
}

/// A line on standard output, escaped.
#[cfg(feature = "serve")]
fn tell(line: &str) {
    let _ = writeln!(io::stdout(), "{}", escape::escaped(line.as_bytes()));
}

/// Prints the error that ended the session, and gives the exit code.
fn fail(error: &anyhow::Error, format: Format) -> ExitCode {
    let known = error.downcast_ref::<ShellError>();
    match known {
        Some(known) if format == Format::Json => {
            let _ = io::stderr().write_all(&known.json());
        }
        _ => say(&format!("{error:#}")),
    }
    ExitCode::from(known.map_or(1, ShellError::exit_code))
}

/// Prints what is wrong with the arguments (or the help that was asked for), and gives the exit code.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").map_or(text.clone(), |text| format!("KV-E401 {text}"));
    text.trim_end().lines().for_each(say);
    ExitCode::from(2)
}

/// Prints what was made, on standard output.
fn print(bytes: &[u8]) -> ExitCode {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        // Whoever reads only the first lines is content.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error.into(), Format::Text),
        _ => ExitCode::SUCCESS,
    }
}

/// A line on standard error, escaped: it may repeat what was typed. There is nobody to tell if that fails.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", escape::escaped(line.as_bytes()));
}
