//! What the SDK sends for each operation, and what is read from the answer: shapes from AWS's documentation (`tests/wire`).

#![cfg(all(feature = "aws", feature = "cli"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // So may helpers of tests.
#![allow(clippy::large_futures, reason = "a test has the room")]

#[path = "wire/books.rs"]
mod books;
#[path = "wire/nodes.rs"]
mod nodes;
mod wire_door;

use std::collections::BTreeSet;

use defib::aws::operations::OPERATIONS;

#[test]
fn every_operation_has_its_shape() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire");
    let names = std::fs::read_dir(folder).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".json").map(ToOwned::to_owned)
    });
    let used = OPERATIONS.iter().map(|row| row.operation.to_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), used.collect::<BTreeSet<_>>());
}
