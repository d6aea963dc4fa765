mod built_in;
mod dataset;
mod flags;
mod request_defaults;
mod request_flags;
mod shape;
mod written;

use super::*;
use crate::api::Api;
use crate::load::{Shape, Stage};
use crate::mix::{self, Bell, Prefix, Prompt, PromptSource, Secret, Timeouts, Tokens};
use crate::plan::Output;
use crate::plan::overrides::overrides;
use crate::plan::profile::BUILT_IN;
use crate::server::Source;
use crate::threshold::Rule;
use std::io;

/// A profile that runs by time, to add lines to.
const FLAT: &str = "executor = \"constant-vus\"\nvus = 2\nduration = \"10s\"\n";
const COUNTING: &str = "executor = \"shared-iterations\"\nvus = 2\niterations = 10\n";
const RAMPS: &str =
    "executor = \"ramping-vus\"\nstages = [{ duration = \"10s\", target = 4 }, { duration = \"5s\", target = 0 }]\n";
const CHAT: &str = "[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n";

fn no_such_file() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no such file")
}

/// Resolves a profile without files.
fn run(profile: &str, overrides: &Overrides) -> Result<Resolved, PlanError> {
    resolve(profile, overrides, &mut |_: &Path| Err(no_such_file()))
}

/// Resolves a file with this text.
fn file(text: &str, overrides: &Overrides) -> Result<Plan, PlanError> {
    resolve("dir/my.toml", overrides, &mut |path: &Path| match path.to_str() {
        Some("dir/my.toml") => Ok(text.to_owned()),
        Some("dir/prompts.txt") => Ok("first\n\n  second  \r\nthird".to_owned()),
        Some("dir/pairs.csv") => Ok("input,output\n10,20\n\n 30 , 40 \n".to_owned()),
        Some("dir/bad.csv") => Ok("input,output\n10,20\n7;9\n".to_owned()),
        Some("dir/blank.txt") => Ok("\n \n".to_owned()),
        _ => Err(no_such_file()),
    })
    .map(|resolved| resolved.plan)
}

fn fine(text: &str) -> Plan {
    file(text, &Overrides::default()).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn refusal(text: &str) -> String {
    file(text, &Overrides::default())
        .map(|plan| panic!("{text} was read as {plan:?}"))
        .expect_err("refused")
        .to_string()
}

#[expect(clippy::unnecessary_wraps, reason = "stands for a field that may be absent")]
fn flag(name: &str, value: &str) -> Option<Given> {
    Some(Given::flag(name, value))
}

#[expect(clippy::unnecessary_wraps, reason = "stands for a field that may be absent")]
fn env(name: &str, value: &str) -> Option<Given> {
    Some(Given::environment(name, value))
}

fn secs(n: u64) -> Nanos {
    Nanos::from_secs(n)
}

fn ramps(start_vus: u32, stages: &[(u64, u32)]) -> Shape {
    let stages = stages.iter().map(|(n, target)| Stage { duration: secs(*n), target: *target }).collect();
    Shape::RampingVus { start_vus, stages, graceful_ramp_down: secs(30) }
}

fn rules(rules: &[Rule]) -> Vec<String> {
    rules.iter().map(Rule::to_string).collect()
}
