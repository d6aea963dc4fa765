//! `compare`: decides whether head is slower than base.

use super::error::CommandError;
use super::output::Written;
use super::{input, notify_ci, output};
use crate::cli::args::CompareArgs;
use crate::cli::environment::Environment;
use crate::compare::{Gate, Options, Run, compare, percentage};
use crate::document::comparison::Compared;
use crate::document::noise::{NoiseFile, noise_from_json};
use crate::exit::ExitClass;
use crate::plan::Output;
use crate::report::compare::{failures, junit, markdown, terminal};
use crate::report::html::of_comparison;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Largest size of a noise file.
const MAX_NOISE_BYTES: usize = 1 << 20;

/// Compares the runs of two builds.
pub(super) fn run(
    args: &CompareArgs,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitClass, CommandError> {
    let (base, head) = sides(args)?;
    let mut options = options(args)?;
    let outputs = [
        output::place(args.output.as_ref()),
        output::file(args.html.as_ref()),
        output::file(args.md.as_ref()),
        output::file(args.junit.as_ref()),
    ];
    let flags = ["--output", "--html", "--md", "--junit"];
    output::check(flags.into_iter().zip(outputs.iter().map(Option::as_ref)))?;
    let taken = outputs.iter().flatten().find(|output| output::is_stdout(Some(output))).cloned();
    let (base, head) = (input::runs(&base)?, input::runs(&head)?);
    if let Some(path) = &args.noise {
        let noise = floors(path, &base)?;
        (options.noise, options.noise_machine) = (noise.spreads, noise.fingerprint);
    }
    let comparison = compare(&base, &head, &options)?;
    let fail_on_inconclusive = args.fail_on_inconclusive;
    let compared = Compared { base: &base, head: &head, comparison: &comparison, fail_on_inconclusive };
    let style = output::style(taken.as_ref(), args.no_color || environment.forbids_color().is_some());
    let printed = output::print(&terminal(&compared, style), taken.as_ref(), out, err);
    let written = write(&compared, outputs.each_ref().map(Option::as_ref), (out, err));
    let told = if args.github.as_deref() == Some("auto") {
        let (summary, failures) = (markdown(&compared), failures(&compared));
        notify_ci::github_actions(environment, &summary, &failures, taken.as_ref(), (out, err))
    } else {
        Ok(())
    };
    let class = compared.exit();
    match (written.and(printed.map_err(CommandError::from)), told) {
        // A comparison that failed anyway keeps its exit code.
        (Ok(()), Err(error)) if class == ExitClass::Success => Err(error),
        (lost, told) => {
            if let Err(error) = told {
                // If stderr fails, nothing more can be done.
                let _ = writeln!(err, "error: {error}");
            }
            lost.map(|()| class)
        }
    }
}

/// Writes the comparison in every requested form.
fn write(
    compared: &Compared<'_>,
    [json, page, md, xml]: [Option<&Output>; 4],
    places: (&mut dyn Write, &mut dyn Write),
) -> Result<(), CommandError> {
    let results = [
        Written { flag: "--output", output: json, text: &|| compared.to_json() },
        Written { flag: "--html", output: page, text: &|| of_comparison(compared) },
        Written { flag: "--md", output: md, text: &|| markdown(compared) },
        Written { flag: "--junit", output: xml, text: &|| junit(compared) },
    ];
    output::write_each(&results, places, None)
}

/// Returns the files of both sides: `BASE HEAD`, or `--base … --head …`.
fn sides(args: &CompareArgs) -> Result<(Vec<PathBuf>, Vec<PathBuf>), CommandError> {
    match (args.files.as_slice(), args.base.as_slice(), args.head.as_slice()) {
        ([base, head], [], []) => Ok((vec![base.clone()], vec![head.clone()])),
        ([], base @ [_, ..], head @ [_, ..]) => Ok((base.to_vec(), head.to_vec())),
        _ => {
            let expected = "expected two results, BASE HEAD, or --base FILES... --head FILES...";
            Err(CommandError::Argument { flag: "compare", problem: expected.to_owned() })
        }
    }
}

fn options(args: &CompareArgs) -> Result<Options, CommandError> {
    let usual = Options::default();
    let gate =
        |text: &String| Gate::parse(text).map_err(|problem| CommandError::Argument { flag: "--fail-on", problem });
    let bad = |flag, text: &str, expected: &str| CommandError::Argument {
        flag,
        problem: format!("invalid value '{text}': expected {expected}"),
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

/// Returns the noise floors of a file, which must belong to the same test.
fn floors(path: &Path, base: &[Run]) -> Result<NoiseFile, CommandError> {
    let failed = |reason: String| CommandError::Result { path: path.to_path_buf(), reason };
    let noise =
        noise_from_json(&input::read_text(path, MAX_NOISE_BYTES)?).map_err(|error| failed(error.to_string()))?;
    match base.first() {
        Some(run) if run.workload != noise.workload => {
            Err(failed(format!("workload: it is {}, and that of {} is {}", noise.workload, run.file, run.workload)))
        }
        _ => Ok(noise),
    }
}
