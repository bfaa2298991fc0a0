//! Everything the gateway says beside its access lines: one stream with them, in one form, a JSON object a line.
//!
//! Both go to standard output: a container's log is then one sequence of whole lines, each with `ts`, `level` and
//! `msg`, and the access lines are those with `"msg":"request"`. `MOONGATE_LOG` sets what is said, in the form
//! `info,moongate::ledger=debug`; standard error is for the command line.

use std::fmt::{self, Debug};
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{EnvFilter, Layer};

use super::json_line::JsonLine;
use super::sink::Sink;
use crate::answer::panicked::message;
use crate::clock::Clock;
use crate::printable::Printable;

/// The environment variable that sets what is said.
pub const FILTER_VARIABLE: &str = "MOONGATE_LOG";

/// What is said when nothing else is asked for: libraries speak up only when something is wrong.
const FILTER: &str = "info,h2=warn,hyper=warn,hyper_util=warn,rustls=warn,redis=warn,tower=warn,tower_http=warn";

/// What is said only when it is asked for by name: the library of HTTP/2 warns of every answer to a ping that nobody
/// sent, so that any caller could fill the log. It is harmless, and such a connection is bounded like every other.
const QUIET: &str = "h2::proto::ping_pong=error";

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object.
    Json,
    /// Text for people.
    Text,
}

impl Form {
    /// Text where standard output is a terminal, JSON elsewhere.
    #[must_use]
    pub fn for_standard_output() -> Self {
        if io::stdout().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// The logs cannot be set up as asked.
#[derive(Debug, thiserror::Error)]
pub enum Unloggable {
    /// The environment variable does not say what is to be said.
    #[error("{FILTER_VARIABLE} cannot be read: {0}")]
    Filter(String),
    /// Something else in this process receives them already.
    #[error("logs are set up already")]
    Twice,
}

/// Sends all logs of this process, panics included, to the sink. `filter` is the value of [`FILTER_VARIABLE`], if set.
///
/// # Errors
/// The filter is malformed, or this was done before.
pub fn install(sink: Sink, form: Form, clock: Clock, filter: Option<&str>) -> Result<(), Unloggable> {
    let subscriber = subscriber(sink, form, clock, filter)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Unloggable::Twice)?;
    std::panic::set_hook(Box::new(panicked));
    Ok(())
}

/// What [`install`] installs.
///
/// # Errors
/// The filter is malformed.
pub fn subscriber(
    sink: Sink,
    form: Form,
    clock: Clock,
    filter: Option<&str>,
) -> Result<impl Subscriber + Send + Sync, Unloggable> {
    // What comes later counts, where both name the same.
    let asked = filter.filter(|filter| !filter.trim().is_empty());
    let filter = format!("{QUIET},{}", asked.unwrap_or(FILTER));
    let filter = EnvFilter::builder().parse(filter).map_err(|error| Unloggable::Filter(error.to_string()))?;
    let (json, text) = match form {
        Form::Json => (Some(JsonEvents { sink, clock }), None),
        Form::Text => {
            let fields = debug_fn(plain_field).delimited(" ");
            let text = tracing_subscriber::fmt::layer().fmt_fields(fields).with_ansi(is_coloured());
            let text = text.with_writer(move || sink.clone());
            (None, Some(text))
        }
    };
    Ok(tracing_subscriber::registry().with(filter).with(json).with(text))
}

/// A field of the text for people, or the message: what a terminal would obey, and what turns the order of reading
/// around in a name, is written out.
fn plain_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let text = format!("{value:?}");
    if field.name() == MESSAGE {
        write!(writer, "{}", Printable::whole(&text))
    } else {
        write!(writer, "{field}={}", Printable::whole(&text))
    }
}

/// Colours are for terminals, and for those who did not say no (`NO_COLOR`).
fn is_coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Where a panic happened, for the log: the text of one that a request caused is logged with the request's id as well.
fn panicked(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    tracing::error!(panic = message(panic.payload()), location, thread, "a panic");
}

/// Writes each event as one line, its fields beside `ts`, `level` and `msg`.
#[derive(Debug)]
struct JsonEvents {
    sink: Sink,
    clock: Clock,
}

impl<S: Subscriber> Layer<S> for JsonEvents {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let metadata = event.metadata();
        let level = metadata.level().as_str().to_ascii_lowercase();
        let mut line = JsonLine::new(self.clock.now(), &level, &message.0);
        line.text("target", metadata.target());
        event.record(&mut Members(&mut line));
        self.sink.append(&line.end());
    }
}

const MESSAGE: &str = "message";

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == MESSAGE {
            self.0 = format!("{value:?}");
        }
    }
}

/// Every field but the message. The line's own members cannot be said twice.
struct Members<'a>(&'a mut JsonLine);

impl Members<'_> {
    fn is_ours(field: &Field) -> bool {
        [MESSAGE, "ts", "level", "msg", "target"].contains(&field.name())
    }
}

impl Visit for Members<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !Self::is_ours(field) {
            self.0.text(field.name(), &format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if !Self::is_ours(field) {
            self.0.text(field.name(), value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if !Self::is_ours(field) {
            self.0.plain(field.name(), value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !Self::is_ours(field) {
            self.0.plain(field.name(), value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if !Self::is_ours(field) {
            self.0.plain(field.name(), value);
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::printable;
    use crate::telemetry::metrics::series::Counter;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("unpoisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(form: Form, filter: Option<&str>, speak: impl FnOnce()) -> String {
        let output = Output::default();
        let (sink, flush) = Sink::start(output.clone(), Counter::default()).expect("a thread");
        let clock = Clock::moved("2026-11-22T14:26:08.5Z".parse().expect("a time"));
        let subscriber = subscriber(sink, form, clock, filter).expect("a good filter");
        tracing::subscriber::with_default(subscriber, speak);
        drop(flush);
        let bytes = output.0.lock().expect("unpoisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn an_event_is_one_json_object_with_its_fields() {
        let text = said(Form::Json, None, || {
            tracing::warn!(tries = 3, up = false, why = "a\nb", error = %"gone", ts = "mine", "the ledger {}", "is away");
            tracing::debug!("not said");
            tracing::info!(target: "hyper::proto", "not said either");
        });
        assert_eq!(
            text,
            "{\"ts\":\"2026-11-22T14:26:08.500Z\",\"level\":\"warn\",\"msg\":\"the ledger is away\",\
             \"target\":\"moongate::telemetry::logs::tests\",\"tries\":3,\"up\":false,\"why\":\"a\\nb\",\"error\":\"gone\"}\n"
        );
    }

    #[test]
    fn a_name_in_a_field_turns_nothing_around_and_moves_no_cursor() {
        for form in [Form::Json, Form::Text] {
            let name = "ann\u{202e}nimda\u{1b}[2J\u{9b}";
            let text = said(form, None, || tracing::warn!(user = name, shown = %name, "looked at {name}"));
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(text.trim_end().chars().all(printable::is_plain), "{text:?}");
        }
    }

    #[test]
    fn what_is_said_can_be_widened() {
        let text = said(Form::Text, Some("moongate=debug"), || tracing::debug!(tries = 3, "looked"));
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.contains("looked") && text.contains("tries"), "{text}");
    }

    #[test]
    fn answers_to_pings_that_nobody_sent_fill_no_log_unless_they_are_asked_for() {
        let warn = || tracing::warn!(target: "h2::proto::ping_pong", "recv PING ack that we never sent");
        for filter in [None, Some(""), Some("debug"), Some("info,h2=debug")] {
            assert_eq!(said(Form::Json, filter, warn), "", "{filter:?}");
            let other = said(Form::Json, filter, || tracing::warn!(target: "h2::proto::streams", "something else"));
            assert_eq!(other.matches('\n').count(), 1, "{filter:?}");
        }
        assert_ne!(said(Form::Json, Some("h2::proto::ping_pong=warn"), warn), "");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        let (sink, _flush) = Sink::start(io::sink(), Counter::default()).expect("a thread");
        let error = subscriber(sink, Form::Json, Clock::system(), Some("moongate=louder")).err().expect("an error");
        assert!(error.to_string().starts_with("MOONGATE_LOG cannot be read"), "{error}");
    }
}
