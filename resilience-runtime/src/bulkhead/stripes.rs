//! Free permits, counted by thread.

use std::convert;

use crate::sync::{
    atomic::{AtomicU64, Ordering::SeqCst},
    stripe::{Stripe, Striped},
};

/// Free permits, split into counters that threads do not share.
///
/// Each stripe is one word: the free permits in the lower half, in the upper half how often permits were put
/// there (it wraps). A stripe that holds nothing twice, with the same upper half, held nothing in between; two equal
/// sums of all words are therefore a snapshot of all stripes at one moment, although they are read one by one.
pub(super) struct Stripes(Striped<Free>);

/// Two cache lines apart, because processors fetch lines in pairs.
#[repr(align(128))]
struct Free(AtomicU64);

/// One permit put into a stripe, in its upper half.
const PUT: u64 = 1 << 32;

/// A reader gives up a perfect snapshot after this many tries, while permits come and go.
const TRIES: usize = 16;

impl Stripes {
    /// `permits` split evenly over `count` stripes.
    pub(super) fn new(count: usize, permits: usize) -> Self {
        let stripes = Self(Striped::new(count, || Free(AtomicU64::new(0))));
        stripes.spread(permits);
        stripes
    }

    /// Takes a permit from one stripe.
    #[inline]
    pub(super) fn take(&self, stripe: Stripe) -> bool {
        self.0.get(stripe).take().is_ok()
    }

    /// Takes a permit from any stripe, beginning with `stripe`. If every stripe was empty when it was looked at,
    /// the sum of all words is returned: two equal sums prove that there was a moment without any permit.
    pub(super) fn sweep(&self, stripe: Stripe) -> Result<(), u64> {
        let mut sum = 0_u64;
        for part in self.0.iter_from(stripe) {
            match part.take() {
                Ok(()) => return Ok(()),
                Err(word) => sum = sum.wrapping_add(word),
            }
        }
        Err(sum)
    }

    /// Takes as many permits as there are, at most `most`, and returns how many.
    pub(super) fn withdraw(&self, most: usize) -> usize {
        let mut left = most as u64;
        for Free(word) in self.0.iter() {
            let taken = word.fetch_update(SeqCst, SeqCst, |word| Some(word - free(word).min(left)));
            // The update never declines.
            left -= free(taken.unwrap_or_else(convert::identity)).min(left);
        }
        most - left as usize
    }

    /// Puts a permit into one stripe.
    #[inline]
    pub(super) fn put(&self, stripe: Stripe) {
        self.0.get(stripe).0.fetch_add(PUT | 1, SeqCst);
    }

    /// Puts `permits` into all stripes evenly.
    pub(super) fn spread(&self, permits: usize) {
        let (each, rest) = (permits / self.0.len(), permits % self.0.len());
        for (index, Free(word)) in self.0.iter().enumerate() {
            word.fetch_add(PUT | (each + usize::from(index < rest)) as u64, SeqCst);
        }
    }

    /// Free permits: exact, unless permits come and go so fast that no two readings agree.
    pub(super) fn free(&self) -> usize {
        let sum = || self.0.iter().fold(0_u64, |sum, Free(word)| sum.wrapping_add(word.load(SeqCst)));
        let mut last = sum();
        for _ in 0..TRIES {
            let now = sum();
            if now == last {
                break;
            }
            last = now;
        }
        free(last) as usize
    }
}

impl Free {
    /// Takes a permit, or returns the word that holds none.
    #[inline]
    fn take(&self) -> Result<(), u64> {
        let mut word = self.0.load(SeqCst);
        while free(word) != 0 {
            match self.0.compare_exchange_weak(word, word - 1, SeqCst, SeqCst) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
        Err(word)
    }
}

#[inline]
const fn free(word: u64) -> u64 {
    word & (PUT - 1)
}
