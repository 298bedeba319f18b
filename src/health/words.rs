//! The word of each value of an enum, both ways.

use crate::health::text::Text;

/// A word that is none of those a value can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is unknown; want one of {want}")]
pub struct WordUnknown {
    /// What came.
    pub found: Text,
    /// All that may come.
    pub want: &'static str,
}

/// The word of each value, both ways.
macro_rules! words {
    ($type:ident: $($variant:ident = $word:literal),+) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $word),+ })
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::health::words::WordUnknown;

            fn from_str(text: &str) -> Result<Self, $crate::health::words::WordUnknown> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::health::words::WordUnknown { found: $crate::health::text::Text::new(text), want: concat!($($word, " "),+).trim_ascii_end() }),
                }
            }
        }
    };
}

pub(super) use words;
