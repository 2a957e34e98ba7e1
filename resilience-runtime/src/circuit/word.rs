//! The one atomic word of a circuit, and what time and probes do to it. Plain functions, no atomics, no clock.

use crate::{clock::Instant, events::CircuitState};

/// Bits of each probe counter. [`CircuitSettings::MOST_PROBES`](crate::CircuitSettings::MOST_PROBES) stays below.
const PROBE_BITS: u32 = 10;

const PROBE_MASK: u64 = (1 << PROBE_BITS) - 1;

/// Where the generation begins: above the state and three probe counters.
const GENERATION_SHIFT: u32 = 3 + 3 * PROBE_BITS;

/// Bits left to the generation. It would have to turn around once, two thousand million transitions, while one
/// call is in flight for that call's result to be taken for a current one.
const GENERATION_MASK: u32 = (1 << (u64::BITS - GENERATION_SHIFT)) - 1;

/// State, generation and probe counters of a circuit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Word {
    pub(super) state: CircuitState,
    /// Counts transitions.
    pub(super) generation: u32,
    /// Probes let through in this half-open period and not given back.
    pub(super) admitted: u16,
    /// Probes that succeeded in it.
    pub(super) succeeded: u16,
    /// Probes that failed in it.
    pub(super) failed: u16,
}

impl Word {
    pub(super) const CLOSED: Self = Self::entered(CircuitState::Closed, 0);

    /// A state that was just entered.
    pub(super) const fn entered(state: CircuitState, generation: u32) -> Self {
        Self { state, generation: generation & GENERATION_MASK, admitted: 0, succeeded: 0, failed: 0 }
    }

    pub(super) const fn pack(self) -> u64 {
        let state = match self.state {
            CircuitState::Closed => 0,
            CircuitState::Open => 1,
            CircuitState::HalfOpen => 2,
            CircuitState::ForcedOpen => 3,
            CircuitState::Disabled => 4,
            CircuitState::MetricsOnly => 5,
        };
        state
            | (self.admitted as u64) << 3
            | (self.succeeded as u64) << (3 + PROBE_BITS)
            | (self.failed as u64) << (3 + 2 * PROBE_BITS)
            | (self.generation as u64) << GENERATION_SHIFT
    }

    #[inline]
    pub(super) const fn unpack(bits: u64) -> Self {
        let state = match bits & 7 {
            0 => CircuitState::Closed,
            1 => CircuitState::Open,
            2 => CircuitState::HalfOpen,
            3 => CircuitState::ForcedOpen,
            4 => CircuitState::Disabled,
            _ => CircuitState::MetricsOnly,
        };
        Self {
            state,
            generation: Self::generation_of(bits),
            admitted: (bits >> 3 & PROBE_MASK) as u16,
            succeeded: (bits >> (3 + PROBE_BITS) & PROBE_MASK) as u16,
            failed: (bits >> (3 + 2 * PROBE_BITS) & PROBE_MASK) as u16,
        }
    }

    /// Whether a packed word is in the state that the happy path knows.
    #[inline]
    pub(super) const fn is_closed(bits: u64) -> bool {
        bits & 7 == 0
    }

    #[inline]
    pub(super) const fn generation_of(bits: u64) -> u32 {
        (bits >> GENERATION_SHIFT) as u32
    }

    /// The state that time alone has brought about by `now`, if it is another one. `due` is the end of the open
    /// time, or of the probes' time once one was let through.
    pub(super) fn lapsed(self, due: Instant, now: Instant) -> Option<CircuitState> {
        match self.state {
            // ## Open => HalfOpen: the open time has passed, to the nanosecond.
            CircuitState::Open if now >= due => Some(CircuitState::HalfOpen),
            // ## HalfOpen => Open: a probe that gives no verdict is evidence. Idle, the circuit waits for one.
            CircuitState::HalfOpen if self.admitted > 0 && now >= due => Some(CircuitState::Open),
            _ => None,
        }
    }

    /// The word after a probe's result, and the state that result leads to, if it decides.
    pub(super) const fn probed(
        self,
        success: bool,
        probes: u16,
        needed: u16,
    ) -> (Self, Option<CircuitState>) {
        let mut word = self;
        if success {
            word.succeeded += 1;
            // ## HalfOpen => Closed: enough probes succeeded.
            let decided = if word.succeeded >= needed { Some(CircuitState::Closed) } else { None };
            (word, decided)
        } else {
            word.failed += 1;
            // ## HalfOpen => Open: the probes that are left cannot close the circuit any more.
            let decided = if word.failed > probes - needed { Some(CircuitState::Open) } else { None };
            (word, decided)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn time_alone_opens_and_half_opens() {
        let at = Instant::from_nanos;
        let open = Word::entered(CircuitState::Open, 1);
        assert_eq!(open.lapsed(at(10), at(9)), None);
        assert_eq!(open.lapsed(at(10), at(10)), Some(CircuitState::HalfOpen));
        let idle = Word::entered(CircuitState::HalfOpen, 2);
        assert_eq!(idle.lapsed(at(10), at(1_000)), None);
        assert_eq!(Word { admitted: 1, ..idle }.lapsed(at(10), at(10)), Some(CircuitState::Open));
        assert_eq!(Word::CLOSED.lapsed(at(0), at(u64::MAX)), None);
    }

    #[test]
    fn probes_decide_as_soon_as_they_can() {
        let idle = Word::entered(CircuitState::HalfOpen, 2);
        assert_eq!(idle.probed(true, 3, 2).1, None);
        assert_eq!(idle.probed(true, 3, 2).0.probed(true, 3, 2).1, Some(CircuitState::Closed));
        assert_eq!(idle.probed(false, 3, 2).1, None);
        assert_eq!(idle.probed(false, 3, 2).0.probed(false, 3, 2).1, Some(CircuitState::Open));
        assert_eq!(idle.probed(false, 2, 2).1, Some(CircuitState::Open));
    }

    proptest! {
        #[test]
        fn a_word_survives_packing(
            state in 0..6u64, generation in 0..=GENERATION_MASK,
            admitted in 0..1_024u16, succeeded in 0..1_024u16, failed in 0..1_024u16,
        ) {
            let state = Word::unpack(state).state;
            let word = Word { state, generation, admitted, succeeded, failed };
            prop_assert_eq!(Word::unpack(word.pack()), word);
            prop_assert_eq!(Word::generation_of(word.pack()), generation);
        }
    }
}
