//! Whether a fetched certificate would work, before anything is written.
