//! `kubectl`, run by us and ended with us.
//!
//! The terminal tells the whole group of Ctrl-C, and whoever ends us with a signal that can be taken has it ended too.
//! But nothing may be left that holds a person's login open when we are killed: so the kernel is to end it when its
//! parent ends (PR_SET_PDEATHSIG). That is said by the child itself before it becomes kubectl, so for an instant it is
//! this program under a name of its own.

use std::ffi::OsString;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use crate::commands::failure::Exit;

/// A running kubectl.
pub struct Kubectl {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    /// Hangs up when all that it wrote has been read.
    unread: Receiver<()>,
}

/// The name under which this program becomes kubectl: what follows are its parent's number and kubectl's arguments.
pub const LIFELINE: &str = "kraftlet-to-kubectl";

/// What a shell says of a program that it cannot run.
const NOT_FOUND: u8 = 127;

/// What it wrote before it ended is in the pipe and is read in no time; only a plugin of its that lives on can keep the pipe
/// open, and has nothing to say of why kubectl ended.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// A few lines say why it ended.
const MOST_LINES: usize = 4;

/// A klog header: `E0117 09:11:52.123456   12345 proxy_server.go:147] …`.
const KLOG_SEVERITIES: &str = "IWEF";

/// Whether we were started to become kubectl.
pub fn is_lifeline(mut arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.next().is_some_and(|name| name == LIFELINE)
}

/// Becomes kubectl, and comes back only where that cannot be.
pub fn become_kubectl(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.skip(1);
    let parent = arguments.next();
    let parent = parent.and_then(|number| number.to_str()?.parse::<i32>().ok());
    // Who was orphaned before the kernel was told would never hear of it.
    let tied = set_pdeathsig(Signal::SIGTERM).is_ok() && parent == Some(getppid().as_raw());
    if !tied {
        return ExitCode::from(Exit::Again.code());
    }
    let error = Command::new("kubectl").args(arguments).exec();
    let _ = writeln!(io::stderr(), "cannot run kubectl: {error}");
    ExitCode::from(NOT_FOUND)
}

impl Kubectl {
    /// Starts it. What it writes is not for us; it may ask the person to log in, and shows how on standard error.
    pub fn start(arguments: &[OsString]) -> io::Result<Self> {
        let mut child = command(arguments)?.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let (reads, unread) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                pass_on(stderr, &said);
                drop(reads);
            });
        }
        Ok(Self { child, said, unread })
    }

    /// Runs it to its end: what it wrote, or what it said is wrong.
    pub fn output(arguments: &[OsString]) -> io::Result<Result<String, String>> {
        let output = command(arguments)?.stderr(Stdio::piped()).output()?;
        Ok(if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        })
    }

    /// Why it has ended, if it has.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        // It may end between its last words and our reading them.
        let _ = self.unread.recv_timeout(HEARD_WITHIN);
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        Some(if said.is_empty() { status.to_string() } else { said.join("; ") })
    }
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        // It has nothing to put in order, and its number is its own until we have waited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[OsString]) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0(LIFELINE).arg(std::process::id().to_string()).args(arguments);
    Ok(command)
}

/// Shows the person what plugins that log in have to say, and keeps what kubectl logs.
fn pass_on(stderr: ChildStderr, said: &Mutex<Vec<String>>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if is_told_by_us(&line) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() < MOST_LINES {
                said.push(line.trim_start_matches("error: ").to_owned());
            }
        } else {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

/// What kubectl itself says is told as the reason of our failure, and not between the lines of a table.
fn is_told_by_us(line: &str) -> bool {
    let mut letters = line.chars();
    let is_klog = letters.next().is_some_and(|letter| KLOG_SEVERITIES.contains(letter))
        && letters.by_ref().take(4).filter(char::is_ascii_digit).count() == 4;
    is_klog || line.starts_with("error: ") || line.starts_with("cannot run kubectl: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_logs_in_is_heard_and_the_log_of_kubectl_is_not() {
        for (line, want) in [
            ("To sign in, open https://example.com/device and enter ABCD", false),
            ("Enter the code:", false),
            ("Ende 2026", false),
            ("E1123 18:08:54.000000    4711 proxy_server.go:147] Error while proxying request", true),
            ("error: context \"moon\" does not exist", true),
        ] {
            assert_eq!(is_told_by_us(line), want, "{line}");
        }
    }
}
