//! Parse arguments, call `commands`, print the error, choose the exit code.

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let environment = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let class = llmsim_blast::commands::main(std::env::args_os(), &environment, &mut io::stdout(), &mut io::stderr());
    ExitCode::from(class.code())
}
