//! The subcommands, their exit codes, and where their words go.

use std::io;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;
use clap_complete::Shell;
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::Resource;
use nix::sys::resource::setrlimit;
use nix::sys::stat::Mode;
use nix::sys::stat::umask;

use crate::cluster::parse;
use crate::commands::doctor;
use crate::commands::doctor::Doctor;
use crate::commands::explain;
use crate::commands::explain::Explain;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::forget_old_trust;
use crate::commands::forget_old_trust::ForgetOldTrust;
use crate::commands::init;
use crate::commands::init::Init;
use crate::commands::inject;
use crate::commands::inject::Inject;
use crate::commands::kubectl;
use crate::commands::kubectl::KubectlLine;
use crate::commands::kubectl::child;
use crate::commands::new_cluster;
use crate::commands::new_cluster::NewCluster;
use crate::commands::renew;
use crate::commands::renew::Renew;
use crate::commands::sidecar;
use crate::commands::sidecar::Sidecar;
use crate::commands::signer;
use crate::commands::signer::Signer;
use crate::commands::status;
use crate::commands::status::Status;
use crate::commands::webhook;
use crate::commands::webhook::WebhookArgs;
use crate::kafka::io as kafka_io;

/// An agent beside every Kafka pod: identity, KRaft storage, certificates
#[derive(Debug, Parser)]
#[command(
    name = "kraftlet",
    version,
    max_term_width = 110,
    after_help = "A whole cluster, from outside: kubectl kraftlet --help, or kraftlet --kubernetes --help."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write server.properties, format the disks and install the certificate of this pod
    Init(Init),
    /// Keep this pod's certificates alive while Kafka runs, and say how things are
    Sidecar(Sidecar),
    /// Answer the API server's questions about pods that ask for kraftlet
    Webhook(WebhookArgs),
    /// Add kraftlet to the StatefulSets and Pods of manifests
    Inject(Inject),
    /// Sign the certificates of all clusters' pods; runs in the cluster, in two replicas
    Signer(Signer),
    /// Print what init would do, each line with its origin; writes nothing
    Explain(Explain),
    /// Show the leaf in use on every TLS channel, the next renewal, how the last one ended, and what is wrong
    Status(Status),
    /// Check everything afresh, and say of each thing that is wrong what to do next
    Doctor(Doctor),
    /// Have this pod's agent fetch, install, reload and verify its certificates now
    Renew(Renew),
    /// Have this pod's agent stop trusting the CA that its source no longer names
    ForgetOldTrust(ForgetOldTrust),
    /// Print settings that make a working cluster
    NewCluster(NewCluster),
    /// Print a strong random cluster id
    ClusterId,
    /// Print the JSON schema of the settings
    Schema,
    /// Print completions for a shell
    #[command(after_help = "Example: kraftlet completions bash > /etc/bash_completion.d/kraftlet")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Of what a command is to be done.
enum Meant {
    /// Of the pod that we are in, or of what the settings say.
    Pod(Command),
    /// Of a cluster, by a person.
    Cluster(KubectlLine),
}

/// Kubernetes shows this file's content in `kubectl describe pod` (terminationMessagePath).
const TERMINATION_LOG: &str = "/dev/termination-log";

/// The kubelet keeps 4096 bytes of it.
const TERMINATION_BYTES: usize = 4096;

/// Runs the program.
pub fn main() -> ExitCode {
    if child::is_lifeline(std::env::args_os()) {
        return child::become_kubectl(std::env::args_os());
    }
    let meant = match kubectl::arguments(std::env::args_os().collect()) {
        Some(arguments) => KubectlLine::try_parse_from(arguments).map(Meant::Cluster),
        None => CommandLine::try_parse().map(|line| Meant::Pod(line.command)),
    };
    let meant = match meant {
        Ok(meant) => meant,
        Err(error) => {
            let _ = error.print();
            let asked_for_it = error.exit_code() == 0;
            return if asked_for_it { ExitCode::SUCCESS } else { ExitCode::from(Exit::Usage.code()) };
        }
    };
    if let Err(error) = keep_to_ourselves() {
        let _ = writeln!(io::stderr(), "warning: a core dump of this process could hold keys: {error}");
    }
    let result = match &meant {
        Meant::Pod(command) => run(command),
        Meant::Cluster(line) => kubectl::run(line),
    };
    let (text, failure) = match result {
        Ok((text, failure)) => (text, failure),
        Err(failure) => (String::new(), Some(failure)),
    };
    let mut stdout = anstream::stdout();
    let failure = match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // A closed pipe (`kraftlet schema | head`) is no failure of ours.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let lost = Failure::new(
                Exit::Again,
                "OutputFailed",
                format!("cannot write to standard output: {error}"),
            );
            Some(failure.map_or(lost, |failure| failure))
        }
        _ => failure,
    };
    match failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            let _ = writeln!(io::stderr(), "{failure}");
            if matches!(meant, Meant::Pod(Command::Init(_))) {
                leave_word(&failure);
            }
            ExitCode::from(failure.exit().code())
        }
    }
}

/// Keys are in our memory: it is not to be dumped, nor read by other processes of the same user. And what we make has
/// the mode that the plan says from its first instant, whatever umask we were started with.
fn keep_to_ourselves() -> nix::Result<()> {
    umask(Mode::from_bits_truncate(0o022));
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    set_dumpable(false)
}

fn run(command: &Command) -> Result<(String, Option<Failure>), Failure> {
    let text = match command {
        Command::Init(args) => init::run(args)?.join("\n") + "\n",
        Command::Sidecar(args) => {
            sidecar::run(args)?;
            String::new()
        }
        Command::Webhook(args) => webhook::run(args).map(|()| String::new())?,
        Command::Inject(args) => inject::run(args)?,
        Command::Signer(args) => {
            signer::run(args)?;
            String::new()
        }
        Command::Explain(args) => return explain::run(args),
        Command::Status(args) => return status::run(args),
        Command::Doctor(args) => return doctor::run(args),
        Command::Renew(args) => renew::run(args).map(|()| String::new())?,
        Command::ForgetOldTrust(args) => forget_old_trust::run(args).map(|()| String::new())?,
        Command::NewCluster(args) => new_cluster::run(args)?,
        Command::ClusterId => {
            let id = kafka_io::random_cluster_id();
            format!("{}\n", id.map_err(|error| Failure::of(Exit::Again, error.reason(), &error))?)
        }
        Command::Schema => format!("{:#}\n", parse::schema()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut CommandLine::command(), "kraftlet", &mut script);
            String::from_utf8_lossy(&script).into_owned()
        }
    };
    Ok((text, None))
}

/// Leaves the last words where Kubernetes looks for them. The file is there only in a container.
fn leave_word(failure: &Failure) {
    let mut text = failure.to_string();
    if text.len() > TERMINATION_BYTES {
        let end = text.floor_char_boundary(TERMINATION_BYTES);
        text.truncate(end);
    }
    if Path::new(TERMINATION_LOG).exists() {
        let file = std::fs::OpenOptions::new().write(true).truncate(true).open(TERMINATION_LOG);
        let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
    }
}
