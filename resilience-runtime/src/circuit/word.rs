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
    /// Probes of this half-open period that are under way.
    pub(super) running: u16,
    /// Those that succeeded, and successes recorded by hand.
    pub(super) succeeded: u16,
    /// Those that failed, and failures recorded by hand.
    pub(super) failed: u16,
}

impl Word {
    pub(super) const CLOSED: Self = Self::entered(CircuitState::Closed, 0);

    /// A state that was just entered.
    pub(super) const fn entered(state: CircuitState, generation: u32) -> Self {
        Self { state, generation: generation & GENERATION_MASK, running: 0, succeeded: 0, failed: 0 }
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
            | (self.running as u64) << 3
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
            running: (bits >> 3 & PROBE_MASK) as u16,
            succeeded: (bits >> (3 + PROBE_BITS) & PROBE_MASK) as u16,
            failed: (bits >> (3 + 2 * PROBE_BITS) & PROBE_MASK) as u16,
        }
    }

    /// Whether a packed word is in the state that the happy path knows.
    #[inline]
    pub(super) const fn is_closed(bits: u64) -> bool {
        bits & 7 == 0
    }

    /// Whether a packed word is in that state, and of this generation. No probe is out then, so nothing else is in it.
    #[inline]
    pub(super) const fn is_closed_in(bits: u64, generation: u32) -> bool {
        bits == (generation as u64) << GENERATION_SHIFT
    }

    #[inline]
    pub(super) const fn generation_of(bits: u64) -> u32 {
        (bits >> GENERATION_SHIFT) as u32
    }

    /// Whether another generation came after this one, by less than half of their circle.
    pub(super) const fn is_later(generation: u32, than: u32) -> bool {
        let ahead = generation.wrapping_sub(than) & GENERATION_MASK;
        ahead != 0 && ahead <= GENERATION_MASK / 2
    }

    /// Slots of the half-open period that are taken: probes given back are not.
    pub(super) const fn admitted(self) -> u16 {
        self.running + self.succeeded + self.failed
    }

    /// The state that time alone has brought about by `now`, if it is another one. `due` is the end of the open
    /// time, or of the running probes' time.
    pub(super) fn lapsed(self, due: Instant, now: Instant) -> Option<CircuitState> {
        match self.state {
            // ## Open => HalfOpen: the open time has passed, to the nanosecond.
            CircuitState::Open if now >= due => Some(CircuitState::HalfOpen),
            // ## HalfOpen => Open: a probe that hangs is evidence. While none runs the circuit waits for one: were
            // the wait held against it, a circuit with little traffic would never collect its successes.
            CircuitState::HalfOpen if self.running > 0 && now >= due => Some(CircuitState::Open),
            _ => None,
        }
    }

    /// The state that the probes' results lead to, if they decide.
    pub(super) const fn verdict(self, (probes, needed): (u16, u16)) -> Option<CircuitState> {
        match self.state {
            // ## HalfOpen => Closed: enough probes succeeded.
            CircuitState::HalfOpen if self.succeeded >= needed => Some(CircuitState::Closed),
            // ## HalfOpen => Open: the probes that are left cannot close the circuit any more.
            CircuitState::HalfOpen if self.failed > probes - needed => Some(CircuitState::Open),
            _ => None,
        }
    }

    /// The word after a result; `slots` is 1 for a probe's, which ends with it, and 0 for one recorded by hand.
    pub(super) const fn probed(self, success: bool, slots: u16) -> Self {
        let running = self.running.saturating_sub(slots);
        if success {
            Self { running, succeeded: self.succeeded + 1, ..self }
        } else {
            Self { running, failed: self.failed + 1, ..self }
        }
    }

    /// The word after a probe that was never used: the next call may have its slot.
    pub(super) const fn given_back(self) -> Self {
        Self { running: self.running.saturating_sub(1), ..self }
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
        assert_eq!(Word { succeeded: 1, ..idle }.lapsed(at(10), at(1_000)), None);
        assert_eq!(Word { running: 1, ..idle }.lapsed(at(10), at(9)), None);
        assert_eq!(Word { running: 1, ..idle }.lapsed(at(10), at(10)), Some(CircuitState::Open));
        assert_eq!(Word::CLOSED.lapsed(at(0), at(u64::MAX)), None);
    }

    #[test]
    fn probes_decide_as_soon_as_they_can() {
        let two = Word { running: 2, ..Word::entered(CircuitState::HalfOpen, 2) };
        let ok = two.probed(true, 1);
        assert_eq!((ok.admitted(), ok.running, ok.verdict((3, 2))), (2, 1, None));
        assert_eq!(ok.probed(true, 1).verdict((3, 2)), Some(CircuitState::Closed));
        let failed = two.probed(false, 1);
        assert_eq!((failed.admitted(), failed.running, failed.verdict((3, 2))), (2, 1, None));
        assert_eq!(failed.probed(false, 1).verdict((3, 2)), Some(CircuitState::Open));
        assert_eq!(failed.verdict((2, 2)), Some(CircuitState::Open));
    }

    #[test]
    fn a_result_recorded_by_hand_takes_a_slot_and_ends_no_probe() {
        let one = Word { running: 1, ..Word::entered(CircuitState::HalfOpen, 2) };
        let recorded = one.probed(true, 0);
        assert_eq!((recorded.running, recorded.admitted(), recorded.given_back().admitted()), (1, 2, 1));
    }

    #[test]
    fn generations_are_ordered_around_their_end() {
        assert!(Word::is_later(1, 0) && !Word::is_later(0, 1) && !Word::is_later(5, 5));
        assert!(Word::is_later(0, GENERATION_MASK) && !Word::is_later(GENERATION_MASK, 0));
        let half = GENERATION_MASK / 2;
        assert!(Word::is_later(half, 0) && !Word::is_later(half + 1, 0));
    }

    proptest! {
        #[test]
        fn a_word_survives_packing(
            state in 0..6u64, generation in 0..=GENERATION_MASK,
            running in 0..1_024u16, succeeded in 0..1_024u16, failed in 0..1_024u16,
        ) {
            let state = Word::unpack(state).state;
            let word = Word { state, generation, running, succeeded, failed };
            prop_assert_eq!(Word::unpack(word.pack()), word);
            prop_assert_eq!(Word::generation_of(word.pack()), generation);
        }
    }
}
