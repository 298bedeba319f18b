//! The law of `.properties`: what kraftlet reads and writes is what the real `java.util.Properties` reads.
//!
//! Needs a JDK: `java` compiles the oracle's one source file by itself.

use std::cell::RefCell;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

use kraftlet::kafka::properties;
use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;

/// As the issue asks; the whole takes a few seconds.
const FILES: u32 = 12_000;

type Pairs = Vec<(String, String)>;

/// A JVM that answers one file at a time.
struct Oracle {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    fn start() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("java/src/PropertiesOracle.java");
        let mut process = Command::new("java")
            .args(["-XX:+UseSerialGC", "-Xmx64m"])
            .arg(source)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a JDK (apt-get install openjdk-17-jdk-headless)");
        let questions = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, questions, answers }
    }

    /// The pairs in the order of the file with duplicates, or none if Java refuses the file.
    fn read(&mut self, file: &[u8]) -> Option<Pairs> {
        self.questions.write_all(&u32::try_from(file.len()).unwrap().to_be_bytes()).unwrap();
        self.questions.write_all(file).unwrap();
        self.questions.flush().unwrap();
        let count = usize::try_from(self.number()).ok()?;
        Some((0..count).map(|_| (self.text(), self.text())).collect())
    }

    fn number(&mut self) -> i32 {
        let mut bytes = [0; 4];
        self.answers.read_exact(&mut bytes).expect("the oracle answers");
        i32::from_be_bytes(bytes)
    }

    fn text(&mut self) -> String {
        let mut bytes = vec![0; usize::try_from(self.number()).unwrap()];
        self.answers.read_exact(&mut bytes).unwrap();
        let units: Vec<u16> =
            bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A runner that prints the seed it was given: `KRAFTLET_SEED=7 cargo test` runs the same files again.
fn runner(law: &str) -> TestRunner {
    let seed: u64 =
        std::env::var("KRAFTLET_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
            std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| u64::try_from(elapsed.as_micros()).unwrap())
        });
    println!("{law}: KRAFTLET_SEED={seed}");
    let config = Config {
        cases: FILES,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
        ..Config::default()
    };
    TestRunner::new(config)
}

/// Pieces that mean something to the parser, far more often than chance would bring them together. Few of them are
/// refused, so that the other rules are compared too.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let fixed = |pieces: &'static [&'static str]| {
        prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec())
    };
    prop_oneof![
        6 => fixed(&["a", "b", "listeners", "node.id", "n", "t", "0041", "é", "😀"]),
        5 => fixed(&["=", ":", " ", "\t", "\x0c", "==", " = ", "#", "!", "\0"]),
        5 => fixed(&["\n", "\r", "\r\n", "\n\n", "\n\r", "\\\n", "\\\r\n", "\\\r", "\\\n   ", "\\\n#", "\\\n\n"]),
        4 => fixed(&["\\", "\\\\", "\\\\\\", "\\=", "\\:", "\\ ", "\\#", "\\t", "\\n", "\\r", "\\f", "\\z", "\\\t"]),
        3 => fixed(&["\\u00e9", "\\uD83D\\uDE00", "\\ud83d", "\\ude00", "\\u0000", "\\u000a", "\\u005c"]),
        2 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

/// Some files have an escape that may be malformed; a few are longer than the 8,192 bytes that Java reads at a time,
/// with the interesting part at that place.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let pieces = || prop::collection::vec(piece(), 0..30).prop_map(|pieces| pieces.concat());
    let escape =
        prop::collection::vec(prop::sample::select(b"0123456789abcdefABCDEFgGu \n\\".as_slice()), 0..6);
    prop_oneof![
        30 => pieces(),
        10 => (pieces(), escape, pieces()).prop_map(|(left, escape, right)| [left, b"\\u".to_vec(), escape, right].concat()),
        1 => (8_150usize..8_200, pieces()).prop_map(|(filler, pieces)| [vec![b'x'; filler], pieces].concat()),
    ]
}

#[test]
fn kraftlet_reads_what_java_reads() {
    let oracle = RefCell::new(Oracle::start());
    let refused = RefCell::new(0u32);
    runner("reading")
        .run(&file(), |file| {
            let java = oracle.borrow_mut().read(&file);
            *refused.borrow_mut() += u32::from(java.is_none());
            prop_assert_eq!(properties::parse(&file).ok(), java, "{:?}", String::from_utf8_lossy(&file));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    println!("{FILES} files, of which Java refused {}", refused.borrow());
}

#[test]
fn java_reads_what_kraftlet_writes() {
    let oracle = RefCell::new(Oracle::start());
    let text = || prop_oneof![any::<String>(), "[ a=:#!\\\\\t\n\r\x0cé😀]{0,12}"];
    let pairs = prop::collection::vec((text(), text()), 0..12);
    runner("writing")
        .run(&pairs, |pairs| {
            let lines: Vec<String> =
                pairs.iter().map(|(key, value)| properties::render_line(key, value) + "\n").collect();
            prop_assert!(lines.concat().is_ascii());
            prop_assert_eq!(oracle.borrow_mut().read(lines.concat().as_bytes()), Some(pairs));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
