//! Which of two identities is shown: API servers learn of a new CA by a watch, so what was announced waits for its turn.

/// An identity that is shown, and one that was announced and is shown the next time.
#[derive(Debug)]
pub struct Succession<T> {
    shown: Option<T>,
    announced: Option<T>,
}

impl<T> Default for Succession<T> {
    fn default() -> Self {
        Self { shown: None, announced: None }
    }
}

impl<T> Succession<T> {
    /// The one that is shown.
    pub fn shown(&self) -> Option<&T> {
        self.shown.as_ref()
    }

    /// Shows the one that was announced before, if there is one; whether that is so.
    pub fn turn(&mut self) -> bool {
        let next = self.announced.take();
        let is_new = next.is_some();
        self.shown = next.or_else(|| self.shown.take());
        is_new
    }

    /// Takes one that has just been announced. The very first is shown at once: nobody calls before we are ready.
    pub fn announce(&mut self, next: T) {
        if self.shown.is_some() {
            self.announced = Some(next);
        } else {
            self.shown = Some(next);
        }
    }

    /// Takes one whose CA everybody knew before.
    pub fn show(&mut self, next: T) {
        (self.shown, self.announced) = (Some(next), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_is_shown_at_the_next_turn() {
        let mut succession = Succession::default();
        assert!(!succession.turn());
        succession.announce(1);
        assert_eq!(succession.shown(), Some(&1));
        assert!(!succession.turn());
        succession.announce(2);
        assert_eq!(succession.shown(), Some(&1));
        assert!(succession.turn());
        assert_eq!(succession.shown(), Some(&2));
        assert!(!succession.turn());
        assert_eq!(succession.shown(), Some(&2));
        succession.show(3);
        assert_eq!(succession.shown(), Some(&3));
    }
}
