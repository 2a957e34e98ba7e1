//! Errors of the HTTP client reqwest.

use super::{Classify, ErrorClass};

impl Classify for reqwest::Error {
    /// A request that could not be built, a redirect that leads nowhere and an answer that cannot be decoded are
    /// permanent; a status is judged as a status; what the network did may pass.
    ///
    /// The error carries no headers. To honour `Retry-After`, judge the response before `error_for_status`, with
    /// [`ErrorClass::of_response`].
    fn classify(&self) -> ErrorClass {
        match self.status() {
            Some(status) => status.classify(),
            None if self.is_builder() || self.is_redirect() || self.is_decode() => ErrorClass::Permanent,
            None => ErrorClass::of_chain(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_cannot_be_built_is_permanent() {
        let error = reqwest::Client::new().get("not a url").build().unwrap_err();
        assert_eq!(error.classify(), ErrorClass::Permanent);
    }

    /// Answers every request with a redirection to itself.
    async fn redirect_for_ever(listener: tokio::net::TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let mut request = [0; 1_024];
            while stream.try_read(&mut request).is_err() {
                stream.readable().await.unwrap();
            }
            let answer =
                "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.try_write(answer.as_bytes());
        }
    }

    #[tokio::test]
    async fn redirections_without_end_are_permanent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(redirect_for_ever(listener));
        let error = reqwest::get(format!("http://{address}")).await.unwrap_err();
        assert_eq!((error.is_redirect(), error.classify()), (true, ErrorClass::Permanent), "{error:?}");
        server.abort();
    }

    #[tokio::test]
    async fn a_refused_connection_may_pass() {
        // Bound and dropped: nobody listens there.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = reqwest::get(format!("http://{address}")).await.unwrap_err();
        assert_eq!(error.classify(), ErrorClass::Transient);
    }
}
