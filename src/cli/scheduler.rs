//! `--shard auto`: what a scheduler says of this process's place → which shard it runs.
//!
//! One row a scheduler. A pair that is not whole is refused, since a guess would run a part of the
//! test twice or not at all. CI matrices are left out on purpose: some count from 1, and all set
//! their variables also for a single job.

use super::environment::{Environment, SHARD_COUNT as COUNT, SHARD_INDEX as INDEX};
use crate::plan::{Given, Overrides};

/// What is typed to be told by the environment.
const AUTO: &str = "auto";

/// A scheduler that says which process this is.
struct Scheduler {
    name: &'static str,
    index: &'static str,
    /// How many there are; [`COUNT`] where the scheduler does not say.
    count: &'static str,
}

const fn scheduler(name: &'static str, index: &'static str, count: &'static str) -> Scheduler {
    Scheduler { name, index, count }
}

/// Those that start whole processes. The first whose index is set counts.
const SCHEDULERS: [Scheduler; 5] = [
    scheduler("the environment", INDEX, COUNT),
    // Batch on Kubernetes: spec.completions is not handed to a pod (kubernetes#106009).
    scheduler("a Kubernetes Indexed Job", "JOB_COMPLETION_INDEX", COUNT),
    scheduler("an AWS Batch array", "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"),
    scheduler("a Cloud Run job", "CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT"),
    scheduler("Nomad", "NOMAD_ALLOC_INDEX", COUNT),
];

/// Those that start the tasks of one job, innermost first: `mpirun` may run inside of a Slurm step,
/// whose variables then belong to its daemon.
const TASKS: [Scheduler; 3] = [
    scheduler("Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    // Not SLURM_NTASKS: a batch script has that, too, and is no task of a step.
    scheduler("a Slurm step", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    scheduler("PMI", "PMI_RANK", "PMI_SIZE"),
];

/// The variables of a Slurm array. Its tasks are jobs of their own.
const ARRAY: &str = "SLURM_ARRAY_TASK_ID";

/// Why `--shard auto` cannot tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error(
        "--shard auto: no scheduler's index is in the environment: expected {INDEX} and {COUNT}, or a Kubernetes Indexed Job, \
         a Slurm step or array, AWS Batch, Cloud Run, Nomad, PMI or Open MPI; or give --shard I/N"
    )]
    Nowhere,
    #[error("--shard auto: {index} is set, and {missing} is not: set it to the number of shards")]
    Missing { index: &'static str, missing: &'static str },
    #[error(
        "--shard auto: SLURM_PROCID is set, and SLURM_STEP_NUM_TASKS is not: a batch script is not a task of a step; \
         start this program with srun"
    )]
    NoStep,
    #[error("--shard auto: invalid value '{value}' for {name}: expected an integer{}", at_least(*.least))]
    NotANumber { name: &'static str, value: String, least: u64 },
    #[error(
        "--shard auto: SLURM_ARRAY_TASK_COUNT is {count}, but a range from {min} to {max} by {step} has {computed}: the place of a \
         task in a list such as 1,5,7 cannot be told; use a range such as 0-3"
    )]
    List { count: u64, min: u64, max: u64, step: u64, computed: u64 },
    #[error("--shard auto: {index} is {at}, and {count} says that there are {of}: expected an index below the count")]
    Beyond { index: &'static str, at: u64, count: &'static str, of: u64 },
}

fn at_least(least: u64) -> String {
    if least == 0 { String::new() } else { format!(" of at least {least}") }
}

/// Which of how many, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    scheduler: &'static str,
    /// The variable that holds the index.
    variable: &'static str,
    index: u64,
    count: u64,
}

/// Puts the environment's place where `--shard auto` was given. Without it, a place that the
/// environment knows is worth a word: every process would run the whole test.
pub(super) fn place(overrides: &mut Overrides, environment: &Environment) -> Result<(), PlaceError> {
    let given = overrides.typed("shard").map(|given| given.value.trim().to_owned());
    match given.as_deref() {
        Some(AUTO) => {
            let place = find(environment)?.ok_or(PlaceError::Nowhere)?;
            let value = format!("{}/{}", place.index, place.count);
            overrides.insert("shard", vec![Given::environment(place.variable, &value)]);
        }
        Some(_) => {}
        None => {
            if let Some((scheduler, variable)) = unused(environment) {
                overrides.note(format!(
                    "{variable} is set (by {scheduler}), and --shard is not: this process runs the whole test; use --shard auto \
                     to run its part"
                ));
            }
        }
    }
    Ok(())
}

/// A place that is known and not asked for: who knows it, and by which variable.
fn unused(environment: &Environment) -> Option<(&'static str, &'static str)> {
    match find(environment) {
        Ok(place) => place.filter(|place| place.count > 1).map(|place| (place.scheduler, place.variable)),
        // An index without a count: one of one, as likely as not, except in an Indexed Job.
        Err(PlaceError::Missing { index, .. }) => {
            let known = SCHEDULERS.iter().chain(&TASKS).find(|scheduler| scheduler.index == index)?;
            let is_first = environment.get(index) == Some("0");
            (!is_first || index == "JOB_COMPLETION_INDEX").then_some((known.name, index))
        }
        Err(_) => None,
    }
}

/// The place of this process; none if no scheduler names one.
fn find(environment: &Environment) -> Result<Option<Place>, PlaceError> {
    if let Some(scheduler) = SCHEDULERS.iter().find(|scheduler| environment.get(scheduler.index).is_some()) {
        return whole(scheduler, environment).map(Some);
    }
    let array = array(environment)?;
    let Some(task) = TASKS.iter().find(|task| environment.get(task.index).is_some()) else { return Ok(array) };
    match (array, whole(task, environment)) {
        (None, place) => place.map(Some),
        // The script of an array's job is no task of a step.
        (Some(array), Err(PlaceError::NoStep)) => Ok(Some(array)),
        (Some(array), Ok(task)) => {
            Ok(Some(Place { index: array.index * task.count + task.index, count: array.count * task.count, ..array }))
        }
        (Some(_), Err(error)) => Err(error),
    }
}

/// Index and count of a scheduler whose index is set.
fn whole(scheduler: &Scheduler, environment: &Environment) -> Result<Place, PlaceError> {
    let Scheduler { name, index, count } = *scheduler;
    let at = number(environment, index, 0)?.unwrap_or_default();
    let Some(of) = number(environment, count, 1)? else {
        let is_step = index == "SLURM_PROCID";
        return Err(if is_step { PlaceError::NoStep } else { PlaceError::Missing { index, missing: count } });
    };
    if at >= of {
        return Err(PlaceError::Beyond { index, at, count, of });
    }
    Ok(Place { scheduler: name, variable: index, index: at, count: of })
}

/// The place in a Slurm array, if there is one: `(ID - MIN) / STEP`. Of a list the place is not to
/// be had, and the count says that it is one.
fn array(environment: &Environment) -> Result<Option<Place>, PlaceError> {
    let Some(id) = number(environment, ARRAY, 0)? else { return Ok(None) };
    let value = |name: &'static str, least: u64| {
        number(environment, name, least)?.ok_or(PlaceError::Missing { index: ARRAY, missing: name })
    };
    let (min, max) = (value("SLURM_ARRAY_TASK_MIN", 0)?, value("SLURM_ARRAY_TASK_MAX", 0)?);
    let (step, count) = (value("SLURM_ARRAY_TASK_STEP", 1)?, value("SLURM_ARRAY_TASK_COUNT", 1)?);
    let computed = max.saturating_sub(min) / step + 1;
    if count != computed || id < min || (id - min) % step != 0 {
        return Err(PlaceError::List { count, min, max, step, computed });
    }
    let index = (id - min) / step;
    if index >= count {
        return Err(PlaceError::Beyond { index: ARRAY, at: index, count: "SLURM_ARRAY_TASK_COUNT", of: count });
    }
    Ok(Some(Place { scheduler: "a Slurm array", variable: ARRAY, index, count }))
}

/// A variable as an integer; none if it is not set.
fn number(environment: &Environment, name: &'static str, least: u64) -> Result<Option<u64>, PlaceError> {
    /// More tasks than any scheduler starts, and few enough that products fit.
    const MOST: u64 = 1 << 31;
    let Some(text) = environment.get(name) else { return Ok(None) };
    let is_digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = if is_digits { text.parse().ok() } else { None };
    match number.filter(|n| (least..=MOST).contains(n)) {
        Some(number) => Ok(Some(number)),
        None => Err(PlaceError::NotANumber { name, value: text.chars().take(40).collect(), least }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(text: &str) -> Environment {
        let pairs = text.split_whitespace().map(|pair| pair.split_once('=').expect("a pair"));
        Environment::new(pairs.map(|(name, value)| (name.into(), value.into())))
    }

    /// Index, count and variable, or what is wrong.
    fn found(text: &str) -> Result<(u64, u64, &'static str), String> {
        let place = find(&environment(text)).map_err(|error| error.to_string())?;
        place.map(|place| (place.index, place.count, place.variable)).ok_or_else(|| "nowhere".to_owned())
    }

    const STEP: &str = "SLURM_JOB_ID=9 SLURM_NTASKS=4 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4";
    const RANGE: &str =
        "SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_STEP=1 SLURM_ARRAY_TASK_COUNT=4";

    #[test]
    fn every_scheduler_says_where_we_are() {
        let evens = "SLURM_ARRAY_TASK_MIN=2 SLURM_ARRAY_TASK_MAX=8 SLURM_ARRAY_TASK_STEP=2 SLURM_ARRAY_TASK_COUNT=4";
        for (text, expected) in [
            ("LLMSIM_BLAST_SHARD_INDEX=2 LLMSIM_BLAST_SHARD_COUNT=3", (2, 3, INDEX)),
            ("JOB_COMPLETION_INDEX=0 LLMSIM_BLAST_SHARD_COUNT=4", (0, 4, "JOB_COMPLETION_INDEX")),
            ("AWS_BATCH_JOB_ARRAY_INDEX=7 AWS_BATCH_JOB_ARRAY_SIZE=8", (7, 8, "AWS_BATCH_JOB_ARRAY_INDEX")),
            ("CLOUD_RUN_TASK_INDEX=1 CLOUD_RUN_TASK_COUNT=2", (1, 2, "CLOUD_RUN_TASK_INDEX")),
            ("NOMAD_ALLOC_INDEX=1 LLMSIM_BLAST_SHARD_COUNT=2", (1, 2, "NOMAD_ALLOC_INDEX")),
            ("OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4", (3, 4, "OMPI_COMM_WORLD_RANK")),
            ("PMI_RANK=1 PMI_SIZE=4", (1, 4, "PMI_RANK")),
            (&format!("{STEP} SLURM_PROCID=3"), (3, 4, "SLURM_PROCID")),
            // srun may set both; the step's are the same, and named first.
            (&format!("{STEP} SLURM_PROCID=1 PMI_RANK=1 PMI_SIZE=4"), (1, 4, "SLURM_PROCID")),
            (&format!("{RANGE} SLURM_ARRAY_TASK_ID=3"), (3, 4, ARRAY)),
            (&format!("{evens} SLURM_ARRAY_TASK_ID=2"), (0, 4, ARRAY)),
            (&format!("{evens} SLURM_ARRAY_TASK_ID=8"), (3, 4, ARRAY)),
            // The batch script of an array's job: PROCID alone never counts.
            (&format!("{RANGE} SLURM_ARRAY_TASK_ID=1 SLURM_PROCID=0 SLURM_NTASKS=2"), (1, 4, ARRAY)),
            // srun inside of an array's job.
            (&format!("{RANGE} SLURM_ARRAY_TASK_ID=2 SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2"), (5, 8, ARRAY)),
            // Ours beat the scheduler's.
            ("LLMSIM_BLAST_SHARD_INDEX=1 LLMSIM_BLAST_SHARD_COUNT=2 JOB_COMPLETION_INDEX=0", (1, 2, INDEX)),
            // mpirun inside of an allocation.
            (
                "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 SLURM_PROCID=0 SLURM_NTASKS=2",
                (1, 2, "OMPI_COMM_WORLD_RANK"),
            ),
        ] {
            assert_eq!(found(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_whole_is_named() {
        for (text, expected) in [
            ("", "nowhere"),
            ("HOME=/root CI_NODE_INDEX=1 CI_NODE_TOTAL=2", "nowhere"),
            ("LLMSIM_BLAST_SHARD_INDEX=0", "LLMSIM_BLAST_SHARD_COUNT is not"),
            ("JOB_COMPLETION_INDEX=1", "JOB_COMPLETION_INDEX is set, and LLMSIM_BLAST_SHARD_COUNT is not"),
            ("AWS_BATCH_JOB_ARRAY_INDEX=1", "AWS_BATCH_JOB_ARRAY_SIZE is not"),
            ("CLOUD_RUN_TASK_INDEX=1", "CLOUD_RUN_TASK_COUNT is not"),
            ("NOMAD_ALLOC_INDEX=0", "LLMSIM_BLAST_SHARD_COUNT is not"),
            ("OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE is not"),
            ("PMI_RANK=1", "PMI_SIZE is not"),
            ("SLURM_PROCID=0 SLURM_JOB_ID=1", "start this program with srun"),
            ("SLURM_PROCID=0 SLURM_NTASKS=4", "start this program with srun"),
            ("SLURM_ARRAY_TASK_ID=1", "SLURM_ARRAY_TASK_MIN is not"),
            ("JOB_COMPLETION_INDEX=4 LLMSIM_BLAST_SHARD_COUNT=4", "expected an index below the count"),
            ("JOB_COMPLETION_INDEX=-1 LLMSIM_BLAST_SHARD_COUNT=4", "invalid value '-1' for JOB_COMPLETION_INDEX"),
            ("JOB_COMPLETION_INDEX=0 LLMSIM_BLAST_SHARD_COUNT=0", "expected an integer of at least 1"),
            ("PMI_RANK=0 PMI_SIZE=99999999999999999999", "for PMI_SIZE"),
        ] {
            let said = found(text).expect_err(text);
            assert!(said.contains(expected), "{text}: {said}");
        }
        let list = "SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=7 SLURM_ARRAY_TASK_STEP=1 SLURM_ARRAY_TASK_COUNT=3";
        for id in [1, 5, 7] {
            let said = found(&format!("{list} SLURM_ARRAY_TASK_ID={id}")).expect_err("a list");
            assert!(said.contains("use a range such as 0-3"), "{said}");
        }
        // The count fits by chance: the task lies between the steps.
        let odd = "SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=4 SLURM_ARRAY_TASK_STEP=2 SLURM_ARRAY_TASK_COUNT=3";
        assert!(found(&format!("{odd} SLURM_ARRAY_TASK_ID=3")).is_err());
    }

    fn placed(shard: Option<&str>, text: &str) -> (Option<Given>, Vec<String>) {
        let mut overrides = Overrides::default();
        overrides.insert("shard", shard.map(|shard| Given::flag("shard", shard)).into_iter().collect());
        place(&mut overrides, &environment(text)).unwrap_or_else(|error| panic!("{error}"));
        (overrides.one("shard").cloned(), overrides.notes().to_vec())
    }

    #[test]
    fn the_environment_counts_only_when_it_is_asked() {
        let pod = "JOB_COMPLETION_INDEX=1 LLMSIM_BLAST_SHARD_COUNT=4";
        assert_eq!(placed(Some("auto"), pod), (Some(Given::environment("JOB_COMPLETION_INDEX", "1/4")), Vec::new()));
        assert_eq!(placed(Some("0/2"), pod), (Some(Given::flag("shard", "0/2")), Vec::new()));
        let (shard, notes) = placed(None, pod);
        assert!(shard.is_none() && notes.len() == 1, "{notes:?}");
        assert!(notes[0].starts_with("JOB_COMPLETION_INDEX is set (by a Kubernetes Indexed Job)"), "{notes:?}");
        for (text, warned) in [
            ("JOB_COMPLETION_INDEX=0", true),
            ("NOMAD_ALLOC_INDEX=0", false),
            ("NOMAD_ALLOC_INDEX=3", true),
            ("CLOUD_RUN_TASK_INDEX=0 CLOUD_RUN_TASK_COUNT=1", false),
            ("SLURM_PROCID=0 SLURM_NTASKS=4", false),
            (&format!("{STEP} SLURM_PROCID=0"), true),
            ("HOME=/root", false),
        ] {
            assert_eq!(placed(None, text).1.len(), usize::from(warned), "{text}");
        }
        let error = place(&mut Overrides::default().with("shard", [Given::flag("shard", "auto")]), &environment(""));
        assert_eq!(error, Err(PlaceError::Nowhere));
    }
}
