//! How many requests a provider takes at once, as far as it shows. Begins slowly, falls to what was taken when the rest
//! was refused, and tries for more ever more rarely. Additive increase alone (Chiu and Jain 1989) would be refused
//! with every round of answers at a limit that does not move.

use loopwright_types::Micros;

/// Requests that are sent at once to a provider of which nothing is known. What is over a limit is refused soon: each
/// time that this many were under way for a while without that, twice as many may be.
const WINDOW_AT_FIRST: usize = 16;
const WINDOW_STEP: Micros = Micros::from_millis(250);
/// How long a provider's limit is kept to before more is tried; each time that it is refused, twice as long.
const HOLD_FIRST: Micros = Micros::from_millis(5000);
const HOLD_MAX: Micros = Micros::from_millis(60_000);
/// Refusals of this time answer the same burst, and are counted together.
pub(crate) const BURST: Micros = Micros::from_millis(1000);

/// Requests that may be under way at once, and how that is found out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Width {
    now: usize,
    most: usize,
    /// Since when it was used up, while nothing was refused yet.
    full_since: Option<Micros>,
    /// The limit that was found is kept to until then.
    held_until: Option<Micros>,
    /// How long the next one is kept to.
    hold: Micros,
    /// How much more is tried next.
    step: usize,
    /// Answers since it was widened.
    answers: usize,
    /// When it was last narrowed.
    narrowed: Option<Micros>,
}

impl Width {
    /// Nothing is known of the provider but that it may be asked by so many.
    pub fn new(most: usize) -> Self {
        Self {
            now: most.min(WINDOW_AT_FIRST),
            most,
            full_since: None,
            held_until: None,
            hold: HOLD_FIRST,
            step: 1,
            answers: 0,
            narrowed: None,
        }
    }

    /// When one more may go beside those under way, if not now; `None` is not before one of them ends.
    pub fn admit(&mut self, in_flight: usize, now: Micros) -> Result<(), Option<Micros>> {
        if in_flight < self.now {
            return Ok(());
        }
        if self.held_until.is_some() || self.now == self.most {
            return Err(None);
        }
        let at = self.full_since.get_or_insert(now).after(WINDOW_STEP);
        if now < at {
            return Err(Some(at));
        }
        self.full_since = None;
        self.now = (self.now * 2).min(self.most);
        if in_flight < self.now { Ok(()) } else { Err(None) }
    }

    /// A request was answered, of so many that were under way.
    pub fn answered(&mut self, under_way: usize, now: Micros) {
        self.answers += 1;
        let is_used_up = under_way >= self.now;
        match self.held_until {
            // Answers tell sooner than time that nothing is refused.
            None if is_used_up => self.now = (self.now + 1).min(self.most),
            Some(until) if is_used_up && now >= until && self.answers >= self.now => {
                self.now = (self.now + self.step).min(self.most);
                if self.step > 1 {
                    self.hold = HOLD_FIRST; // it was no limit, or is none any more
                }
                self.step *= 2;
                self.answers = 0;
            }
            _ => {}
        }
    }

    /// More was refused than these that are still under way: so many are taken.
    pub fn narrow(&mut self, in_flight: usize, now: Micros) {
        self.now = self.now.min(in_flight).max(1);
        (self.step, self.answers) = (1, 0);
        if self.narrowed.is_none_or(|at| now.since(at) >= BURST) {
            self.held_until = Some(now.after(self.hold));
            self.hold = Micros(self.hold.0 * 2).min(HOLD_MAX);
        }
        self.narrowed = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    /// Requests that go at this time beside those under way.
    fn burst(width: &mut Width, in_flight: usize, now: Micros) -> usize {
        (in_flight..).take_while(|under_way| width.admit(*under_way, now).is_ok()).count()
    }

    #[test]
    fn an_unknown_provider_is_asked_by_twice_as_many_each_time_that_nothing_was_refused() {
        let mut width = Width::new(40);
        assert_eq!(burst(&mut width, 0, at(100)), 16);
        assert_eq!(width.admit(16, at(200)), Err(Some(at(350))));
        let widths = [350, 351, 600, 601, 850, 851].map(|ms| {
            let in_flight = width.now;
            in_flight + burst(&mut width, in_flight, at(ms))
        });
        assert_eq!(widths, [32, 32, 40, 40, 40, 40]);
        assert_eq!(width.admit(40, at(5000)), Err(None), "no more than the setting");
    }

    #[test]
    fn answers_widen_it_before_the_time_does_and_only_where_it_is_used_up() {
        let mut width = Width::new(40);
        width.answered(15, at(1));
        assert_eq!(width.now, 16);
        (16..20).for_each(|under_way| width.answered(under_way, at(2)));
        assert_eq!(width.now, 20);
    }

    #[test]
    fn a_limit_is_kept_to_and_tried_again_ever_more_rarely() {
        let mut width = Width::new(64);
        let mut tries = Vec::new();
        (4..8).rev().for_each(|in_flight| width.narrow(in_flight, at(1)));
        assert_eq!(width.now, 4);
        for ms in (10..200_000).step_by(10) {
            width.answered(width.now, at(ms));
            if width.now > 4 {
                tries.push(ms / 1000);
                width.narrow(4, at(ms));
            }
        }
        assert_eq!(tries, [5, 15, 35, 75, 135, 195]);
    }

    #[test]
    fn what_was_no_limit_is_soon_left_behind() {
        let mut width = Width::new(64);
        width.narrow(6, at(0));
        let rounds = (1..).take_while(|round| {
            (0..width.now).for_each(|_| width.answered(width.now, at(5000 + round)));
            width.now < 64
        });
        assert_eq!(rounds.count(), 5);
        width.narrow(32, at(9000));
        assert_eq!(width.held_until, Some(at(14_000)), "from the beginning");
    }
}
