//! A PostgreSQL of one's own: a private directory, a free port of loopback, processes that are known by their ids.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio_postgres::{Config, NoTls};

/// A server that can be killed, frozen and started again. It and its directory go when this is dropped.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    /// PostgreSQL refuses to run as root; then it runs as the user that Debian's package makes.
    user: Option<(u32, u32)>,
    process: Option<Child>,
}

/// How long starting and stopping may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Server {
    /// Makes a database in a fresh directory and starts it.
    ///
    /// # Errors
    ///
    /// If PostgreSQL is not installed, or does not start within a minute.
    pub async fn start() -> io::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let directory =
            std::env::temp_dir().join(format!("resilience-postgres-{}-{port}", std::process::id()));
        fs::create_dir(&directory)?;
        let user = postgres_user(&directory)?;
        let mut server = Self { programs: programs()?, directory, port, user, process: None };
        if let Some((uid, gid)) = user {
            chown(&server.directory, Some(uid), Some(gid))?;
        }
        let made = server
            .command("initdb")
            .args(["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "--pgdata"])
            .arg(server.data())
            .stdout(Stdio::null())
            .status()?;
        if !made.success() {
            return Err(io::Error::other("initdb failed"));
        }
        server.restart().await?;
        Ok(server)
    }

    /// How to connect to it.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user("postgres").dbname("postgres");
        config
    }

    /// Starts it, if it does not run, and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// If it does not within a minute.
    pub async fn restart(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let running = match &mut self.process {
                Some(process) => process.try_wait()?.is_none(),
                None => false,
            };
            // A server that was killed leaves shared memory behind until its last child is gone.
            if !running {
                self.process = Some(self.launch()?);
            }
            if self.config().connect(NoTls).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other("the server does not start"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills it and all of its sessions at once, as a machine that loses its power would.
    ///
    /// # Errors
    ///
    /// If `kill` cannot be run.
    pub fn kill(&mut self) -> io::Result<()> {
        self.signal("KILL")?;
        if let Some(mut process) = self.process.take() {
            process.wait()?;
        }
        Ok(())
    }

    /// Ends all sessions, and then the server itself, in good order.
    ///
    /// # Errors
    ///
    /// If `kill` cannot be run.
    pub fn stop(&mut self) -> io::Result<()> {
        if let Some(mut process) = self.process.take() {
            signal("INT", [process.id()])?;
            process.wait()?;
        }
        Ok(())
    }

    /// Stops its processes where they are: the sockets stay open and nobody answers.
    ///
    /// # Errors
    ///
    /// If `kill` cannot be run.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal("STOP")
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    ///
    /// If `kill` cannot be run.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> io::Result<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let id = process.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        signal(name, [id].into_iter().chain(children.split_whitespace().filter_map(|id| id.parse().ok())))
    }

    fn launch(&self) -> io::Result<Child> {
        let log = fs::File::create(self.directory.join("log"))?;
        self.command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-k", ""])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=40"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.directory).stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn signal(name: &str, ids: impl IntoIterator<Item = u32>) -> io::Result<()> {
    // A session that has ended by itself is no mistake.
    Command::new("kill")
        .arg(format!("-{name}"))
        .args(ids.into_iter().map(|id| id.to_string()))
        .stderr(Stdio::null())
        .status()
        .map(drop)
}

/// Where Debian puts the server's programs; they are not on the path.
fn programs() -> io::Result<PathBuf> {
    let mut versions: Vec<_> =
        fs::read_dir("/usr/lib/postgresql")?.flatten().map(|entry| entry.path()).collect();
    versions.sort();
    versions.pop().map(|version| version.join("bin")).ok_or_else(|| io::Error::other("no PostgreSQL here"))
}

/// The user and group to run as, if this process is root's.
fn postgres_user(mine: &Path) -> io::Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata(mine)?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.map(Some).ok_or_else(|| io::Error::other("there is no user `postgres`"))
}
