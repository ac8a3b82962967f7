//! The server's log: PostgreSQL's lines on standard error.
//!
//! A report is `<time> [<pid>] SEVERITY:  message` with DETAIL, HINT, CONTEXT and STATEMENT lines behind
//! it. Inside the engine and the workers messages arrive through `tracing`; [`Layer`] gives them the same
//! form. The pid is that of the backend that speaks, the process's own where none does.

use std::fmt::Write as _;
use std::io::Write as _;

use kokkiri_engine::clock::TimestampTz;
use kokkiri_engine::{Error, Severity};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Sends what `tracing` collects to standard error in PostgreSQL's form.
struct Layer;

#[derive(Default)]
struct Message {
    text: String,
    /// A severity that `tracing` has no level for.
    severity: Option<String>,
}

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "severity" => self.severity = Some(value.to_owned()),
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _infallible = write!(self.text, "{value:?}");
        }
    }
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for Layer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let severity = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "LOG",
            Level::DEBUG | Level::TRACE => return,
        };
        let mut message = Message::default();
        event.record(&mut message);
        let severity = message.severity.as_deref().unwrap_or(severity);
        write_lines(&format!("{}{severity}:  {}\n", prefix(), message.text));
    }

    fn enabled(&self, metadata: &tracing::Metadata<'_>, _context: Context<'_, S>) -> bool {
        metadata.target().starts_with("kokkiri") && *metadata.level() <= Level::INFO
    }
}

/// Installs the log for this process.
pub fn install() {
    tracing_subscriber::registry().with(Layer).init();
}

/// Logs a report with all its lines, and the statement that caused it.
pub fn report(error: &Error, statement: Option<&str>) {
    let fields = error.fields();
    let prefix = prefix();
    let severity = match fields.severity {
        Severity::Notice | Severity::Info => return,
        severity => severity.as_str(),
    };
    let mut text = format!("{prefix}{severity}:  {}", fields.message);
    if let Some(position) = fields.position {
        let _infallible = write!(text, " at character {}", position + 1);
    }
    text.push('\n');
    let lines = [
        ("DETAIL", fields.detail.as_deref()),
        ("HINT", fields.hint.as_deref()),
        ("CONTEXT", fields.context.as_deref()),
        ("STATEMENT", statement),
    ];
    for (label, line) in lines {
        if let Some(line) = line {
            let _infallible = writeln!(text, "{prefix}{label}:  {}", line.replace('\n', "\n\t"));
        }
    }
    write_lines(&text);
}

/// Says why the program ends.
pub fn fatal(error: &Error) {
    report(&error.clone().with_severity(Severity::Fatal.max(error.severity())), None);
}

/// `log_line_prefix`'s default, `%m [%p] `.
fn prefix() -> String {
    let pid =
        kokkiri_engine::activity::current().map_or_else(|| std::process::id() as i32, |backend| backend.pid);
    format!("{} [{pid}] ", kokkiri_engine::format_log_time(TimestampTz::now()))
}

fn write_lines(text: &str) {
    // Whoever reads the log may be gone; there is nobody left to tell.
    let _reader_gone = std::io::stderr().lock().write_all(text.as_bytes());
}
