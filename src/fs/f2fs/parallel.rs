//! Work on all cores, with results in order.

use std::thread;

use anyhow::{Result, anyhow};

use crate::cores;

/// Number of threads. Each has a result of up to 2 MiB in memory.
const THREADS: usize = 8;

/// Passes the results of `work` for the numbers below `count` to `take`, in order.
///
/// # Errors
/// The first error of `work` or `take`.
pub fn ordered<T: Send>(
    count: u64,
    work: impl Fn(u64) -> Result<T> + Sync,
    mut take: impl FnMut(u64, T) -> Result<()>,
) -> Result<()> {
    // usize to u64: lossless.
    let threads = cores::count().clamp(1, THREADS) as u64;
    let mut first = 0;
    while first < count {
        let end = count.min(first + threads);
        let work = &work;
        let results = thread::scope(|scope| {
            let others: Vec<_> = (first + 1..end)
                .map(|number| scope.spawn(move || work(number)))
                .collect();
            let mut results = vec![work(first)];
            results.extend(others.into_iter().map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(anyhow!("a thread that generates metadata panicked")))
            }));
            results
        });
        for (number, result) in (first..).zip(results) {
            take(number, result?)?;
        }
        first = end;
    }
    Ok(())
}
