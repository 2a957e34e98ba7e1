//! Policies: the whole chain, for an annotated function ([`Site`]) or by hand ([`Policy`]).

mod builder;
mod run;
mod site;

pub use self::{
    builder::{Policy, PolicyBuilder},
    run::PolicyRun,
    site::{Fixed, Named, Site},
};
