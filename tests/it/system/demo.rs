//! The demo: the commands that it prints work, and its traffic keeps both teams busy.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::caller::Call;
use crate::support::redis::wait_until;

/// A demo on free ports; it ends with the value.
struct Demo {
    process: Child,
    /// What it printed first.
    printed: String,
    /// What it logs since.
    logged: Arc<Mutex<Vec<String>>>,
}

impl Demo {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_moongate"))
            .args(["demo", "--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"])
            .arg("--traffic")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        for line in lines.by_ref().map(Result::unwrap) {
            printed.push_str(&line);
            printed.push('\n');
            if line == "Ctrl-C ends it." {
                break;
            }
        }
        let logged = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&logged);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line));
        });
        Self { process, printed, logged }
    }

    /// The line that contains this.
    fn line(&self, text: &str) -> &str {
        self.printed.lines().find(|line| line.contains(text)).expect(text)
    }

    /// What a line of the shell prints, typed after the one that sets the environment.
    fn typed(&self, line: &str) -> String {
        let script = format!("{}\n{line}", self.line("export "));
        let done = Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demos_commands_and_links_work_as_printed() {
    let demo = Demo::start();
    let picture: Value = serde_json::from_str(&demo.typed(demo.line("curl -s "))).unwrap();
    assert!(picture.to_string().contains("http://127.0.0.1:"), "{picture}");
    assert!(demo.typed(demo.line(" usage")).contains("design"));
    assert!(demo.typed(demo.line(" teams list")).contains("growth"));
    assert!(demo.typed(demo.line(" keys create")).contains("shown this once: mgk_"));

    let (_, link) = demo.line("the team's page").split_once("http://").unwrap();
    let (page, key) = link.split_once("/#credential=").unwrap();
    let signed_in = Call::get("/gateway/v1/me").with(key).send_uninspected(page).await;
    assert_eq!(signed_in.json()["team"], "design");
    assert_eq!(Call::get("/").send_uninspected(page).await.status, 200);

    let (_, link) = demo.line("the console").split_once("http://").unwrap();
    let (console, token) = link.split_once("/console#token=").unwrap();
    let who = Call::get("/admin/v1/whoami").with(token).send_uninspected(console).await;
    assert_eq!((who.status, &who.json()["role"]), (200, &"write".into()));
    assert_eq!(Call::get("/console").send_uninspected(console).await.status, 200);

    let by_team = format!("{} --by team --json", demo.line(" usage"));
    wait_until("both teams are busy", || async {
        let report: Value = serde_json::from_str(&demo.typed(&by_team)).unwrap();
        report["rows"].as_array().is_some_and(|rows| rows.len() == 2)
    })
    .await;
    let logged = demo.logged.lock().unwrap().join("\n");
    assert!(logged.contains("\"ready\""), "{logged}");
    for noise in ["/api/v1/{model}", "\"warn\""] {
        assert!(!logged.contains(noise), "{noise}: {logged}");
    }
}
