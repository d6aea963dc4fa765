//! A run of shards that meet: every shard keeps its own result, and shard 0 writes the merged one.

use super::error::CommandError;
use super::measured::{finished, measured};
use super::output::Written;
use super::requests::Written as WrittenLines;
use super::viewers::Viewers;
use super::{deliver, output};
use crate::cli::environment::Environment;
use crate::document::Document;
use crate::exit::ExitClass;
use crate::plan::{Output, Plan, Presentation, Rendezvous, RequestsFile, Shard};
use crate::trial::{self, Collected, Meeting, Setup};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Runs one of the shards. Returns how this shard ended, or at shard 0 the whole.
pub(super) fn run(
    (plan, rendezvous): (Plan, &Rendezvous),
    presentation: &Presentation,
    (environment, setup): (&Environment, &Setup),
    mut viewers: Viewers<'_>,
    (out, err): (&mut dyn Write, &mut dyn Write),
) -> Result<ExitClass, CommandError> {
    let own = of_shard(presentation, plan.shard);
    output::check_all(&own)?;
    let meeting = Meeting::open(rendezvous, &plan, &own, setup)?;
    let (document, written) = measured_with(plan, (presentation, &own), setup, (&meeting, &mut viewers), err)?;
    let class = if meeting.is_host() {
        let kept = keep(&document, &own, (out, err));
        let Collected { whole, missing } = meeting.collect(document, presentation.fail_on_invalid, &mut viewers)?;
        viewers.report(&whole);
        for line in missing {
            tell(err, &format!("missing: {line}"));
        }
        let class = deliver::results(&whole, presentation, environment, Some(&setup.stop), (out, err));
        meeting.dismiss();
        // A lost result is a failure.
        kept.map_or_else(
            |error| {
                tell(err, &format!("error: {error}"));
                class.or(ExitClass::Internal)
            },
            |()| class,
        )
    } else {
        viewers.report(&document);
        let class = deliver::results(&document, &own, environment, Some(&setup.stop), (out, err));
        meeting.hand_over(&document).map_or_else(
            |why| {
                tell(err, &format!("error: {why}; merge the results of the shards by hand"));
                class.or(ExitClass::Incomplete)
            },
            |()| class,
        )
    };
    let class = written.map_or(class, |written| written.judged(class, err));
    Ok(finished(class, viewers, &setup.stop, err))
}

/// Measures this shard and returns its result.
fn measured_with(
    plan: Plan,
    (presentation, own): (&Presentation, &Presentation),
    setup: &Setup,
    (meeting, viewers): (&Meeting, &mut Viewers<'_>),
    err: &mut dyn Write,
) -> Result<(Document, Option<WrittenLines>), CommandError> {
    let ready = trial::prepare(plan, setup, &mut |line| viewers.message(line));
    let mut ready = ready.map_err(|error| meeting.failing(error))?;
    ready.show_answers(presentation.debug_response, err)?;
    viewers.record(own.requests.as_ref(), ready.plan())?;
    ready.gather(meeting, &mut |line| viewers.message(line)).map_err(|error| meeting.failing(error))?;
    Ok(measured(ready, Some(meeting), viewers, presentation).map_err(|error| meeting.failing(error))?)
}

/// Prints a line to stderr. If that fails, nothing more can be done.
fn tell(err: &mut dyn Write, line: &str) {
    let _ = writeln!(err, "{line}");
}

/// Returns where a shard's own results go. Report pages and verdicts are made from the whole.
fn of_shard(presentation: &Presentation, shard: Shard) -> Presentation {
    let output = match &presentation.output {
        Some(Output::File(path)) => Some(Output::File(path_of(path, shard))),
        _ => None,
    };
    let mut requests = presentation.requests.clone();
    if let Some(RequestsFile { place: Output::File(path), .. }) = &mut requests {
        *path = path_of(path, shard);
    }
    Presentation { output, requests, html: None, junit: None, github: false, ..presentation.clone() }
}

/// Returns `run-1of4.json` for `run.json`, since all shards may have the same command line.
fn path_of(path: &Path, shard: Shard) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map_or_else(String::new, |ending| format!(".{}", ending.to_string_lossy()));
    path.with_file_name(format!("{stem}-{}of{}{ending}", shard.index, shard.count))
}

/// Writes the result of shard 0 itself.
fn keep(
    document: &Document,
    own: &Presentation,
    (out, err): (&mut dyn Write, &mut dyn Write),
) -> Result<(), CommandError> {
    let results = [Written { flag: "--output", output: own.output.as_ref(), text: &|| document.to_json() }];
    output::write_each(&results, (out, err), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_a_file_of_its_own() {
        let shard = Shard::of_process(1, 4);
        for (path, expected) in
            [("run.json", "run-1of4.json"), ("/a.b/run", "/a.b/run-1of4"), ("x/r.tar.gz", "x/r.tar-1of4.gz")]
        {
            assert_eq!(path_of(Path::new(path), shard), Path::new(expected));
        }
        let given = Presentation {
            output: Some(Output::Stdout),
            html: Some("x.html".into()),
            junit: Some("x.xml".into()),
            ..Presentation::default()
        };
        assert_eq!(of_shard(&given, shard), Presentation::default());
    }
}
