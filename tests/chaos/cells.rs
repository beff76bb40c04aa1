//! Cells of the matrix, many at a time.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use crate::wire_door::Fault;

/// Threads, and cells that each of them works on at once. Cells that wait for a time limit are no work.
const THREADS: usize = 2;
const AT_ONCE: usize = 8;
/// Between two that will wait: clients that are built all at once run into their own time limits.
const APART_MILLIS: u64 = 60;
/// A try has seven seconds. What takes so long without need ran into a limit because the machine stood still: it is done again, so often.
const STOOD_STILL_SECS: f64 = 7.0;
const AGAIN_MAX: usize = 4;

/// One operation with one fault, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) operation: &'static str,
    pub(crate) fault: Fault,
    /// One word for the table.
    pub(crate) word: &'static str,
    /// What broke a promise.
    pub(crate) problems: Vec<String>,
}

/// Words by operation and fault.
pub(crate) type Table = BTreeMap<&'static str, BTreeMap<Fault, Vec<&'static str>>>;

/// Runs every task.
pub(crate) fn run<T, R, F, O>(tasks: Vec<T>, hangs: fn(&T) -> bool, run: R) -> Vec<O>
where
    T: Send + 'static,
    O: Send + 'static,
    R: Fn(T) -> F + Clone + Send + 'static,
    F: Future<Output = O> + 'static,
{
    let mut shares: Vec<Vec<T>> = (0..THREADS).map(|_| Vec::new()).collect();
    for (n, task) in tasks.into_iter().enumerate() {
        shares[n % THREADS].push(task);
    }
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for share in shares {
            let (run, done) = (run.clone(), &done);
            scope.spawn(move || {
                let cells = one_thread(share, hangs, run);
                done.lock().unwrap_or_else(PoisonError::into_inner).extend(cells);
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn one_thread<T, R, F, O>(share: Vec<T>, hangs: fn(&T) -> bool, run: R) -> Vec<O>
where
    T: 'static,
    O: 'static,
    R: Fn(T) -> F + 'static,
    F: Future<Output = O> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (waits, works): (Vec<T>, VecDeque<T>) = {
        let (waits, works): (Vec<T>, Vec<T>) = share.into_iter().partition(hangs);
        (waits, works.into())
    };
    let (run, works) = (Rc::new(run), Rc::new(Mutex::new(works)));
    runtime.block_on(tokio::task::LocalSet::new().run_until(async move {
        let mut handles = Vec::new();
        for _ in 0..AT_ONCE {
            let (run, works) = (Rc::clone(&run), Rc::clone(&works));
            handles.push(tokio::task::spawn_local(async move {
                let mut cells = Vec::new();
                loop {
                    let Some(task) = works.lock().unwrap().pop_front() else { return cells };
                    cells.push(run(task).await);
                }
            }));
        }
        for task in waits {
            let run = Rc::clone(&run);
            handles.push(tokio::task::spawn_local(async move { vec![run(task).await] }));
            crate::wire_door::pause(APART_MILLIS).await;
        }
        let mut all = Vec::new();
        for handle in handles {
            all.extend(handle.await.unwrap());
        }
        all
    }))
}

/// Does something that can be done again until the machine did not stand still meanwhile.
pub(crate) async fn undisturbed<O, F: Future<Output = (O, f64)>>(fault: Fault, run: impl Fn() -> F) -> (O, f64) {
    let mut done = run().await;
    for _ in 1..AGAIN_MAX {
        if fault.hangs() || done.1 < STOOD_STILL_SECS {
            break;
        }
        done = run().await;
    }
    done
}

/// The words of all cells; fails where one broke a promise.
pub(crate) fn table(cells: Vec<Cell>) -> Table {
    let mut table = Table::new();
    let mut problems = Vec::new();
    for cell in cells {
        problems.extend(
            cell.problems.iter().map(|problem| format!("{} x {}: {problem}", cell.operation, cell.fault.name())),
        );
        let words = table.entry(cell.operation).or_default().entry(cell.fault).or_default();
        if !words.contains(&cell.word) {
            words.push(cell.word);
            words.sort_unstable();
        }
    }
    problems.sort();
    assert!(problems.is_empty(), "{} cells broke a promise:\n{}", problems.len(), problems.join("\n"));
    table
}
