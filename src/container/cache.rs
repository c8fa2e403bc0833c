//! A cache of a limited size.

use std::collections::{HashMap, VecDeque};

/// Values by offset. The oldest are dropped first.
pub struct Cache<T> {
    values: HashMap<u64, T>,
    /// The keys in the order in which they came, with the sizes of the values in bytes.
    order: VecDeque<(u64, usize)>,
    used: usize,
    most: usize,
}

impl<T> Cache<T> {
    /// A cache for values of `most` bytes in all.
    pub fn new(most: usize) -> Cache<T> {
        Cache {
            values: HashMap::new(),
            order: VecDeque::new(),
            used: 0,
            most,
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: u64) -> Option<&T> {
        self.values.get(&key)
    }

    /// Keeps `value`, which takes `size` bytes, and returns it.
    pub fn put(&mut self, key: u64, value: T, size: usize) -> &T {
        while self.used.saturating_add(size) > self.most {
            let Some((oldest, size)) = self.order.pop_front() else {
                break;
            };
            self.values.remove(&oldest);
            self.used = self.used.saturating_sub(size);
        }
        self.order.push_back((key, size));
        self.used = self.used.saturating_add(size);
        self.values.entry(key).insert_entry(value).into_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_values_are_dropped() {
        let mut cache = Cache::new(10);
        for key in 0..5 {
            assert_eq!(cache.put(key, key, 4), &key);
        }
        assert_eq!(
            [0, 1, 2, 3, 4].map(|key| cache.get(key).copied()),
            [None, None, None, Some(3), Some(4)]
        );
        // A value that is larger than the cache is still returned.
        assert_eq!(cache.put(9, 9, 100), &9);
        assert_eq!(cache.get(4), None);
        cache.put(10, 10, 1);
        assert_eq!(cache.get(9), None);
    }
}
