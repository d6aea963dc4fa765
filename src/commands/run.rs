//! The story of a run: plan → server → engine → summary → verdict → report. Each step is one named call.

use super::{output, results};
use crate::cli::args::{ServeArgs, SuperviseArgs};
use crate::cli::environment::Environment;
use crate::document::{ClientVerdict, Conclusion, Document};
use crate::exit::ExitClass;
use crate::host::limits;
use crate::live::{Mode, Progress};
use crate::metrics::hints;
use crate::plan::{Output, Presentation, Resolved};
use crate::report::terminal::{self, Style};
use crate::server::{self, Order, Settings};
use crate::trial::error::CliError;
use crate::trial::measure::{self, Measured};
use crate::trial::subject::Subject;
use crate::trial::{check, debug, facts, signals, start};
use crate::units::Nanos;
use std::io::{self, IsTerminal, Write};

/// How often a log gets a line of progress.
const LINE_EVERY: Nanos = Nanos::from_secs(5);
/// Columns where there is no terminal to ask.
const USUAL_WIDTH: u16 = 80;

/// Runs a test and says how it ended.
pub(super) fn run(
    resolved: &Resolved,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitClass, CliError> {
    let mut plan = resolved.plan.clone();
    let presentation = &resolved.presentation;
    output::check(presentation.output.as_ref())?;
    output::check(presentation.junit.clone().map(Output::File).as_ref())?;
    let nofile = limits::raise_nofile(u64::from(plan.peak_users()) + limits::BESIDE_CONNECTIONS)?;
    let stop = signals::watch()?;
    let progress = Progress::start(progress_mode(presentation));

    let mut subject = Subject::find_or_start(&mut plan, &mut |line| progress.message(line), &stop)?;
    if !plan.endpoints.is_empty() {
        progress.message(&format!("asking {} endpoints once", plan.endpoints.len()));
    }
    let endpoints = check::endpoints(&mut plan, &subject, &stop)?;
    debug::show_answers(&plan, presentation.debug_response, err)?;
    start::wait(plan.start_at, &progress, &stop)?;
    subject.begin(&plan);
    let started_at = facts::wall_clock();
    let measured = measure::measure(&plan, &mut subject, &stop, &progress)?;
    let left = subject.leave(&plan);
    progress.finish();

    let Measured { run, summary, outside, soak, verdicts, aborted_by } = measured;
    let signals = facts::client_signals(&run, &summary, &left, nofile);
    let hints = hints::hints(&summary, plan.access.max_requests);
    let document = Document::new(&facts::of_run(&facts::Ingredients {
        plan: &plan,
        presentation,
        started_at,
        run: &run,
        summary: &summary,
        outside: outside.as_ref(),
        soak: &soak,
        verdicts: &verdicts,
        endpoints: &endpoints,
        signals: &signals,
        hints: &hints,
        aborted_by,
        left: &left,
        nofile,
    }));
    // Neither the summary nor the file is lost because the other cannot be written.
    let printed = say(&document, presentation, out, err).map_err(CliError::from);
    let written = output::write(presentation.output.as_ref(), &document, out);
    let told = results::tell(&document, presentation, environment, out, err);
    let mut class = exit_class(&document, presentation);
    for error in [printed, written, told].into_iter().filter_map(Result::err) {
        // Nothing is left to do when even this cannot be written.
        let _ = writeln!(err, "error: {error}");
        // A result that is lost is a failure; one that failed anyway keeps its reason.
        class = if class == ExitClass::Success { ExitClass::Internal } else { class };
    }
    Ok(class)
}

/// What the run comes to as a number.
pub(super) fn exit_class(document: &Document, presentation: &Presentation) -> ExitClass {
    let invalid = presentation.fail_on_invalid && document.client.verdict == ClientVerdict::Bottleneck;
    match document.conclusion() {
        Conclusion::Pass if invalid => ExitClass::Invalid,
        Conclusion::Pass => ExitClass::Success,
        Conclusion::Fail => ExitClass::ThresholdFailed,
        Conclusion::Interrupted => ExitClass::Interrupted,
        Conclusion::NoData | Conclusion::ServerDied => ExitClass::NoData,
    }
}

/// Prints the summary.
pub(super) fn say(
    document: &Document,
    presentation: &Presentation,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<()> {
    let beside = output::is_stdout(presentation.output.as_ref());
    let terminal = if beside { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let text = terminal::render(document, Style { color: terminal && !presentation.no_color, width: width(terminal) });
    output::print(&text, presentation.output.as_ref(), out, err)
}

fn progress_mode(presentation: &Presentation) -> Mode {
    if presentation.quiet {
        Mode::Off
    } else if io::stderr().is_terminal() {
        Mode::Terminal { color: !presentation.no_color, width: width(true) }
    } else {
        Mode::Lines { every: LINE_EVERY }
    }
}

fn width(terminal: bool) -> u16 {
    let columns = terminal.then(|| console::Term::stderr().size_checked()).flatten().map(|(_, columns)| columns);
    columns.unwrap_or(USUAL_WIDTH)
}

/// Runs the embedded simulator in the foreground.
pub(super) fn serve(args: &ServeArgs, out: &mut dyn Write) -> Result<ExitClass, CliError> {
    let settings = match &args.config {
        _ if args.chaos => Settings::Chaos,
        Some(file) => Settings::File(file.clone()),
        None => Settings::Benchmark,
    };
    server::serve(&args.host, args.port, &settings, &mut |line| {
        // Whether anybody reads it does not matter to the server.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    })?;
    Ok(ExitClass::Success)
}

/// Ties this process to its parent and becomes another program; comes back only when that failed.
pub(super) fn supervise(args: &SuperviseArgs) -> CliError {
    let (program, arguments) =
        args.command.split_first().map_or_else(Default::default, |(p, a)| (p.clone(), a.to_vec()));
    server::supervise(&Order { cores: args.cores.clone(), parent: args.parent, program, args: arguments }).into()
}
