//! The sidecar's log: lines on standard error, for people or for collectors.

use std::io;
use std::io::IsTerminal;

use clap::ValueEnum;

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A sentence, with its facts behind it
    Text,
    /// An object of JSON for each line
    Json,
}

/// From now on `tracing` events of level INFO and above are written to standard error. A second call does nothing.
pub fn begin(format: LogFormat) {
    let lines = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
