//! A server of one's own that speaks S3: `moto_server`, from PyPI, on a free port of loopback.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server that can be killed and started again; it forgets everything then. It goes when this is dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    process: Option<Child>,
}

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

impl Server {
    /// Starts it. The program is `moto_server`, or what the environment variable `MOTO_SERVER` names.
    ///
    /// # Errors
    ///
    /// If it is not installed, or does not start within a minute.
    pub async fn start() -> io::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut server = Self { port, process: None };
        server.restart().await?;
        Ok(server)
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it again, and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// If it does not within a minute.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        let program = std::env::var_os("MOTO_SERVER").unwrap_or_else(|| "moto_server".into());
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &self.port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.process = Some(process);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other("the server does not start"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Kills it.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.kill();
    }
}
