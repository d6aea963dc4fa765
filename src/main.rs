//! Parse arguments, call `cli`, print the error, choose the exit code.

use llmsim_blast::server::{self, Order, ServerError, Settings};
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

/// Stands in for the command line until that exists: `serve` and `supervise` only, no mistakes expected.
fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let value = |flag: &str| args.iter().position(|a| a == flag).and_then(|at| args.get(at + 1)).cloned();
    let text = |flag: &str| value(flag).map(|v| v.to_string_lossy().into_owned());
    let result: Result<(), ServerError> = match args.first().and_then(|a| a.to_str()) {
        Some("serve") => {
            let settings = match value("--config") {
                Some(file) => Settings::File(file.into()),
                None if args.iter().any(|a| a == "--chaos") => Settings::Chaos,
                None => Settings::Benchmark,
            };
            let host = text("--host").unwrap_or_else(|| "127.0.0.1".to_owned());
            let port = text("--port").and_then(|p| p.parse().ok()).unwrap_or(8080);
            server::serve(&host, port, &settings, &mut |line| {
                let _ = writeln!(std::io::stdout(), "{line}");
            })
        }
        Some("supervise") => {
            let at = args.iter().position(|a| a == "--").unwrap_or(args.len() - 1);
            Err(server::supervise(&Order {
                cores: text("--cores").map_or_else(Vec::new, |c| c.split(',').filter_map(|n| n.parse().ok()).collect()),
                parent: text("--parent").and_then(|p| p.parse().ok()).unwrap_or(0),
                program: args.get(at + 1).cloned().unwrap_or_default(),
                args: args.get(at + 2..).unwrap_or_default().to_vec(),
            }))
        }
        _ => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(107)
        }
    }
}
