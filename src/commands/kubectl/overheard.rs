//! What kubectl writes to standard error, taken apart as it comes: its own lines, and what plugins say that log in.
//!
//! A plugin may ask for a password and wait on the same line for it, so nothing of that is held back until the line ends;
//! only as much is as it takes to see that it is not kubectl who speaks.

/// The line that has been begun.
#[derive(Debug, Default)]
pub struct Overheard {
    whose: Whose,
    /// Its beginning, where it is not a plugin's.
    line: Vec<u8>,
}

/// What a piece of text has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// For the person, as it came.
    pub to_show: Vec<u8>,
    /// Whole lines of kubectl's own: they are told as the reason of our failure, and not between the lines of a table.
    pub said: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Whose {
    #[default]
    NotKnownYet,
    Kubectls,
    Plugins,
}

/// As much of a refusal of the API server is told, and kubectl's own words are around it.
const MOST_LINE_BYTES: usize = 2 * 1024;

/// How lines begin that kubectl and we in its place end with.
const LAST_WORDS: [&[u8]; 2] = [b"error: ", b"cannot run kubectl: "];

/// A klog header: `E0117 09:11:52.123456   12345 proxy_server.go:147] …`.
const KLOG_SEVERITIES: &[u8] = b"IWEF";

/// The month and the day.
const KLOG_DIGITS: usize = 4;

impl Overheard {
    /// Whatever came next.
    pub fn take(&mut self, bytes: &[u8]) -> Heard {
        let mut heard = Heard::default();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.take_piece(piece, &mut heard);
        }
        heard
    }

    /// Nothing comes any more.
    pub fn end(mut self) -> Heard {
        let mut heard = Heard::default();
        self.end_line(&mut heard);
        heard
    }

    /// A line or a part of one.
    fn take_piece(&mut self, piece: &[u8], heard: &mut Heard) {
        for byte in piece {
            if self.whose == Whose::Plugins {
                heard.to_show.push(*byte);
            } else if self.line.len() < MOST_LINE_BYTES {
                self.line.push(*byte);
            }
            if self.whose == Whose::NotKnownYet {
                self.whose = whose(&self.line);
                if self.whose == Whose::Plugins {
                    heard.to_show.append(&mut self.line);
                }
            }
        }
        if piece.ends_with(b"\n") {
            self.end_line(heard);
        }
    }

    fn end_line(&mut self, heard: &mut Heard) {
        let line = std::mem::take(&mut self.line);
        match std::mem::take(&mut self.whose) {
            Whose::NotKnownYet | Whose::Plugins => heard.to_show.extend(line),
            Whose::Kubectls => {
                let line = String::from_utf8_lossy(&line);
                heard.said.push(line.trim_end().trim_start_matches("error: ").to_owned());
            }
        }
    }
}

/// Who speaks, by how the line begins.
fn whose(line: &[u8]) -> Whose {
    let klog = line.split_first().is_none_or(|(first, rest)| {
        KLOG_SEVERITIES.contains(first) && rest.iter().take(KLOG_DIGITS).all(u8::is_ascii_digit)
    });
    if LAST_WORDS.iter().any(|words| line.starts_with(words)) || klog && line.len() > KLOG_DIGITS {
        Whose::Kubectls
    } else if LAST_WORDS.iter().any(|words| words.starts_with(line)) || klog {
        Whose::NotKnownYet
    } else {
        Whose::Plugins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(chunks: &[&[u8]]) -> (String, Vec<String>) {
        let mut overheard = Overheard::default();
        let mut all = Heard::default();
        let mut add = |heard: Heard| {
            all.to_show.extend(heard.to_show);
            all.said.extend(heard.said);
        };
        for chunk in chunks {
            add(overheard.take(chunk));
        }
        add(overheard.end());
        (String::from_utf8_lossy(&all.to_show).into_owned(), all.said)
    }

    #[test]
    fn a_plugin_that_logs_in_is_heard_and_the_log_of_kubectl_is_not() {
        for (line, want) in [
            ("To sign in, open https://example.com/device and enter ABCD", false),
            ("Enter the code:", false),
            ("Ende 2026", false),
            ("E", false),
            ("error", false),
            ("", false),
            ("E1123 18:08:54.000000    4711 proxy_server.go:147] Error while proxying request", true),
            ("error: context \"moon\" does not exist", true),
            ("cannot run kubectl: No such file or directory (os error 2)", true),
        ] {
            let want = if want {
                (String::new(), vec![line.trim_start_matches("error: ").to_owned()])
            } else {
                (format!("{line}\n"), Vec::new())
            };
            let text = format!("{line}\n");
            assert_eq!(hear(&[text.as_bytes()]), want, "{line}");
            // However it comes.
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(hear(&bytes), want, "{line}");
        }
    }

    #[test]
    fn a_question_is_shown_though_its_line_has_no_end_and_whatever_it_is_written_in() {
        let mut overheard = Overheard::default();
        assert_eq!(overheard.take(b"Password: ").to_show, b"Password: ");
        assert_eq!(overheard.take(b"\nE").to_show, b"\n");
        assert_eq!(overheard.take(b"nter: \xff").to_show, b"Enter: \xff");
        assert_eq!(overheard.take(b"\nerror: \xff no\r\nP").said, ["\u{fffd} no"]);
        assert_eq!(overheard.end(), Heard::default());
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_whole() {
        let mut overheard = Overheard::default();
        assert_eq!(overheard.take(b"error: "), Heard::default());
        for _ in 0..MOST_LINE_BYTES {
            assert_eq!(overheard.take(&[b'x'; 16]), Heard::default());
        }
        assert!(overheard.line.capacity() <= 2 * MOST_LINE_BYTES);
        assert_eq!(
            overheard.take(b"\n").said.first().map(String::len),
            Some(MOST_LINE_BYTES - "error: ".len())
        );
    }
}
