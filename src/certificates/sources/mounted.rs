//! A folder that somebody else fills.
