//! A simulated Firemoon in a process of its own, with the one shared key. It shows the calls it
//! got, and fails on command.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::blocking;
use super::caller::{Call, generate};
use super::redis::wait_until;
pub use super::shared_key::SHARED_KEY;

/// The flags it is started with unless a test says otherwise.
const DEFAULTS: [(&str, &str); 5] = [
    ("--requests-per-minute", "0"),
    ("--requests-per-day", "0"),
    ("--requests-per-month", "0"),
    ("--balance", "1000"),
    ("--latency", "0ms"),
];

/// A running `moongate simulate`; it ends with the value.
pub struct Firemoon {
    child: Child,
    address: String,
    media: String,
}

impl Firemoon {
    /// Starts one that answers at once, without limits of its own, with 1,000 credits.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with other flags.
    pub fn start_with(flags: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", flags)
    }

    /// Starts one at an address.
    pub fn start_at(address: &str, flags: &[&str]) -> Self {
        let key = format!("shared={SHARED_KEY}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_moongate"))
            .args([
                "simulate",
                "--address",
                address,
                "--media-address",
                "127.0.0.1:0",
                "--key",
                &key,
            ])
            .args(
                DEFAULTS
                    .iter()
                    .filter(|(flag, _)| !flags.contains(flag))
                    .flat_map(|(flag, value)| [flag, value]),
            )
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line =
            |start: &str| lines.next().unwrap().unwrap().strip_prefix(start).unwrap().to_owned();
        let (api, media) = (line("Firemoon simulator: http://"), line("Media: "));
        Self { child, address: api.strip_suffix("/api").unwrap().to_owned(), media }
    }

    /// Host and port of its API.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The base URL of its API, as a gateway is configured with it.
    pub fn base_url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// Where its pictures are.
    pub fn media(&self) -> &str {
        &self.media
    }

    /// What it has seen and done.
    pub async fn books(&self) -> Value {
        Call::get("/_simulator/books").send_uninspected(&self.address).await.json()
    }

    /// The sums of the call log.
    pub async fn sums(&self) -> Value {
        Call::get("/_simulator/books?calls=0").send_uninspected(&self.address).await.json()
    }

    /// What it saw of one request.
    pub async fn calls_of(&self, request_id: &str) -> Vec<Value> {
        let path = format!("/_simulator/books?x_request_id={request_id}");
        let books = Call::get(&path).send_uninspected(&self.address).await.json();
        books["calls"].as_array().unwrap().clone()
    }

    /// How many calls it got.
    pub async fn requests(&self) -> u64 {
        self.sums().await["requests"].as_u64().unwrap()
    }

    /// How many generations it made.
    pub async fn executed(&self) -> u64 {
        self.sums().await["executed"].as_u64().unwrap()
    }

    /// What it charged the shared account, in credits as text.
    pub async fn charged(&self) -> String {
        self.sums().await["charged"].to_string().trim_matches('"').to_owned()
    }

    /// Sets the faults that calls meet from now on, in this order.
    pub async fn faults(&self, rules: &Value) {
        let answer =
            Call::put("/_simulator/faults").json(rules).send_uninspected(&self.address).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Changes what the shared key may do: its limits, its balance, whether it is known at all.
    pub async fn change_key(&self, change: &Value) {
        let answer =
            Call::put("/_simulator/keys/shared").json(change).send_uninspected(&self.address).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Every call waits until [`Self::release`].
    pub async fn hold(&self) {
        self.faults(&serde_json::json!([{ "fault": "hold" }])).await;
    }

    /// Lets the calls go that wait, and no call waits any more.
    pub async fn release(&self) {
        self.faults(&serde_json::json!([])).await;
        assert_eq!(
            Call::post("/_simulator/release").send_uninspected(&self.address).await.status,
            200
        );
    }

    /// Waits until so many calls are held.
    pub async fn until_held(&self, calls: u64) {
        wait_until("calls are held at the upstream", || async {
            self.sums().await["held"] == calls
        })
        .await;
    }

    /// Ends it at once; its port refuses connections from now on.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Firemoon {
    fn drop(&mut self) {
        let runs = self.child.try_wait().is_ok_and(|ended| ended.is_none());
        let books = if runs {
            blocking::get(&self.address, "/_simulator/books?calls=0")
        } else {
            String::new()
        };
        self.kill();
        if !std::thread::panicking() && runs {
            // No credential but the shared key may arrive: a team's own never leaves the gateway.
            assert!(books.contains("\"unknown_credentials\":0,"), "{books}");
        }
    }
}

/// A picture, as every test asks for it; the prompt must never be written down.
pub fn picture() -> Call {
    generate("flux/dev", &serde_json::json!({ "prompt": PROMPT }))
}

/// A call for this many pictures.
pub fn pictures(count: u64) -> Call {
    generate("flux/dev", &serde_json::json!({ "prompt": PROMPT, "num_images": count }))
}

/// What tests ask to be drawn.
pub const PROMPT: &str = "a lighthouse in fog, oil on canvas, 7c1e";
