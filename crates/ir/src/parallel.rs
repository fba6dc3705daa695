//! Work on the functions of a module that do not depend on one another, on all processors.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// Instructions below which a thread costs more than it saves: starting one takes about as long as compiling so many.
const WORTH_A_THREAD: usize = 300;

/// Does some work for each item and gives what came of it, in the order of the items. `size` tells the instructions of
/// each; large ones come first, and small work stays in this thread.
pub fn map<T: Send, R: Send>(items: Vec<T>, size: impl Fn(&T) -> usize, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let sizes: Vec<usize> = items.iter().map(size).collect();
    let total: usize = sizes.iter().sum();
    let most = items.len().min(total / WORTH_A_THREAD);
    let threads = if most < 2 { 1 } else { most.min(processors()) };
    if threads < 2 {
        return items.into_iter().map(work).collect();
    }
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let mut waiting: Vec<(usize, T)> = items.into_iter().enumerate().collect();
    waiting.sort_by_key(|(at, _)| sizes[*at]);
    let waiting = Mutex::new(waiting);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let run = || {
        let mut done = Vec::new();
        while let Some((at, item)) = next() {
            done.push((at, work(item)));
        }
        done
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done.into_iter().for_each(|(at, result)| results[at] = Some(result));
    });
    results.into_iter().flatten().collect()
}

/// Processors that this process may use.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        for count in [0, 1, 2, 7, 100] {
            let items: Vec<usize> = (0..count).collect();
            let expected: Vec<usize> = items.iter().map(|item| item * item).collect();
            assert_eq!(map(items.clone(), |item| item * 100, |item| item * item), expected);
            assert_eq!(map(items, |_| 1, |item| item * item), expected);
        }
    }

    #[test]
    #[should_panic(expected = "seven")]
    fn panics_go_on() {
        map((0..10).collect(), |_| 1000, |item: u32| assert_ne!(item, 7, "seven"));
    }
}
