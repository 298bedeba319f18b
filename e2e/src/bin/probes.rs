//! Probes at a steady rate, and how long their answers take. Called by `e2e/probe-bench.sh`.
//!
//! Each request has a planned time, and what is measured runs from then: where an answer is late, those behind it are
//! late too and counted so, instead of being asked later (which would hide exactly the bad moments).

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use kraftlet_e2e::ask::Asker;

const USAGE: &str = "usage: probes ADDRESS:PORT PER_SECOND SECONDS
Prints for each path: path, requests, errors, and the 50th, the 99th percentile and the longest in microseconds; and the
same of how much later a thread that asks nobody is woken than it wants, which is what the machine itself adds.";

const PATHS: [&str; 3] = ["/livez", "/readyz", "/startupz"];

/// Nine ask on a connection that they keep; the tenth makes one for each request, as a kubelet does.
const ASKERS: u32 = 10;

/// A kubelet's default.
const PATIENCE: Duration = Duration::from_secs(1);

/// One answer: which path, how long after the planned time it came, and whether it was one.
struct Measured {
    path: usize,
    took: Duration,
    good: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match arguments.as_slice() {
        [address, rate, seconds] => (address.parse().ok(), rate.parse().ok(), seconds.parse().ok()),
        _ => (None, None, None),
    };
    let (Some(address), Some(rate @ 1..), Some(seconds)) = parsed else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let (all, machine) = measure(address, rate, seconds);
    for (index, path) in PATHS.iter().enumerate() {
        report(path, all.iter().filter(|one| one.path == index).map(|one| (one.took, one.good)));
    }
    report("machine", machine.into_iter().map(|late| (late, true)));
    ExitCode::SUCCESS
}

/// The answers, and how late the machine itself was meanwhile.
fn measure(address: SocketAddr, rate: u32, seconds: u32) -> (Vec<Measured>, Vec<Duration>) {
    let begins_at = Instant::now() + Duration::from_millis(100);
    thread::scope(|scope| {
        let askers: Vec<_> = (0..ASKERS)
            .map(|asker| scope.spawn(move || ask_steadily(address, begins_at, rate, seconds, asker)))
            .collect();
        let machine = scope.spawn(move || keep_time(begins_at, rate, seconds));
        let answers = askers.into_iter().flat_map(|asker| asker.join().unwrap_or_default()).collect();
        (answers, machine.join().unwrap_or_default())
    })
}

/// The planned times of an asker: every tenth, beginning with its number. Comes back from each `next` at that time.
fn plan(begins_at: Instant, rate: u32, seconds: u32, asker: u32) -> impl Iterator<Item = (u32, Instant)> {
    (asker..rate * seconds).step_by(ASKERS as usize).map(move |number| {
        let planned_at = begins_at + Duration::from_secs(1) * number / rate;
        sleep_until(planned_at);
        (number, planned_at)
    })
}

#[expect(clippy::disallowed_methods, reason = "it is a pace, and nothing is waited for")]
fn sleep_until(at: Instant) {
    thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// An asker that asks nobody: nothing that the agent does makes it late.
fn keep_time(begins_at: Instant, rate: u32, seconds: u32) -> Vec<Duration> {
    plan(begins_at, rate, seconds, 0).map(|(_, planned_at)| planned_at.elapsed()).collect()
}

fn ask_steadily(
    address: SocketAddr,
    begins_at: Instant,
    rate: u32,
    seconds: u32,
    asker: u32,
) -> Vec<Measured> {
    let mut agent = Asker::new(address, PATIENCE);
    let mut all = Vec::new();
    for (number, planned_at) in plan(begins_at, rate, seconds, asker) {
        let path = number as usize % PATHS.len();
        let name = PATHS.get(path).copied().unwrap_or_default();
        let answer = if asker == 0 { agent.ask_anew(name) } else { agent.ask(name) };
        let good = answer.is_ok_and(|one| one.status == 200 || (one.status == 503 && name != "/livez"));
        all.push(Measured { path, took: planned_at.elapsed(), good });
    }
    all
}

fn report(name: &str, all: impl Iterator<Item = (Duration, bool)>) {
    let (mut times, mut errors) = (Vec::new(), 0);
    for (took, good) in all {
        times.push(took.as_micros());
        errors += u32::from(!good);
    }
    times.sort_unstable();
    let percentile = |hundredth: usize| {
        times.get((times.len() * hundredth / 100).min(times.len().saturating_sub(1))).unwrap_or(&0)
    };
    println!(
        "{name}\t{}\t{errors}\t{}\t{}\t{}",
        times.len(),
        percentile(50),
        percentile(99),
        percentile(100)
    );
}
