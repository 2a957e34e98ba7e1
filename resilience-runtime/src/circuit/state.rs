//! The circuit's word as an atomic, and what stands beside it.
//!
//! # Implementation Details
//!
//! One atomic word holds state, generation and probe counters ([`Word`]). Every change of it is one compare-exchange
//! from an expected word, so changes are linearisable, and whoever wins a transition alone tells of it.
//!
//! Beside the word stand the moment at which time alone ends an open or a half-open period, and the number of failed
//! half-open periods in a row. There are two places for them, used by even and by odd generations: a transition fills
//! the place of the generation it enters and then makes its compare-exchange, so nobody who reads the word of one
//! generation meets the numbers of the next. Should a reader be overtaken by two transitions, the word it reads a
//! second time shows it.
//!
//! Places are written under the circuit's lock only: by transitions, and by a probe that is let through while none
//! runs, which starts the time in which there has to be a verdict. Until that probe's compare-exchange the word says
//! that no probe runs, and the moment means nothing. Calls through a closed circuit touch neither lock nor places.

use super::word::Word;
use crate::{
    clock::Instant,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

/// The word and its surroundings.
#[derive(Debug)]
pub(super) struct State {
    word: AtomicU64,
    places: [Place; 2],
}

#[derive(Debug)]
struct Place {
    due: AtomicU64,
    streak: AtomicU32,
}

/// Word and surroundings of one generation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct View {
    pub(super) word: Word,
    /// When time alone ends the state, if it is open or a probe runs.
    pub(super) due: Instant,
    /// Failed half-open periods in a row.
    pub(super) streak: u32,
}

impl State {
    pub(super) fn new() -> Self {
        let place = || Place { due: AtomicU64::new(0), streak: AtomicU32::new(0) };
        Self { word: AtomicU64::new(Word::CLOSED.pack()), places: [place(), place()] }
    }

    /// The word as it is stored, for the happy path.
    #[inline]
    pub(super) fn bits(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    pub(super) fn read(&self) -> View {
        loop {
            let word = Word::unpack(self.bits());
            let place = self.place(word);
            let due = Instant::from_nanos(place.due.load(Ordering::Acquire));
            let streak = place.streak.load(Ordering::Acquire);
            if Word::generation_of(self.bits()) == word.generation {
                return View { word, due, streak };
            }
        }
    }

    /// Counts probes; the generation stays.
    pub(super) fn exchange(&self, from: Word, to: Word) -> bool {
        self.word.compare_exchange(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Starts a generation, under the lock.
    pub(super) fn enter(&self, from: Word, to: View) -> bool {
        let place = self.place(to.word);
        place.due.store(to.due.as_nanos(), Ordering::Release);
        place.streak.store(to.streak, Ordering::Release);
        self.exchange(from, to.word)
    }

    /// Lets a probe through while none runs, under the lock.
    pub(super) fn arm(&self, from: Word, to: Word, due: Instant) -> bool {
        if self.bits() != from.pack() {
            return false;
        }
        self.place(to).due.store(due.as_nanos(), Ordering::Release);
        self.exchange(from, to)
    }

    fn place(&self, word: Word) -> &Place {
        &self.places[(word.generation % 2) as usize]
    }
}
