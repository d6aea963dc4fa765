//! Parse arguments, call `commands`, print the error, choose the exit code.

use llmsim_blast::commands;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let environment = commands::Environment::new(std::env::vars_os());
    let class = commands::main(std::env::args_os(), &environment, &mut io::stdout(), &mut io::stderr());
    ExitCode::from(class.code())
}
