//! Asks every agent of a cluster a few times a second, and writes down each answer that is another than the last one.
//! Called by `e2e/quorum.sh`, which reads there what each node said at each moment.
//!
//! A line is: seconds since the beginning, node, what was asked for, what was answered; with tabs between. Each node
//! has a line `round` once a second, so that a verdict that holds can be told from one that nobody asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use kraftlet_e2e::ask::Answer;
use kraftlet_e2e::ask::Asker;
use serde_json::Value;

const USAGE: &str = "usage: verdicts FILE NODE=ADDRESS:PORT...
Runs until it is killed.";

const PROBES: [&str; 3] = ["livez", "readyz", "startupz"];

/// What is taken from the status: a name, and where it is.
const FIELDS: [(&str, &str); 6] = [
    ("quorum", "/quorum/state"),
    ("leader", "/quorum/leader"),
    ("spare", "/quorum/spare"),
    ("member", "/member/standing"),
    ("broker", "/broker/standing"),
    ("recovery", "/startup/recovery/all"),
];

/// Two clusters on two cores keep everybody waiting at times; how fast an answer is e2e/probe-bench.sh measures.
const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(250);

/// How many rounds take about a second.
const ROUNDS: u32 = 4;

/// Where all lines go, and since when.
struct Story {
    file: Mutex<File>,
    began_at: Instant,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let nodes: Option<Vec<(&str, SocketAddr)>> = arguments
        .iter()
        .skip(1)
        .map(|one| one.split_once('=').and_then(|(node, address)| Some((node, address.parse().ok()?))))
        .collect();
    let (Some(path), Some(nodes)) = (arguments.first(), nodes) else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let file = match File::create(path) {
        Ok(file) => file,
        Err(problem) => {
            eprintln!("error: cannot write {path}: {problem}");
            return ExitCode::from(2);
        }
    };
    let story = Story { file: Mutex::new(file), began_at: Instant::now() };
    thread::scope(|scope| {
        for (node, address) in nodes {
            let story = &story;
            scope.spawn(move || watch(story, node, address));
        }
    });
    ExitCode::from(1)
}

/// Ends only where the story cannot be written.
#[expect(clippy::disallowed_methods, reason = "it is a pace, and nothing is waited for")]
fn watch(story: &Story, node: &str, address: SocketAddr) {
    let mut agent = Asker::new(address, PATIENCE);
    let mut known = BTreeMap::new();
    for round in 0_u32.. {
        for (what, value) in look(&mut agent) {
            if known.get(what) != Some(&value) && story.tell(node, what, &value).is_err() {
                return;
            }
            known.insert(what, value);
        }
        if round % ROUNDS == 0 && story.tell(node, "round", &round.to_string()).is_err() {
            return;
        }
        thread::sleep(PAUSE);
    }
}

impl Story {
    fn tell(&self, node: &str, what: &str, value: &str) -> io::Result<()> {
        let seconds = self.began_at.elapsed().as_secs_f64();
        // One write for each line, so that a reader never sees half of one.
        let line = format!("{seconds:.1}\t{node}\t{what}\t{value}\n");
        let mut file = self.file.lock().map_err(|_| io::Error::other("another thread has panicked"))?;
        file.write_all(line.as_bytes())
    }
}

/// All that one agent says now.
fn look(agent: &mut Asker) -> Vec<(&'static str, String)> {
    let mut all: Vec<_> = PROBES.map(|probe| (probe, told(agent.ask(&format!("/{probe}"))))).into();
    all.push(("safe-to-stop", told(agent.ask("/v1/safe-to-stop"))));
    let status = agent.ask("/v1/status").ok().and_then(|answer| serde_json::from_str(&answer.body).ok());
    let status: Value = status.unwrap_or_default();
    for (name, place) in FIELDS {
        let value = status.pointer(place).unwrap_or(&Value::Null);
        all.push((name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    }
    let conditions = words_of(status.pointer("/conditions"));
    all.push(("conditions", if conditions.is_empty() { "none".to_owned() } else { conditions.join(",") }));
    all
}

/// The number and the checks that are not well; `-` where nobody listens.
fn told(answer: io::Result<Answer>) -> String {
    match answer {
        Ok(answer) => format!("{} {}", answer.status, reasons(&answer.body)).trim_end().to_owned(),
        Err(problem) if problem.kind() == io::ErrorKind::ConnectionRefused => "-".to_owned(),
        Err(problem) => format!("no answer: {problem}"),
    }
}

/// The words for what is not well: a probe has a line `check: Word: sentence` for each check that failed, and whether a node
/// may stop is JSON.
fn reasons(body: &str) -> String {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let words: Vec<String> = match json {
        Some(json) => {
            let named = words_of(json.pointer("/stop/blockers"));
            // Nobody has looked yet, or not for long: that holds back too.
            let sentence = json.pointer("/sentence").and_then(Value::as_str);
            let unseen =
                sentence.and_then(|sentence| sentence.split_once(": ")).map(|(word, _)| word.to_owned());
            if named.is_empty() { unseen.into_iter().collect() } else { named }
        }
        None => body.lines().filter_map(|line| line.split(": ").nth(1)).map(str::to_owned).collect(),
    };
    words.join(",")
}

/// The reason of each entry of a list.
fn words_of(list: Option<&Value>) -> Vec<String> {
    let reasons =
        list.and_then(Value::as_array).into_iter().flatten().filter_map(|one| one.pointer("/reason"));
    reasons.filter_map(Value::as_str).map(str::to_owned).collect()
}
