//! The gateway itself as a process: started with a configuration file, watched, stopped, and
//! searched for secrets it let slip.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use super::blocking;
use super::caller::{Call, Reply};
use super::firemoon::{PROMPT, SHARED_KEY};
use super::installation::Installation;
use super::redis::wait_until;

/// A running `moongate serve`; it ends with the value.
///
/// When it ends, everything it wrote, and all its metrics, are searched for the shared key, the
/// teams' credentials, prompts and media addresses, and for signs of a panic.
pub struct Gateway {
    child: Child,
    team: String,
    operator: String,
    output: Arc<Mutex<String>>,
    listeners: Vec<JoinHandle<()>>,
    /// What must not be in the logs, beside what never may.
    forbidden: Vec<String>,
}

impl Gateway {
    /// Starts one and waits until it is ready.
    pub async fn serve(installation: &Installation) -> Self {
        let gateway = Self::start(installation).await;
        wait_until("the gateway is ready", || async { gateway.readiness().await.0 == 200 }).await;
        gateway
    }

    /// Starts one and waits until it listens.
    pub async fn start(installation: &Installation) -> Self {
        Self::start_with(Command::new(env!("CARGO_BIN_EXE_moongate")), installation).await
    }

    /// The same with a command that names the program in another way, or runs it as someone else.
    pub async fn start_with(mut command: Command, installation: &Installation) -> Self {
        let mut child = command
            .args(["serve", "--config"])
            .arg(installation.path())
            .env_remove("MOONGATE_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let listeners = vec![
            listen(child.stdout.take().unwrap(), Arc::clone(&output)),
            listen(child.stderr.take().unwrap(), Arc::clone(&output)),
        ];
        let forbidden = installation.credentials();
        let mut gateway = Self {
            child,
            team: String::new(),
            operator: String::new(),
            output,
            listeners,
            forbidden,
        };
        wait_until("the gateway listens", || async { gateway.line("listening").is_some() }).await;
        let line = gateway.line("listening").unwrap();
        gateway.team = line["team"].as_str().unwrap().to_owned();
        gateway.operator = line["operator"].as_str().unwrap().to_owned();
        gateway
    }

    /// Host and port of the team listener.
    pub fn team(&self) -> &str {
        &self.team
    }

    /// Host and port of the operator's listener.
    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// Sends a call to the team listener.
    pub async fn send(&self, call: &Call) -> Reply {
        call.send(&self.team).await
    }

    /// What the operator's listener answers.
    pub async fn ask(&self, path: &str) -> Reply {
        Call::get(path).send_uninspected(&self.operator).await
    }

    /// Forbids this text in the log and the metrics from now on.
    pub fn forbid(&mut self, secret: &str) {
        self.forbidden.push(secret.to_owned());
    }

    /// Status and body of `/readyz`.
    pub async fn readiness(&self) -> (u16, Value) {
        let reply = self.ask("/readyz").await;
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    /// The value of a series, named as it is written:
    /// `moongate_team_credits_total{team="design",model="flux/dev"}`. The order of labels does not
    /// matter.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let wanted = parts(series);
        let page = self.ask("/metrics").await;
        let mut lines = page.text().lines().filter(|line| !line.starts_with('#'));
        let found =
            lines.find_map(|line| line.rsplit_once(' ').filter(|(name, _)| parts(name) == wanted));
        found.map(|(_, value)| value.parse().unwrap())
    }

    /// Everything it has written to its standard output and error so far.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// The first line of the log with this message.
    pub fn line(&self, message: &str) -> Option<Value> {
        self.lines(message).into_iter().next()
    }

    /// All lines of the log with this message.
    pub fn lines(&self, message: &str) -> Vec<Value> {
        let output = self.output();
        let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["msg"] == message).collect()
    }

    /// The same, once there are so many. The log is written beside the answers, so a line may come
    /// after the answer it is about.
    pub async fn lines_written(&self, count: usize, message: &str) -> Vec<Value> {
        let written = || self.lines(message);
        wait_until("the lines are written", || async { written().len() >= count }).await;
        let lines = written();
        assert_eq!(lines.len(), count, "{message}: {lines:#?}");
        lines
    }

    /// The line with this message of which this is true, once it is written.
    pub async fn line_written(&self, message: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let found = || self.lines(message).into_iter().find(|line| is_it(line));
        wait_until("the line is written", || async { found().is_some() }).await;
        found().unwrap()
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: `-TERM`, `-HUP`.
    pub fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill")
                .arg(signal)
                .arg(self.child.id().to_string())
                .status()
                .unwrap()
                .success()
        );
    }

    /// Ends it at once, with no chance to tidy up.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = Mutex::new(&mut self.child);
        let ended = || child.lock().unwrap().try_wait().unwrap();
        wait_until("the gateway ends", || async { ended().is_some() }).await;
        ended().unwrap()
    }

    /// Tells it to stop and waits for its end.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.ended().await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let runs = self.child.try_wait().is_ok_and(|ended| ended.is_none());
        let metrics = if runs { blocking::get(&self.operator, "/metrics") } else { String::new() };
        self.kill();
        for listener in self.listeners.drain(..) {
            let _ = listener.join();
        }
        if std::thread::panicking() {
            eprintln!("the gateway wrote:\n{}", self.output());
            return;
        }
        // Every token begins with the first letters of its header.
        let never = [SHARED_KEY, PROMPT, "eyJ", "panicked", "_simulator"].into_iter();
        for secret in never.chain(self.forbidden.iter().map(String::as_str)) {
            assert!(!metrics.contains(secret), "{secret} is in the metrics:\n{metrics}");
            let output = self.output();
            let line = output.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{secret} is in the log: {line:?}");
        }
    }
}

/// Keeps what the process says, as it says it.
fn listen(stream: impl Read + Send + 'static, output: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    })
}

/// The name of a series and its labels in order.
fn parts(series: &str) -> (String, Vec<String>) {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let mut labels: Vec<String> = labels
        .trim_end_matches('}')
        .split("\",")
        .map(|label| label.trim_matches('"').to_owned())
        .collect();
    labels.sort();
    (name.to_owned(), labels)
}
