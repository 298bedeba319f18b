//! Everything that is tested from outside the crate, in one binary: it links once.

#[cfg(test)]
mod golden;
#[cfg(test)]
mod ask;
#[cfg(test)]
mod storage;
