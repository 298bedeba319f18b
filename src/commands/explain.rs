//! `kraftlet explain`: what `init` would do, and why; touches nothing.

use std::fmt::Write;
use std::path::Path;

use anstyle::AnsiColor;
use anstyle::Style;
use clap::Args;
use clap::ValueEnum;
use serde_json::Value as Json;
use serde_json::json;

use crate::cluster::difference;
use crate::cluster::difference::Difference;
use crate::cluster::io as cluster_io;
use crate::cluster::line::Line;
use crate::cluster::line::Origin;
use crate::commands::certificates;
use crate::commands::engine;
use crate::commands::failure::Failure;
use crate::commands::inputs;
use crate::commands::inputs::InputArgs;
use crate::commands::inputs::Inputs;
use crate::commands::storage;
use crate::kafka::properties;
use crate::storage::controller;

/// Print every line of server.properties with its origin, what would change, and what would be done to the disks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kraftlet explain --pod-name kafka-0 --settings cluster.yaml
  kraftlet explain --output json | jq '.changes'

Nothing is written. Passwords are never printed.")]
pub struct Explain {
    #[command(flatten)]
    inputs: InputArgs,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// The text to print, with colours that the caller's stream drops where it is no terminal.
///
/// What keeps `init` from acting is printed after the properties, as the failure it is: somebody who asks why a pod
/// does not start wants to see both.
pub fn run(args: &Explain) -> Result<(String, Option<Failure>), Failure> {
    let inputs = inputs::read(&args.inputs)?;
    let path = inputs.run_folder.join("server.properties");
    let changes = changes(&path, &inputs.server.lines);
    let sources = sources(&inputs)?;
    let (directories, failure) = match disks(&inputs) {
        Ok(directories) => (directories, None),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    let view =
        View { inputs: &inputs, path: &path, changes, sources, directories, failure: failure.as_ref() };
    let text = match args.output {
        Output::Table => view.table(),
        Output::Json => format!("{:#}\n", view.json()),
    };
    Ok((text, failure))
}

/// Each line behind its origin.
pub fn lines(lines: &[Line]) -> String {
    let mut text = String::new();
    let width = lines.iter().map(|line| line.origin.to_string().len()).max().unwrap_or_default();
    for line in lines {
        let (style, origin) = (style(&line.origin), line.origin.to_string());
        let _ = writeln!(text, "{style}{origin:<width$}{style:#}  {}", line.render());
    }
    text
}

/// The same for a program.
pub fn json_of_lines(lines: &[Line]) -> Json {
    let line = |line: &Line| json!({"key": line.key, "value": line.value, "origin": line.origin.word(), "from": line.origin.to_string()});
    lines.iter().map(line).collect()
}

struct View<'a> {
    inputs: &'a Inputs,
    path: &'a Path,
    changes: Changes,
    sources: Vec<(String, String)>,
    directories: Vec<String>,
    failure: Option<&'a Failure>,
}

enum Changes {
    /// There is no such file yet.
    New,
    /// It is there, but cannot be compared.
    Unreadable(String),
    /// By key.
    Keys(Vec<Difference>),
}

fn changes(path: &Path, lines: &[Line]) -> Changes {
    if !path.exists() {
        return Changes::New;
    }
    let before = cluster_io::read(path).map_err(|error| crate::commands::failure::chain(&error));
    let before = before.and_then(|bytes| properties::parse(&bytes).map_err(|error| error.to_string()));
    let after: Vec<(String, String)> =
        lines.iter().map(|line| (line.key.clone(), line.value.clone())).collect();
    match before {
        Ok(before) => Changes::Keys(difference::differences(&before, &after)),
        Err(error) => Changes::Unreadable(error),
    }
}

fn sources(inputs: &Inputs) -> Result<Vec<(String, String)>, Failure> {
    let needed = certificates::needed(inputs).into_iter();
    needed.map(|one| Ok((one.name.clone(), certificates::source(inputs, one)?.describe()))).collect()
}

/// The storage part without asking anybody: `explain` may be run far from the pod, and then says what it can.
fn disks(inputs: &Inputs) -> Result<Vec<String>, Failure> {
    let wanted = storage::wanted(inputs)?;
    let found = storage::look(&wanted);
    let plan = storage::plan_unasked(&wanted, &found)?;
    let unasked = "note: init asks the other controllers first, and may wait; they have not been asked here";
    let mut lines: Vec<String> = plan.directories.iter().map(ToString::to_string).collect();
    lines.extend(plan.steps.iter().map(|step| format!("  {step}")));
    lines.extend(plan.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(controller::needs_asking(&found, &wanted).then(|| unasked.to_owned()));
    Ok(lines)
}

impl View<'_> {
    fn table(&self) -> String {
        let node = &self.inputs.node;
        let mut text = format!(
            "{BOLD}{}{BOLD:#}: node {}, {}, Kafka {}\n\n{BOLD}{}{BOLD:#}\n",
            node.pod,
            node.node_id,
            node.pool.roles,
            self.inputs.cluster.kafka_version,
            self.path.display()
        );
        text.push_str(&lines(&self.inputs.server.lines));
        match &self.changes {
            Changes::New => text.push_str("\nThe file is not there yet.\n"),
            Changes::Unreadable(error) => {
                let _ = writeln!(text, "\nThe file cannot be compared: {error}");
            }
            Changes::Keys(keys) if keys.is_empty() => text.push_str("\nThe file is as it should be.\n"),
            Changes::Keys(keys) => {
                let _ = writeln!(text, "\n{BOLD}Changes to the file{BOLD:#}");
                for one in keys {
                    if let Some(before) = &one.before {
                        let _ = writeln!(text, "{RED}- {}={before}{RED:#}", one.key);
                    }
                    if let Some(after) = &one.after {
                        let _ = writeln!(text, "{GREEN}+ {}={after}{GREEN:#}", one.key);
                    }
                }
            }
        }
        let _ = writeln!(text, "\n{BOLD}Certificates{BOLD:#}");
        for (name, description) in &self.sources {
            let _ = writeln!(text, "{name}: {description}");
        }
        if let Some(variable) = engine::environment(self.inputs) {
            let _ = writeln!(text, "\n{BOLD}Environment of Kafka's container{BOLD:#}\n{variable}");
        }
        let _ = writeln!(text, "\n{BOLD}Disks{BOLD:#}");
        for line in &self.directories {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    fn json(&self) -> Json {
        let node = &self.inputs.node;
        let changes = match &self.changes {
            Changes::New => json!("new"),
            Changes::Unreadable(error) => json!({ "unreadable": error }),
            Changes::Keys(keys) => {
                let keys =
                    keys.iter().map(|one| json!({"key": one.key, "before": one.before, "after": one.after}));
                keys.collect()
            }
        };
        let sources =
            self.sources.iter().map(|(name, description)| json!({"name": name, "source": description}));
        json!({
            "pod": node.pod.to_string(),
            "nodeId": node.node_id.get(),
            "roles": node.pool.roles.to_string(),
            "file": self.path.display().to_string(),
            "lines": json_of_lines(&self.inputs.server.lines),
            "changes": changes,
            "certificates": sources.collect::<Json>(),
            "environment": engine::environment(self.inputs),
            "disks": self.directories,
            "refused": self.failure.map(ToString::to_string),
        })
    }
}

const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();

fn style(origin: &Origin) -> Style {
    match origin {
        Origin::Default => Style::new().dimmed(),
        Origin::Derived => AnsiColor::Cyan.on_default(),
        Origin::Settings(_) | Origin::File(_) | Origin::Environment(_) => AnsiColor::Yellow.on_default(),
    }
}
