//! What the expansion of `#[resilient]` names.
//!
//! Everything the attribute writes into a user's function goes through this module, the items of `core` included, so
//! that nothing in the user's scope (a type called `Option`, a module called `core`, no prelude at all) can change what
//! the expansion means. **Not a public API**: it may change with any release.

mod answer;
pub mod check;
mod fresh;
mod judge;
mod pooled;
mod refusal;

pub use core::{
    clone::Clone,
    column, file, format_args, line,
    mem::drop,
    module_path,
    option::Option::{None, Some},
    primitive,
    result::Result::{Err, Ok},
};

pub use self::{
    answer::{
        Answered, AnsweredLater, AnsweredNow, Later, Now, Shape, ShapeOfAny, ShapeOfResult, answer,
        answer_async,
    },
    fresh::Fresh,
    judge::{
        AsError, ByClassify, ByClassifyShown, ByDeref, ByError, ByNothing, ByShape, ByShapeShown, CanFail,
        Fallible, FindJudge, JudgeError, OfResults, Probe, classified, classify, judge, verdict,
    },
    pooled::{FromFailure, Place, PlaceByError, PlaceByPoolError, PlaceByShape, PlaceOfNever},
    refusal::{FromRefusal, never_refused},
};

#[doc(hidden)]
pub use inventory;

pub use crate::{
    call::{
        Admit, Attempt, Call, Judge, Lent, ManagerFailure, Next, NoConnection, NoRoom, Parts, Room, Run,
        Timer, UntimedAttempt, Verdict, WaitingRoom, give_back,
    },
    policy::{Named, Site},
    pool::Poolable,
    settings::{
        BackoffKind, BulkheadSettings, CircuitSettings, Declaration, Declared, Jitter, LimiterSettings,
        Location, NameSpec, RetrySettings, WorkerSettings,
    },
};
