//! Checks that results can be compared: they must be complete and of one command and one test.

use super::error::CompareError;
use super::run::Run;

/// Refuses results that are not of the same test.
pub(super) fn same_test(base: &[Run], head: &[Run]) -> Result<(), CompareError> {
    let all: Vec<&Run> = base.iter().chain(head).collect();
    for (i, run) in all.iter().enumerate() {
        let file = run.file.clone();
        if let Some(why) = &run.incomplete {
            return Err(CompareError::Incomplete { file, why: why.clone() });
        }
        let first = all[0];
        if run.sort != first.sort {
            let (found, other, expected) = (run.sort, first.file.clone(), first.sort);
            return Err(CompareError::Sorts { file, found, other, expected });
        }
        for ((what, found), (_, expected)) in facts(run).into_iter().zip(facts(first)) {
            if found != expected {
                return Err(CompareError::Other { file, what, found, other: first.file.clone(), expected });
            }
        }
        for ((what, found), (_, expected)) in run.machine.iter().zip(&first.machine) {
            if found != expected {
                let (found, other, expected) = (found.clone(), first.file.clone(), expected.clone());
                return Err(CompareError::Machine { file, what, found, other, expected });
            }
        }
        if let Some(other) = all[..i].iter().find(|other| other.id == run.id) {
            return Err(CompareError::Twice { file, other: other.file.clone(), id: run.id.clone() });
        }
    }
    Ok(())
}

/// Returns the facts that have to be the same in all results, by name. All results of one command
/// have the same names in the same order.
fn facts(run: &Run) -> Vec<(&'static str, String)> {
    let mut facts = vec![("the version of llmsim-blast", major(&run.tool))];
    facts.extend(run.steps.iter().cloned());
    facts.push(("the workload (plan.hash)", run.workload.clone()));
    facts.push(("the number of shards", run.shards.to_string()));
    facts
}

/// Returns the part of a version that may change the meaning of numbers: the first number, or
/// before 1.0 the first two (semver.org, item 4).
fn major(version: &str) -> String {
    let mut numbers = version.split('.');
    match (numbers.next(), numbers.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (Some(major), _) => major.to_owned(),
        (None, _) => String::new(),
    }
}
