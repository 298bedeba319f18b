//! Runs a command many times and prints the median of its wall time and its largest memory. Called by `e2e/bench.sh`.
//!
//! It asks the kernel (`getrusage` of the children it waited for), so no further package is needed. Memory is the
//! peak resident set; the kernel gives the largest of all children, so one process measures one command.

use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;

const USAGE: &str = "usage: measure RUNS PREPARE COMMAND [ARGUMENT]...
PREPARE is run by `sh -c` before each run and is not measured; an empty one is not run.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runs, prepare, command, rest @ ..] = arguments.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let Ok(runs @ 1..) = runs.parse::<u32>() else {
        eprintln!("RUNS is \"{runs}\"; want a number from 1\n{USAGE}");
        return ExitCode::from(64);
    };
    match median_of(runs, prepare, command, rest) {
        Ok((median, kilobytes)) => {
            println!("{}\t{kilobytes}", median.as_micros());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(1)
        }
    }
}

/// Median wall time and largest resident set in kilobytes.
fn median_of(
    runs: u32,
    prepare: &str,
    command: &str,
    arguments: &[String],
) -> Result<(Duration, i64), Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    for _ in 0..runs {
        // Its memory counts as a child's too, but `sh` and `rm` are smaller than what is measured.
        if !prepare.is_empty() && !Command::new("sh").args(["-c", prepare]).status()?.success() {
            return Err(format!("{prepare}: did not succeed").into());
        }
        let started_at = Instant::now();
        let output = Command::new(command).args(arguments).stdin(Stdio::null()).output()?;
        times.push(started_at.elapsed());
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{command} ended with {}: {stderr}", output.status).into());
        }
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok((median, getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss()))
}
