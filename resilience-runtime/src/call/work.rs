//! An attempt on a thread of a worker pool.

use std::panic::resume_unwind;

use super::Call;
use crate::{error::ResilienceError, worker::WorkerError};

impl Call<'_> {
    /// Runs the user's function on the site's worker pool until it answers or its time is over. Its thread stays
    /// taken until the function ends by itself.
    ///
    /// # Errors
    ///
    /// If the pool takes no job, or the time is over.
    ///
    /// # Panics
    ///
    /// If the function panics: the panic goes on in the caller.
    pub async fn run_on_workers<F, T>(&mut self, job: F) -> Result<T, ResilienceError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let Some(workers) = &self.handles.workers else {
            unreachable!("the attribute writes this only for a site with workers");
        };
        let run = workers.run(job);
        match self.attempt(run).await? {
            Ok(answer) => Ok(answer),
            Err(WorkerError::Refused(refusal)) => Err(refusal),
            Err(WorkerError::Panicked(panic)) => self.user(|| resume_unwind(panic.into_payload())),
        }
    }
}
