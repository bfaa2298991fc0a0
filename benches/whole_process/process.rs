//! Processes of the run: found, pinned to a core, told apart by name, and gone when their handle
//! is.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::outcome::Outcome;

/// The core of the proxy under test.
pub const PROXY_CORE: usize = 0;
/// The core of everything else: load, upstream, Redis.
pub const LOAD_CORE: usize = 1;

/// nginx's module for Lua, and where Debian puts it.
pub const NGINX_LUA: &str = "ngx_http_lua_module.so";
pub const NGINX_MODULES: &str = "/usr/lib/nginx/modules";

/// A program that is missing, and the Debian package that has it.
const PACKAGES: [(&str, &str); 7] = [
    ("nginx", "nginx"),
    (NGINX_LUA, "libnginx-mod-http-lua"),
    ("haproxy", "haproxy"),
    ("redis-server", "redis-server"),
    ("taskset", "util-linux"),
    ("setpriv", "util-linux"),
    ("prlimit", "util-linux"),
];

/// Where a program is. Servers are often not in the path of people who are not root.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin", NGINX_MODULES].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Says how to install what is missing.
///
/// # Errors
/// Something is missing.
pub fn require(programs: &[&str]) -> Outcome<()> {
    let missing: Vec<&str> =
        programs.iter().copied().filter(|program| find(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = PACKAGES
        .iter()
        .filter(|(program, _)| missing.contains(program))
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    Err(format!(
        "missing: {}. Install with: apt-get install {}",
        missing.join(", "),
        packages.join(" ")
    )
    .into())
}

/// A running process, its children included; it is stopped when this is dropped.
pub struct Process {
    child: Child,
    name: String,
    complaints: PathBuf,
    gently: bool,
}

impl Process {
    /// Starts a program on a core. Its errors go to a file in the folder; its output is thrown
    /// away.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(program: &str, arguments: &[&str], core: usize, folder: &Path) -> Outcome<Self> {
        let file = find(program).ok_or_else(|| format!("{program} is missing"))?;
        Self::start_file(&file, arguments, core, folder, Stdio::null())
    }

    /// Starts this binary in another role on a core, and waits for the port that it says it listens
    /// on.
    ///
    /// # Errors
    /// It cannot be started, or says nothing.
    pub fn start_role(arguments: &[&str], core: usize, folder: &Path) -> Outcome<(Self, u16)> {
        let file = std::env::current_exe()?;
        let mut process = Self::start_file(&file, arguments, core, folder, Stdio::piped())?;
        let output = process.child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let port = line.trim().parse().map_err(|_| process.complaint())?;
        Ok((process, port))
    }

    /// Starts a file as [`Process::start`] does, with another place for its output.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_file(
        file: &Path,
        arguments: &[&str],
        core: usize,
        folder: &Path,
        output: Stdio,
    ) -> Outcome<Self> {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let complaints = folder.join(format!("{name}-{core}.err"));
        // The chain of programs is one process: each replaces itself by the next. It ends when the
        // benchmark does, however.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "taskset", "-c", &core.to_string()])
            .arg(file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(File::create(&complaints)?)
            .spawn()?;
        let gently = name == "nginx";
        Ok(Self { child, name, complaints, gently })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended.
    ///
    /// # Errors
    /// It has ended.
    pub fn is_alive(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(format!("{} ended ({status}). {}", self.name, self.complaint()).into())
            }
        }
    }

    /// The end of what it complained about.
    pub fn complaint(&self) -> String {
        let text = fs::read(&self.complaints).unwrap_or_default();
        let tail = &text[text.len().saturating_sub(2000)..];
        format!("{} said: {}", self.name, String::from_utf8_lossy(tail).trim())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx has a worker of its own that only its master can end.
        if self.gently {
            Command::new("kill").args(["-TERM", &self.id().to_string()]).status().ok();
            let deadline = Instant::now() + Duration::from_secs(2);
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Ports that are free now, below those that the kernel gives to callers, so that none is taken
/// meanwhile.
pub struct Ports(std::ops::Range<u16>);

impl Ports {
    /// Begins anywhere, so that two runs at a time seldom look at the same ports.
    pub fn new() -> Self {
        let offset = u16::try_from(std::process::id() % 4000).unwrap_or(0);
        Self(4000 + offset..10240)
    }

    /// The next free one.
    ///
    /// # Errors
    /// There is none.
    pub fn next(&mut self) -> Outcome<SocketAddr> {
        let free = self.0.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
        Ok((Ipv4Addr::LOCALHOST, free.ok_or("no free port below 10240")?).into())
    }
}

/// Pins this process to the core of the load, and lets it and its children open as many files as
/// the machine allows.
///
/// # Errors
/// The machine has not two cores.
pub fn settle_down() -> Outcome<()> {
    let me = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["-acp", &LOAD_CORE.to_string(), &me])
        .stdout(Stdio::null())
        .status()?;
    if !pinned.success() {
        return Err(
            "this benchmark needs two cores: one for the proxy, one for everything else".into()
        );
    }
    let most = open_files_max()?.1;
    let argument = format!("--nofile={most}:{most}");
    Command::new("prlimit").args(["--pid", &me, &argument]).status()?;
    Ok(())
}

/// How many files may be open: now, and at most.
///
/// # Errors
/// /proc cannot be read.
pub fn open_files_max() -> Outcome<(usize, usize)> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(usize::MAX));
    Ok((numbers.next().unwrap_or(1024), numbers.next().unwrap_or(1024)))
}
