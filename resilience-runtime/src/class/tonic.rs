//! Statuses of the gRPC implementation tonic.

use std::time::Duration;

use tonic::{Code, Status};

use super::{Classify, ErrorClass};

/// Where a gRPC server says when to come back, or not to (gRFC A6, "server pushback").
const PUSHBACK: &str = "grpc-retry-pushback-ms";

impl Classify for Status {
    /// As the gRPC documentation tells clients to treat the codes. A server's pushback is a floor for the delay; a
    /// negative one forbids another attempt.
    fn classify(&self) -> ErrorClass {
        match self.code() {
            Code::Aborted
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::ResourceExhausted
            | Code::Unavailable
            | Code::Unknown => pushback(self),
            Code::Cancelled | Code::Ok => ErrorClass::Ignored,
            Code::DataLoss | Code::Unauthenticated | Code::Unimplemented => ErrorClass::Fatal,
            Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::NotFound
            | Code::OutOfRange
            | Code::PermissionDenied => ErrorClass::Permanent,
        }
    }
}

fn pushback(status: &Status) -> ErrorClass {
    match status.metadata().get(PUSHBACK).map(|value| value.to_str().ok().and_then(|text| text.parse().ok()))
    {
        None => ErrorClass::Transient,
        Some(Some(millis)) => ErrorClass::RetryAfter(Duration::from_millis(millis)),
        // Negative, or not a number: "do not retry".
        Some(None) => ErrorClass::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_judged_by_whose_doing_they_are() {
        for (code, class) in [
            (Code::Unavailable, ErrorClass::Transient),
            (Code::NotFound, ErrorClass::Permanent),
            (Code::Unauthenticated, ErrorClass::Fatal),
            (Code::Cancelled, ErrorClass::Ignored),
        ] {
            assert_eq!(Status::new(code, "").classify(), class, "{code:?}");
        }
    }

    #[test]
    fn a_server_can_push_back() {
        for (value, class) in [
            ("250", ErrorClass::RetryAfter(Duration::from_millis(250))),
            ("-1", ErrorClass::Fatal),
            ("soon", ErrorClass::Fatal),
        ] {
            let mut status = Status::unavailable("");
            status.metadata_mut().insert(PUSHBACK, value.parse().unwrap());
            assert_eq!(status.classify(), class, "{value}");
        }
    }
}
