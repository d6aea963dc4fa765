//! Results that are kept: read, merged, compared, printed again. No connection is opened.

use super::output;
use super::run::{exit_class, say};
use crate::cli::args::{CompareArgs, MergeArgs, NoiseArgs, ReportArgs};
use crate::cli::environment::Environment;
use crate::compare::{Gate, Options, Run, compare, noise, percentage};
use crate::document::merge::Merge;
use crate::document::{Document, MAX_DOCUMENT_BYTES};
use crate::exit::ExitClass;
use crate::plan::{Output, Presentation};
use crate::report::compare::{Compared, NoiseFile, markdown, noise_from_json, noise_json, run as run_of, terminal};
use crate::report::{csv, github, hgrm, junit, vllm};
use crate::trial::error::CliError;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Most bytes of a step's summary: GitHub takes a megabyte, and people far less.
const MAX_SUMMARY: usize = 100_000;
/// Most bytes of a noise file.
const MAX_NOISE_BYTES: usize = 1 << 20;

/// Reads a file up to a size. Whoever reads knows what is in it and says more.
fn read(path: &Path, most: usize) -> Result<String, CliError> {
    let failed = |reason: String| CliError::Result { path: path.to_path_buf(), reason };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| failed(format!("cannot read it: {error}")))?;
    let read = file.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(format!("cannot read it: {error}")))?;
    if bytes.len() > most {
        return Err(failed(format!("it is larger than {most} bytes, the most that is read")));
    }
    String::from_utf8(bytes).map_err(|_| failed("it is not text: expected the JSON that a run writes".to_owned()))
}

fn document(path: &Path) -> Result<Document, CliError> {
    let text = read(path, MAX_DOCUMENT_BYTES)?;
    Document::from_json(&text).map_err(|error| CliError::Result { path: path.to_path_buf(), reason: error.to_string() })
}

/// `-` is standard output.
fn place(given: Option<&String>) -> Option<Output> {
    given.map(|place| if place == "-" { Output::Stdout } else { Output::File(PathBuf::from(place)) })
}

fn file(given: Option<&PathBuf>) -> Option<Output> {
    given.map(|path| Output::File(path.clone()))
}

/// `report`: an old run in another form.
pub(super) fn report(args: &ReportArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<ExitClass, CliError> {
    let document = document(&args.file)?;
    let text = if args.csv {
        csv::render(&document)
    } else if args.hgrm {
        let none = "series: there are no histograms of its seconds: an earlier build has written it".to_owned();
        hgrm::render(&document).ok_or_else(|| CliError::Result { path: args.file.clone(), reason: none })?
    } else if args.compat.is_some() {
        vllm::render(&document)
    } else {
        let presentation = Presentation { no_color: args.no_color, ..Presentation::default() };
        say(&document, &presentation, out, err)?;
        String::new()
    };
    out.write_all(text.as_bytes())?;
    out.flush()?;
    output::write_text(file(args.junit.as_ref()).as_ref(), &junit::of_run(&document), out)?;
    Ok(ExitClass::Success)
}

/// `merge`: the shares of a test as one.
pub(super) fn merge(
    args: &MergeArgs,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitClass, CliError> {
    let presentation = Presentation {
        output: place(args.output.as_ref()),
        junit: args.junit.clone(),
        github: args.github.as_deref() == Some("auto"),
        no_color: args.no_color,
        fail_on_invalid: args.fail_on_invalid,
        ..Presentation::default()
    };
    output::check(presentation.output.as_ref())?;
    let mut merge = Merge::default();
    for path in &args.files {
        merge.add(&path.display().to_string(), document(path)?)?;
    }
    let whole = merge.finish(args.allow_missing)?;
    say(&whole, &presentation, out, err)?;
    output::write(presentation.output.as_ref(), &whole, out)?;
    tell(&whole, &presentation, environment, out, err)?;
    Ok(exit_class(&whole, &presentation))
}

/// What CI is told of a run, beside its results. A share is not judged, and so not told of.
pub(super) fn tell(
    document: &Document,
    presentation: &Presentation,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CliError> {
    if document.is_shard() {
        return Ok(());
    }
    output::write_text(file(presentation.junit.as_ref()).as_ref(), &junit::of_run(document), out)?;
    if presentation.github {
        let (summary, failures) = (github::summary(document), github::failures(document));
        tell_github(environment, &summary, &failures, presentation.output.as_ref(), (out, err))?;
    }
    Ok(())
}

/// Appends to the step's summary and prints a few annotations, when GitHub Actions runs this.
fn tell_github(
    environment: &Environment,
    summary: &str,
    failures: &[(String, String)],
    output: Option<&Output>,
    (out, err): (&mut dyn Write, &mut dyn Write),
) -> Result<(), CliError> {
    let Some(path) = environment.get("GITHUB_STEP_SUMMARY") else { return Ok(()) };
    let cut = summary.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX_SUMMARY).last();
    let summary = &summary[..cut.unwrap_or(0)];
    output::print(&github::annotations(failures), output, out, err)?;
    let appended = OpenOptions::new().append(true).create(true).open(path);
    appended
        .and_then(|mut file| writeln!(file, "{summary}"))
        .map_err(|source| CliError::StepSummary { path: path.into(), source })
}

/// The runs of one side.
fn runs(paths: &[PathBuf]) -> Result<Vec<Run>, CliError> {
    let run = |path: &PathBuf| {
        let failed = |reason: String| CliError::Result { path: path.clone(), reason };
        run_of(&path.display().to_string(), &document(path)?).map_err(|error| failed(error.to_string()))
    };
    paths.iter().map(run).collect()
}

/// `compare`: is head slower than base?
pub(super) fn compare_runs(
    args: &CompareArgs,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitClass, CliError> {
    let (base, head) = sides(args)?;
    let mut options = options(args)?;
    let outputs = [place(args.output.as_ref()), file(args.md.as_ref()), file(args.junit.as_ref())];
    outputs.iter().try_for_each(|output| output::check(output.as_ref()))?;
    let (base, head) = (runs(&base)?, runs(&head)?);
    if let Some(path) = &args.noise {
        let noise = floors(path, &base)?;
        (options.noise, options.noise_machine) = (noise.spreads, noise.fingerprint);
    }
    let comparison = compare(&base, &head, &options)?;
    let compared = Compared { base: &base, head: &head, comparison: &comparison };
    let page = terminal(&compared);
    let [json, md, xml] = outputs;
    output::print(&page, json.as_ref(), out, err)?;
    output::write_text(json.as_ref(), &compared.to_json(), out)?;
    output::write_text(md.as_ref(), &markdown(&compared), out)?;
    let cases = junit::render("llmsim-blast compare", &[], &compared.cases());
    output::write_text(xml.as_ref(), &cases, out)?;
    let undecided = args.fail_on_inconclusive && comparison.inconclusive() > 0;
    let class = match (comparison.failed() > 0 || undecided, comparison.unjudged() > 0) {
        (true, _) => ExitClass::ThresholdFailed,
        (false, true) => ExitClass::Incomplete,
        (false, false) => ExitClass::Success,
    };
    if args.github.as_deref() == Some("auto") {
        let told = tell_github(environment, &markdown(&compared), &compared.failures(), json.as_ref(), (out, err));
        if let Err(error) = told {
            // A comparison that failed anyway keeps its reason.
            if class != ExitClass::Success {
                writeln!(err, "error: {error}")?;
                return Ok(class);
            }
            return Err(error);
        }
    }
    Ok(class)
}

/// The files of both sides: `BASE HEAD`, or `--base … --head …`.
fn sides(args: &CompareArgs) -> Result<(Vec<PathBuf>, Vec<PathBuf>), CliError> {
    match (args.files.as_slice(), args.base.as_slice(), args.head.as_slice()) {
        ([base, head], [], []) => Ok((vec![base.clone()], vec![head.clone()])),
        ([], base @ [_, ..], head @ [_, ..]) => Ok((base.to_vec(), head.to_vec())),
        _ => {
            let expected = "expected two results, BASE HEAD, or --base FILES... --head FILES...";
            Err(CliError::Argument { flag: "compare", problem: expected.to_owned() })
        }
    }
}

fn options(args: &CompareArgs) -> Result<Options, CliError> {
    let usual = Options::default();
    let gate = |text: &String| Gate::parse(text).map_err(|problem| CliError::Argument { flag: "--fail-on", problem });
    let bad = |flag, text: &str, expected: &str| CliError::Argument {
        flag,
        problem: format!("`{text}` is not possible: expected {expected}"),
    };
    let alpha = match &args.alpha {
        None => usual.alpha,
        Some(text) => {
            let alpha = text.trim().parse::<f64>().ok().filter(|a| (0.001..=0.5).contains(a));
            alpha.ok_or_else(|| bad("--alpha", text, "a number from 0.001 to 0.5, such as 0.05"))?
        }
    };
    let noise_floor = match &args.noise_floor {
        None => usual.noise_floor,
        Some(text) => percentage(text).ok_or_else(|| bad("--noise-floor", text, "a percentage, such as 2%"))?,
    };
    Ok(Options {
        gates: args.fail_on.iter().map(gate).collect::<Result<_, _>>()?,
        paired: args.paired,
        alpha,
        noise_floor,
        allow_single: args.allow_single,
        ..usual
    })
}

/// The floors of a noise file, which must be of the same test.
fn floors(path: &Path, base: &[Run]) -> Result<NoiseFile, CliError> {
    let failed = |reason: String| CliError::Result { path: path.to_path_buf(), reason };
    let noise = noise_from_json(&read(path, MAX_NOISE_BYTES)?).map_err(|error| failed(error.to_string()))?;
    match base.first() {
        Some(run) if run.workload != noise.workload => {
            Err(failed(format!("workload: it is {}, and that of {} is {}", noise.workload, run.file, run.workload)))
        }
        _ => Ok(noise),
    }
}

/// `noise`: what runs of one build differ by.
pub(super) fn noise_of(args: &NoiseArgs, out: &mut dyn Write) -> Result<ExitClass, CliError> {
    let output = place(args.output.as_ref());
    output::check(output.as_ref())?;
    let noise = noise(&runs(&args.files)?)?;
    let written = noise_json(&noise);
    if !output::is_stdout(output.as_ref()) {
        writeln!(out, "{} runs of one build differ by (highest over lowest, less one):", noise.runs)?;
        for (measure, spread) in &noise.spreads {
            writeln!(out, "  {:<28}{:>8.2} %", measure.to_string(), spread.spread * 100.0)?;
        }
    }
    output::write_text(output.as_ref(), &written, out)?;
    Ok(ExitClass::Success)
}
