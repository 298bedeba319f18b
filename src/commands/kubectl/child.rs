//! `kubectl`, run by us and ended with us.
//!
//! The terminal tells the whole group of Ctrl-C, and whoever ends us with a signal that can be taken has it ended too.
//! But nothing may be left that holds a person's login open when we are killed: so the kernel is to end it when its
//! parent ends (PR_SET_PDEATHSIG). That is said by the child itself before it becomes kubectl, so for an instant it is
//! this program under a name of its own.

use std::ffi::OsString;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
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
use crate::commands::kubectl::overheard::Heard;
use crate::commands::kubectl::overheard::Overheard;

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

/// What a terminal is written at once is far less.
const CHUNK_BYTES: usize = 4 * 1024;

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
fn pass_on(mut stderr: ChildStderr, said: &Mutex<Vec<String>>) {
    let (mut overheard, mut chunk) = (Overheard::default(), [0; CHUNK_BYTES]);
    loop {
        let heard = match stderr.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(read) => overheard.take(chunk.get(..read).unwrap_or_default()),
        };
        tell(heard, said);
    }
    tell(overheard.end(), said);
}

fn tell(heard: Heard, said: &Mutex<Vec<String>>) {
    if !heard.to_show.is_empty() {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(&heard.to_show).and_then(|()| stderr.flush());
    }
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    let room = MOST_LINES.saturating_sub(said.len());
    said.extend(heard.said.into_iter().take(room));
}
