//! Every operation of AWS that Defib calls, with everything that can go wrong on the way: what becomes of it is what SAFETY.md
//! promises, and the table of docs/CHAOS.md.

#![cfg(all(feature = "aws", feature = "cli"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)] // So may helpers of tests.
#![allow(clippy::large_futures, reason = "a test has the room")]

#[path = "chaos/books.rs"]
mod books;
#[path = "chaos/cells.rs"]
mod cells;
mod fleet_door;
#[path = "chaos/page.rs"]
mod page;
#[path = "chaos/reads.rs"]
mod reads;
#[path = "chaos/sends.rs"]
mod sends;
mod wire_door;

#[test]
fn every_operation_meets_every_fault() {
    // Most of each is waiting for time limits.
    let (reads, (before, after), (books_before, books_after)) = std::thread::scope(|scope| {
        let (reads, sends, books) =
            (scope.spawn(reads::matrix), scope.spawn(sends::matrices), scope.spawn(books::matrices));
        (reads.join().unwrap(), sends.join().unwrap(), books.join().unwrap())
    });
    page::keep(&[
        ("What reads of nodes make of it", &cells::table(reads)),
        ("Sends, where the service never saw the request", &cells::table(before)),
        ("Sends, where the service had acted", &cells::table(after)),
        ("The books, where the service never saw the request, or its answer is spoiled", &cells::table(books_before)),
        ("The books, where the service had acted", &cells::table(books_after)),
    ]);
}
