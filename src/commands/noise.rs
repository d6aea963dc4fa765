//! `noise`: measures how much runs of one build differ.

use super::error::CommandError;
use super::{input, output};
use crate::cli::args::NoiseArgs;
use crate::compare::noise;
use crate::document::noise::noise_json;
use crate::exit::ExitClass;
use std::io::Write;

/// Measures the noise floor for later comparisons.
pub(super) fn run(args: &NoiseArgs, out: &mut dyn Write) -> Result<ExitClass, CommandError> {
    let output = output::place(args.output.as_ref());
    output::check([("--output", output.as_ref())])?;
    let noise = noise(&input::runs(&args.files)?)?;
    let written = noise_json(&noise);
    if !output::is_stdout(output.as_ref()) {
        writeln!(out, "{} runs of one build differ by (highest over lowest, less one):", noise.runs)?;
        for (measure, spread) in &noise.spreads {
            writeln!(out, "  {:<28}{:>8.2} %", measure.to_string(), spread.spread * 100.0)?;
        }
    }
    output::write_text(("--output", output.as_ref()), &written, out, None)?;
    Ok(ExitClass::Success)
}
