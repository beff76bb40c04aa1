//! Work that may hold a bug.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

/// The work panicked; the panic hook has logged where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Panicked;

/// Does the work, and turns a panic into an error. A pass is a value that may be dropped at any step, and what is shared is
/// only changed by whole requests, so nothing half done is seen afterwards.
pub(super) async fn guarded<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = Box::pin(work);
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(answer)) => Poll::Ready(Ok(answer)),
        Err(panic) => {
            tracing::error!("caught a bug: {}", crate::telemetry::said(&*panic));
            Poll::Ready(Err(Panicked))
        }
    })
    .await
}
