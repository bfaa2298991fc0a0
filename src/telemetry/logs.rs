//! Logs other than the access log: one stream together with it, in the same format.
//!
//! Both go to standard output, so that a container's log is one sequence of whole lines, each with
//! `ts`, `level` and `msg`; access lines have `"msg":"request"`. `MOONGATE_LOG` sets the filter,
//! such as `info,moongate::ledger=debug`. Standard error is for the command line.

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

/// Environment variable of the log filter.
pub const FILTER_VARIABLE: &str = "MOONGATE_LOG";

/// Default filter: libraries log only problems.
const FILTER: &str =
    "info,h2=warn,hyper=warn,hyper_util=warn,rustls=warn,redis=warn,tower=warn,tower_http=warn";

/// Filter of a warning that the HTTP/2 library logs for every unsolicited ping answer, so that any
/// caller could fill the log. The warning is shown only if it is enabled by name. It is harmless,
/// and such a connection is bounded like any other.
const QUIET: &str = "h2::proto::ping_pong=error";

/// Format of a line.
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

/// Why logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Unloggable {
    /// The filter in the environment variable is malformed.
    #[error("{FILTER_VARIABLE} cannot be read: {0}")]
    Filter(String),
    /// Another subscriber is installed already.
    #[error("logs are set up already")]
    Twice,
}

/// Sends all logs of this process, panics included, to the sink. `filter` is the value of
/// [`FILTER_VARIABLE`].
///
/// # Errors
/// The filter is malformed, or logs were set up before.
pub fn install(
    sink: Sink,
    form: Form,
    clock: Clock,
    filter: Option<&str>,
) -> Result<(), Unloggable> {
    let subscriber = subscriber(sink, form, clock, filter)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Unloggable::Twice)?;
    std::panic::set_hook(Box::new(panicked));
    Ok(())
}

/// The subscriber that [`install`] installs.
///
/// # Errors
/// The filter is malformed.
pub fn subscriber(
    sink: Sink,
    form: Form,
    clock: Clock,
    filter: Option<&str>,
) -> Result<impl Subscriber + Send + Sync, Unloggable> {
    // Later directives override earlier ones.
    let given = filter.filter(|filter| !filter.trim().is_empty());
    let filter = format!("{QUIET},{}", given.unwrap_or(FILTER));
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|error| Unloggable::Filter(error.to_string()))?;
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

/// Writes a field or the message as text for people, with unsafe characters escaped.
fn plain_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let text = format!("{value:?}");
    if field.name() == MESSAGE {
        write!(writer, "{}", Printable::whole(&text))
    } else {
        write!(writer, "{field}={}", Printable::whole(&text))
    }
}

/// Whether to use colours: on a terminal, unless `NO_COLOR` is set.
fn is_coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Logs where a panic happened. The message of a request's panic is also logged with the request's
/// id.
fn panicked(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    tracing::error!(panic = message(panic.payload()), location, thread, "a panic");
}

/// Writes each event as one JSON line with `ts`, `level`, `msg` and its fields.
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

/// Adds all fields but the message. Skips names that the line has already.
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

    fn logged(form: Form, filter: Option<&str>, speak: impl FnOnce()) -> String {
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
        let text = logged(Form::Json, None, || {
            tracing::warn!(
                tries = 3,
                up = false,
                why = "a\nb",
                error = %"gone",
                ts = "mine",
                "the ledger {}",
                "is away"
            );
            tracing::debug!("not said");
            tracing::info!(target: "hyper::proto", "not said either");
        });
        assert_eq!(
            text,
            "{\"ts\":\"2026-11-22T14:26:08.500Z\",\"level\":\"warn\",\
             \"msg\":\"the ledger is away\",\"target\":\"moongate::telemetry::logs::tests\",\
             \"tries\":3,\"up\":false,\"why\":\"a\\nb\",\"error\":\"gone\"}\n"
        );
    }

    #[test]
    fn a_name_in_a_field_cannot_disturb_the_terminal() {
        for form in [Form::Json, Form::Text] {
            let name = "ann\u{202e}nimda\u{1b}[2J\u{9b}";
            let text = logged(
                form,
                None,
                || tracing::warn!(user = name, shown = %name, "looked at {name}"),
            );
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(text.trim_end().chars().all(printable::is_plain), "{text:?}");
        }
    }

    #[test]
    fn what_is_said_can_be_widened() {
        let text =
            logged(Form::Text, Some("moongate=debug"), || tracing::debug!(tries = 3, "looked"));
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.contains("looked") && text.contains("tries"), "{text}");
    }

    /// Enabled by name, they are logged.
    #[test]
    fn unsolicited_ping_answers_do_not_fill_the_log() {
        let warn =
            || tracing::warn!(target: "h2::proto::ping_pong", "recv PING ack that we never sent");
        for filter in [None, Some(""), Some("debug"), Some("info,h2=debug")] {
            assert_eq!(logged(Form::Json, filter, warn), "", "{filter:?}");
            let other = logged(
                Form::Json,
                filter,
                || tracing::warn!(target: "h2::proto::streams", "something else"),
            );
            assert_eq!(other.matches('\n').count(), 1, "{filter:?}");
        }
        assert_ne!(logged(Form::Json, Some("h2::proto::ping_pong=warn"), warn), "");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        let (sink, _flush) = Sink::start(io::sink(), Counter::default()).expect("a thread");
        let error = subscriber(sink, Form::Json, Clock::system(), Some("moongate=louder"))
            .err()
            .expect("an error");
        assert!(error.to_string().starts_with("MOONGATE_LOG cannot be read"), "{error}");
    }
}
