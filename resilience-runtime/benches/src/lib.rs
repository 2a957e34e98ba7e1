//! What every benchmark here needs: contenders, their measurement, and the table of results.
//!
//! General harnesses measure one thing after another. On a machine whose speed changes from second to second, as that
//! of a laptop, a virtual machine or a CI runner does, a ratio of two such numbers says little. Here the contenders
//! of a comparison take turns in many short rounds, and the fastest round of each counts: disturbances only ever
//! add time.

mod allocations;
mod contender;
mod crowd;
mod table;
mod threads;

pub use self::{
    allocations::{CountingAllocator, allocations},
    contender::{Contender, Measured, measure, reads_cycle_counter},
    crowd::{Crowd, Fared, Scarce, Spread, fare},
    table::{Budget, Comparison, Outcome, Table},
    threads::{Scaling, scaling},
};
