//! A quick hash for names that requests make up.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Hashes with keys of its own, so that nobody outside can choose names that all fall into one bucket.
#[derive(Clone, Debug)]
pub(super) struct Keyed {
    keys: [u64; 2],
}

impl Default for Keyed {
    fn default() -> Self {
        let random = RandomState::new();
        Self { keys: [0, 1].map(|which| random.hash_one(which)) }
    }
}

impl BuildHasher for Keyed {
    type Hasher = Folding;

    #[inline]
    fn build_hasher(&self) -> Folding {
        let [state, key] = self.keys;
        Folding { state, key }
    }
}

/// Two words at a time are multiplied, and the halves of the product folded: the step of wyhash (Wang Yi, 2019).
#[derive(Debug)]
pub(super) struct Folding {
    state: u64,
    key: u64,
}

impl Folding {
    #[inline]
    fn fold(&mut self, low: u64, high: u64) {
        let product = u128::from(low ^ self.state) * u128::from(high ^ self.key);
        self.state = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for Folding {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((chunk, more)) = rest.split_first_chunk::<16>() {
            let (low, high) = halves(u128::from_le_bytes(*chunk));
            self.fold(low, high);
            rest = more;
        }
        // The last words of a text may overlap; its length, which comes with it, tells it from any other.
        let (low, high) = match (rest.first_chunk::<8>(), rest.last_chunk::<8>()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
                (Some(first), Some(last)) => {
                    (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
                }
                _ => (rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0),
            },
        };
        self.fold(low, high);
    }

    #[inline]
    fn write_usize(&mut self, length: usize) {
        self.state = self.state.wrapping_add(length as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

const fn halves(word: u128) -> (u64, u64) {
    (word as u64, (word >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn keyed(seed: u64) -> Keyed {
        Keyed { keys: [seed, !seed.rotate_left(17)] }
    }

    #[test]
    fn names_that_differ_a_little_hash_apart_in_all_bits_that_a_map_uses() {
        let keyed = keyed(0x9e37_79b9_7f4a_7c15);
        let hashes: Vec<u64> =
            (0..10_000).map(|host| keyed.hash_one(format!("host-{host}.internal").as_bytes())).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        for bits in [0..8, 24..32, 49..57, 56..64] {
            let buckets: HashSet<u64> = hashes.iter().map(|hash| hash >> bits.start & 0xff).collect();
            assert_eq!(buckets.len(), 256, "bits {bits:?}");
        }
    }

    #[test]
    fn keys_make_the_difference() {
        let hashes: HashSet<u64> = (1..100).map(|seed| keyed(seed).hash_one(b"api".as_slice())).collect();
        assert_eq!(hashes.len(), 99);
        assert_ne!(Keyed::default().keys, Keyed::default().keys);
    }

    #[test]
    fn names_of_zeros_differ_by_their_length() {
        let hashes: HashSet<u64> = (0..50).map(|length| keyed(7).hash_one(vec![0_u8; length])).collect();
        assert_eq!(hashes.len(), 50);
    }

    proptest! {
        #[test]
        fn every_byte_and_the_length_count(bytes in proptest::collection::vec(any::<u8>(), 0..80), at in any::<usize>()) {
            let keyed = keyed(7);
            let mut other = bytes.clone();
            if let Some(byte) = other.get_mut(at % bytes.len().max(1)) {
                *byte ^= 1 << (at % 8);
                prop_assert_ne!(keyed.hash_one(&*bytes), keyed.hash_one(&*other));
            }
            other.clone_from(&bytes);
            other.push(0);
            prop_assert_ne!(keyed.hash_one(&*bytes), keyed.hash_one(&*other));
        }
    }
}
