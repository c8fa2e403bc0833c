//! Sets of used blocks, stored as ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of blocks, stored as ranges that are not adjacent. A file system's own blocks form few
/// long ranges, whatever its size.
#[derive(Debug, Clone, Default)]
pub struct Used {
    /// Maps the first block of each range to the block after its last.
    ranges: BTreeMap<u64, u64>,
}

impl Used {
    /// Marks `blocks` as used. None of them may be used already.
    pub fn mark(&mut self, blocks: Range<u64>) {
        if blocks.is_empty() {
            return;
        }
        let Range { mut start, mut end } = blocks;
        if let Some((&before, &before_end)) = self.ranges.range(..start).next_back()
            && before_end == start
        {
            start = before;
        }
        if let Some(after_end) = self.ranges.remove(&end) {
            end = after_end;
        }
        self.ranges.insert(start, end);
    }

    /// Returns the first range of free blocks at or after `from` and before `limit`.
    pub fn gap(&self, from: u64, limit: u64) -> Option<Range<u64>> {
        let mut start = from;
        if let Some((_, &end)) = self.ranges.range(..=start).next_back() {
            start = start.max(end);
        }
        if start >= limit {
            return None;
        }
        let end = self.ranges.range(start..).next().map(|(&next, _)| next);
        Some(start..end.unwrap_or(limit).min(limit))
    }

    /// Returns the first block at which `count` free blocks begin. It is at or after `from` and
    /// before `before`, and all the blocks are before `limit`.
    pub fn find(&self, from: u64, before: u64, count: u64, limit: u64) -> Option<u64> {
        let mut at = from;
        loop {
            let gap = self.gap(at, limit)?;
            if gap.start >= before {
                return None;
            }
            if gap.end - gap.start >= count {
                return Some(gap.start);
            }
            at = gap.end;
        }
    }

    /// Returns the used parts of `within`, in order.
    pub fn parts(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let before = self.ranges.range(..within.start).next_back();
        before
            .into_iter()
            .chain(self.ranges.range(within.clone()))
            .map(move |(&start, &end)| start.max(within.start)..end.min(within.end))
            .filter(|part| !part.is_empty())
    }

    /// Returns the number of used blocks in `within`.
    pub fn count(&self, within: Range<u64>) -> u64 {
        self.parts(within).map(|part| part.end - part.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_ranges_join_and_gaps_lie_between_ranges() {
        let mut used = Used::default();
        for blocks in [10..20, 30..40, 20..25, 27..30, 5..5] {
            used.mark(blocks);
        }
        assert_eq!(used.ranges, BTreeMap::from([(10, 25), (27, 40)]));
        assert_eq!(used.gap(0, 100), Some(0..10));
        assert_eq!(used.gap(12, 100), Some(25..27));
        assert_eq!(used.gap(26, 100), Some(26..27));
        assert_eq!(used.gap(30, 100), Some(40..100));
        assert_eq!(used.gap(30, 40), None);
        assert_eq!(used.find(5, 50, 5, 100), Some(5));
        assert_eq!(used.find(5, 50, 6, 100), Some(40));
        assert_eq!(used.find(5, 40, 6, 100), None);
        assert_eq!(used.find(5, 100, 61, 100), None);
        assert_eq!(used.count(0..100), 28);
        assert_eq!(used.count(12..28), 14);
        assert_eq!(used.count(25..27), 0);
    }
}
