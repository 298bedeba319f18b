//! Reads what the engines inside Kafka say.

use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::disk;
use crate::reload::engine::report;
use crate::reload::engine::report::EngineReport;
use crate::reload::engine::report::MAX_BYTES;
use crate::reload::engine::report::ReportError;

/// A report that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refuses.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{}", path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ReportError,
    },
}

impl ReadError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Io { .. } => "EngineReportUnreadable",
            Self::Report { source, .. } => source.reason(),
        }
    }
}

/// The report; `None` while there is none: Kafka has not started, or its engines cannot write there.
pub fn read(path: &Path) -> Result<Option<EngineReport>, ReadError> {
    let at = |source| ReadError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = match disk::io::open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(at)?,
    };
    let file = file.ok_or_else(|| at(io::Error::new(io::ErrorKind::InvalidInput, "not a file")))?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(at)?;
    let report = report::parse(&bytes);
    report.map(Some).map_err(|source| ReadError::Report { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn no_report_is_none_and_anything_else_has_its_word() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str, bytes: &[u8]| {
            fs::write(root.path().join(name), bytes).unwrap();
            read(&root.path().join(name))
        };
        assert!(read(&root.path().join("none")).unwrap().is_none());
        assert_eq!(at("good", b"{\"process\":\"p\",\"lines\":0}\n").unwrap().unwrap().process, "p");
        assert_eq!(at("torn", b"{\"pro").unwrap_err().reason(), "EngineReportMalformed");
        assert_eq!(at("large", &[0; MAX_BYTES * 2]).unwrap_err().reason(), "EngineReportTooLarge");
        assert_eq!(read(root.path()).unwrap_err().reason(), "EngineReportUnreadable");
    }
}
