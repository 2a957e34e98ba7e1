//! HTTP: statuses, and what a response says about coming back.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};

use super::{Classify, ErrorClass};

impl Classify for StatusCode {
    /// 408, 425, 429 and all 5xx but 501 and 505 may pass; other 4xx are the caller's doing.
    fn classify(&self) -> ErrorClass {
        match self.as_u16() {
            408 | 425 | 429 => ErrorClass::Transient,
            400..=499 | 501 | 505 => ErrorClass::Permanent,
            500..=599 => ErrorClass::Transient,
            _ => ErrorClass::Ignored,
        }
    }
}

impl ErrorClass {
    /// The class of an HTTP answer: that of its status, or, where the status may pass and the answer has a
    /// `Retry-After` header (RFC 9110, section 10.2.3; seconds or a date), not before that time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
    /// use resilience_runtime::ErrorClass;
    ///
    /// let mut headers = HeaderMap::new();
    /// headers.insert(RETRY_AFTER, "2".parse().unwrap());
    /// let class = ErrorClass::of_response(StatusCode::TOO_MANY_REQUESTS, &headers);
    /// assert_eq!(class, ErrorClass::RetryAfter(Duration::from_secs(2)));
    /// assert_eq!(ErrorClass::of_response(StatusCode::NOT_FOUND, &headers), ErrorClass::Permanent);
    /// ```
    #[must_use]
    pub fn of_response(status: StatusCode, headers: &HeaderMap) -> Self {
        match status.classify() {
            Self::Transient => {
                retry_after(headers, SystemTime::now()).map_or(Self::Transient, Self::RetryAfter)
            }
            class => class,
        }
    }
}

fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // The header sets no limit: more seconds than fit are for ever.
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    // A date that has passed asks for no wait.
    Some(httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_judged_by_whose_doing_they_are() {
        for (status, class) in [
            (400, ErrorClass::Permanent),
            (404, ErrorClass::Permanent),
            (408, ErrorClass::Transient),
            (429, ErrorClass::Transient),
            (500, ErrorClass::Transient),
            (501, ErrorClass::Permanent),
            (503, ErrorClass::Transient),
            (204, ErrorClass::Ignored),
        ] {
            assert_eq!(StatusCode::from_u16(status).unwrap().classify(), class, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (value, wait) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("+1", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), wait.map(Duration::from_secs), "{value}");
        }
        for endless in ["18446744073709551616", "99999999999999999999"] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, endless.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), Some(Duration::MAX), "{endless}");
        }
    }
}
