//! The last few of something.

use std::collections::VecDeque;

/// The last few of something, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent<T>(VecDeque<T>);

impl<T> Recent<T> {
    /// A bad night of retries, and still less than a screen of two.
    pub const MOST: usize = 50;

    /// Adds one, and lets go of the oldest where there are too many.
    pub fn push(&mut self, one: T) {
        while self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(one);
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.iter()
    }

    /// Puts one into the place of the one that `is_it` says yes to; adds it where there is none.
    pub fn put(&mut self, one: T, is_it: impl Fn(&T) -> bool) {
        match self.0.iter_mut().find(|known| is_it(known)) {
            Some(known) => *known = one,
            None => self.push(one),
        }
    }
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> FromIterator<T> for Recent<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut recent = Self::default();
        all.into_iter().for_each(|one| recent.push(one));
        recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_few_events_are_kept() {
        let recent: Recent<usize> = (0..Recent::<usize>::MOST + 7).collect();
        assert_eq!(recent.iter().count(), Recent::<usize>::MOST);
        assert_eq!(recent.iter().next(), Some(&7));
    }
}
