//! The properties files as they are, against those that `init` would write now.

use std::path::Path;

use crate::cluster::difference;
use crate::disk::step::Content;
use crate::health::doctor::finding::Area;
use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::next::Place;
use crate::health::text::Word;
use crate::kafka::properties;

/// A file that was looked for. What it holds is never printed by being here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundFile {
    /// Nothing of that name.
    Missing,
    /// It is there, and cannot be read; why.
    Unreadable(String),
    /// It is there.
    Here {
        /// All its bytes.
        content: Content,
        /// Its permission bits.
        mode: u32,
    },
}

/// Whether values may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Each, but for the passwords among them.
    Shown,
    /// None: the file is for passwords.
    Hidden,
}

/// One properties file of a node.
#[derive(Debug, Clone, Copy)]
pub struct PropertiesFile<'a> {
    /// The pod.
    pub pod: &'a str,
    /// Where it is.
    pub path: &'a Path,
    /// What `init` would write, as keys and values.
    pub wanted: &'a [(String, String)],
    /// What is there.
    pub found: &'a FoundFile,
    /// Whether values may be shown.
    pub values: Values,
}

/// The key that names the engine of a listener (KIP-519).
const ENGINE_KEY: &str = ".ssl.engine.factory.class";

/// What is wrong with one file.
pub fn judge(file: &PropertiesFile<'_>, place: &Place) -> Vec<Finding> {
    let PropertiesFile { pod, path, wanted, found, values } = file;
    let thing = format!("{pod}: {}", path.display());
    let finding = |severity, reason, cause: String| {
        Finding::new(severity, Area::Files, Word::of(reason), &thing, cause).next(place.explain(pod))
    };
    let (content, mode) = match found {
        FoundFile::Missing => {
            let cause = "the file is not there: `kraftlet init` has not run here, or the folder was emptied";
            return vec![finding(Severity::Hurts, "PropertiesMissing", cause.to_owned())];
        }
        FoundFile::Unreadable(why) => {
            return vec![finding(
                Severity::CannotTell,
                "PropertiesUnreadable",
                format!("it cannot be read: {why}"),
            )];
        }
        FoundFile::Here { content, mode } => (content, *mode),
    };
    let mut findings = Vec::new();
    if *values == Values::Hidden && is_for_all(mode) {
        findings.push(for_all(&thing, mode));
    }
    let before = match properties::parse(content.bytes()) {
        Ok(before) => before,
        Err(error) => {
            let cause = format!("Kafka cannot read it at its next start: {error}");
            findings.push(finding(Severity::Hurts, "PropertiesBroken", cause));
            return findings;
        }
    };
    let differences = difference::differences(&before, wanted);
    if differences.is_empty() {
        return findings;
    }
    let without_engine =
        differences.iter().filter(|one| one.key.ends_with(ENGINE_KEY) && one.before.is_none());
    let without_engine: Vec<&str> = without_engine.map(|one| one.key.as_str()).collect();
    if !without_engine.is_empty() {
        let cause = "Kafka was configured without kraftlet's engine, so these channels keep the leaf they started with";
        findings.push(
            finding(Severity::Later, "EngineNotConfigured", cause.to_owned()).with_all(&without_engine),
        );
    }
    let lines = differences.iter().map(|one| {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        match values {
            Values::Shown => format!("{} is {}; want {}", one.key, value(&one.before), value(&one.after)),
            Values::Hidden => format!("{} is another", one.key),
        }
    });
    let cause = "it is not what `kraftlet init` would write now: a restart of the pod is pending";
    findings.push(finding(Severity::Later, "RestartPending", cause.to_owned()).with_all(lines));
    findings
}

/// A file with a key or a password, by its name, whose mode lets everybody read it.
pub fn for_all(thing: &str, mode: u32) -> Finding {
    let cause = "everybody on the machine may read it, and it holds a secret";
    Finding::new(Severity::Hurts, Area::Files, Word::of("SecretReadableByAll"), thing, cause)
        .with(format_args!("mode {:04o}; want no right for others", mode & 0o7777))
}

/// Whether others than owner and group have any right.
pub fn is_for_all(mode: u32) -> bool {
    mode & 0o007 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &FoundFile, values: Values, want: &[(&str, &[&str])]) {
        let wanted = [("a", "1"), ("listener.name.client.ssl.engine.factory.class", "C")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let path = Path::new("/run/kraftlet/server.properties");
        let file = PropertiesFile { pod: "demo-0", path, wanted: &wanted, found, values };
        let place = Place::Pod { own: "demo-0".to_owned(), namespace: None };
        let findings = judge(&file, &place);
        let got: Vec<(&str, Vec<&str>)> = findings
            .iter()
            .map(|one| (one.reason.as_str(), one.evidence.iter().map(|line| line.as_str()).collect()))
            .collect();
        let want: Vec<(&str, Vec<&str>)> =
            want.iter().map(|(reason, lines)| (*reason, lines.to_vec())).collect();
        assert_eq!(got, want, "{found:?}");
    }

    fn here(text: &str, mode: u32) -> FoundFile {
        FoundFile::Here { content: Content::new(text.as_bytes()), mode }
    }

    #[test]
    fn a_file_that_is_not_as_init_would_write_it_is_a_restart_that_is_pending() {
        let engine = "listener.name.client.ssl.engine.factory.class";
        check(&here(&format!("# x\n{engine} = C\na=1\n"), 0o644), Values::Shown, &[]);
        check(&FoundFile::Missing, Values::Shown, &[("PropertiesMissing", &[])]);
        check(&FoundFile::Unreadable("no".to_owned()), Values::Shown, &[("PropertiesUnreadable", &[])]);
        check(&here("a=\\u00", 0o644), Values::Shown, &[("PropertiesBroken", &[])]);
        check(
            &here(&format!("{engine}=C\na=2\nssl.key.password=hunter2\n"), 0o644),
            Values::Shown,
            &[("RestartPending", &["a is 2; want 1", "ssl.key.password is <redacted>; want nothing"])],
        );
        check(
            &here("a=1\n", 0o644),
            Values::Shown,
            &[
                ("EngineNotConfigured", &[engine]),
                ("RestartPending", &[&format!("{engine} is nothing; want C")]),
            ],
        );
    }

    #[test]
    fn a_file_for_passwords_shows_none_and_is_not_for_everybody() {
        let engine = "listener.name.client.ssl.engine.factory.class";
        check(
            &here(&format!("a=hunter2\n{engine}=C\n"), 0o100_644),
            Values::Hidden,
            &[
                ("SecretReadableByAll", &["mode 0644; want no right for others"]),
                ("RestartPending", &["a is another"]),
            ],
        );
        check(&here(&format!("a=1\n{engine}=C\n"), 0o100_440), Values::Hidden, &[]);
    }
}
