//! Numbers within bounds and on the grids of `multipleOf`.

use super::{Maker, Set};
use crate::shape::Numbers;
use serde_json::{Number, Value};

/// How far from a bound a number is drawn when there is no other bound.
const SPAN: f64 = 100.0;

impl Maker<'_, '_> {
    /// A number for the set: a whole one, or one that need not be.
    pub(super) fn number(&mut self, set: &Set<'_>, whole: bool) -> Option<Value> {
        let mut bounds = Numbers::default();
        set.iter().for_each(|node| bounds.and(&node.numbers));
        let grid = grid(&bounds.multiples, whole);
        let low = bounds.min.into_iter().chain(bounds.above).reduce(f64::max);
        let high = bounds.max.into_iter().chain(bounds.below).reduce(f64::min);
        let span = SPAN.max(grid.unwrap_or(0.0) * 4.0);
        let (low, high) = match (low, high) {
            (Some(low), Some(high)) => (low, high),
            (Some(low), None) => (low, low + span),
            (None, Some(high)) => (high - span, high),
            (None, None) => (0.0, span),
        };
        let outside =
            |n: f64| bounds.above.is_some_and(|x| n <= x) || bounds.below.is_some_and(|x| n >= x);
        let Some(step) = grid else {
            let drawn = self.fraction(low, high);
            return (!outside(drawn)).then(|| Value::from(drawn));
        };
        self.on_grid(low, high, step, &outside)
    }

    /// A number with two decimals between the bounds, or any when there is none.
    fn fraction(&mut self, low: f64, high: f64) -> f64 {
        #[allow(clippy::cast_precision_loss)] // 2⁵³ steps are enough
        let share = (self.below(1 << 53) as f64) / (1_u64 << 53) as f64;
        let drawn = low + (high - low) * share;
        let rounded = (drawn * 100.0).round() / 100.0;
        let near = low < rounded && rounded < high && rounded.fract() != 0.0;
        if near { rounded } else { drawn }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn on_grid(
        &mut self,
        low: f64,
        high: f64,
        step: f64,
        outside: &dyn Fn(f64) -> bool,
    ) -> Option<Value> {
        // Multiples of 0.1 are written as decimals, not as sums of binary fractions; whole steps are exact.
        let decimals = if step.fract() == 0.0 {
            None
        } else {
            format!("{step}").split_once('.').map(|(_, digits)| digits.len())
        };
        let place = |k: f64| match decimals {
            None => k * step,
            Some(count) => format!("{:.count$}", k * step).parse().unwrap_or(k * step),
        };
        // A step or two off the quotient: an exclusive bound, or a rounding error of the division.
        let lowest = (low / step).floor();
        let first = (0..3_u8)
            .map(|i| lowest + f64::from(i))
            .find(|k| place(*k) >= low && !outside(place(*k)))?;
        let highest = (high / step).ceil();
        let last = (0..3_u8)
            .map(|i| highest - f64::from(i))
            .find(|k| place(*k) <= high && !outside(place(*k)))?;
        if first > last {
            return None;
        }
        let count = (last - first) as u64;
        let k = first + self.below(count.saturating_add(1).max(1)) as f64;
        written(place(k.clamp(first, last)))
    }
}

/// The coarsest grid that all multiples share, and whole numbers if asked for; `None` for no grid.
fn grid(multiples: &[f64], whole: bool) -> Option<f64> {
    let ones = whole.then_some(1.0);
    ones.into_iter().chain(multiples.iter().copied()).filter(|step| *step > 0.0).reduce(common)
}

/// Least common multiple of two steps, exact for steps of up to six decimals.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn common(a: f64, b: f64) -> f64 {
    const SCALE: f64 = 1e6;
    let (x, y) = ((a * SCALE).round() as u64, (b * SCALE).round() as u64);
    if x == 0 || y == 0 {
        return a.max(b);
    }
    let (mut p, mut q) = (x, y);
    while q > 0 {
        (p, q) = (q, p % q);
    }
    (x / p) as f64 * y as f64 / SCALE
}

/// A whole number is written without a decimal point.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn written(number: f64) -> Option<Value> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= LIMIT {
        return Some(Value::from(number as i64));
    }
    if number.fract() == 0.0 && number > 0.0 && number < 18_446_744_073_709_551_615.0 {
        return Some(Value::from(number as u64));
    }
    if number.fract() == 0.0 && (-9_223_372_036_854_775_808.0..0.0).contains(&number) {
        return Some(Value::from(number as i64));
    }
    Number::from_f64(number).map(Value::Number)
}
