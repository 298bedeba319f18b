//! Closed sets of words: enums whose values are shown and read by name.

use std::fmt;

/// A closed set of words.
pub trait Words: Copy + PartialEq + fmt::Display + 'static {
    /// All of them.
    const ALL: &'static [Self];
}

/// The words of a type, as they are shown: the names of its values, or what is said for each.
macro_rules! words {
    ($type:ident: $($variant:ident),+) => {
        $crate::quorum::words::words!($type: $($variant = stringify!($variant)),+);
    };
    ($type:ident: $($variant:ident = $word:expr),+) => {
        impl $crate::quorum::words::Words for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}

pub(crate) use words;
