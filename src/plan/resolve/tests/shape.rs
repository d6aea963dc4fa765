//! Overrides of users, length and stages.

use super::*;

fn shape(profile: &str, overrides: &Overrides) -> Result<Shape, PlanError> {
    let text = format!("{profile}{CHAT}");
    super::file(&text, overrides).map(|plan| plan.shape)
}

fn vus(n: &str) -> Overrides {
    overrides! { vus: flag("vus", n) }
}

#[test]
fn vus_scale_ramps_to_that_peak_and_replace_elsewhere() {
    let peak = |n: &str| run("high-concurrency", &vus(n)).expect("fine").plan.shape;
    assert_eq!(peak("5000"), ramps(1000, &[(60, 5000), (120, 5000), (30, 0)]));
    assert_eq!(peak("1"), ramps(1, &[(60, 1), (120, 1), (30, 0)]));
    let load = run("load", &vus("3")).expect("fine").plan.shape;
    assert_eq!(load, ramps(1, &[(30, 1), (60, 1), (30, 3), (120, 3), (30, 0)]));
    assert_eq!(shape(FLAT, &vus("9")), Ok(Shape::ConstantVus { vus: 9, duration: secs(10) }));
    let max_duration = limits::DEFAULT_MAX_DURATION;
    assert_eq!(shape(COUNTING, &vus("9")), Ok(Shape::SharedIterations { vus: 9, iterations: 10, max_duration }));
}

#[test]
fn duration_scales_ramps_and_replaces_elsewhere() {
    let duration = overrides! { duration: flag("duration", "20s") };
    assert_eq!(run("load", &duration).expect("fine").plan.shape.end(), secs(20));
    assert_eq!(shape(FLAT, &duration), Ok(Shape::ConstantVus { vus: 2, duration: secs(20) }));
    let both = overrides! { vus: flag("vus", "8"), duration: flag("duration", "30s") };
    assert_eq!(shape(RAMPS, &both), Ok(ramps(2, &[(20, 8), (10, 0)])));
}

#[test]
fn iterations_replace_and_stages_replace() {
    let overrides = overrides! { iterations: flag("iterations", "99") };
    let max_duration = limits::DEFAULT_MAX_DURATION;
    assert_eq!(shape(COUNTING, &overrides), Ok(Shape::SharedIterations { vus: 2, iterations: 99, max_duration }));
    let stages = vec![Given::flag("stage", "5s:10"), Given::flag("stage", "0s:20"), Given::flag("stage", "1m:0")];
    let overrides = overrides! { stage: stages };
    let shape = run("high-concurrency", &overrides).expect("fine").plan.shape;
    assert_eq!(shape, ramps(1, &[(5, 10), (0, 20), (60, 0)]));
}

#[test]
#[allow(clippy::large_stack_arrays, reason = "a table of cases, each with all overrides")]
fn a_combination_that_makes_no_sense_is_refused_and_named() {
    let some = |name: &str| flag(name, "5s");
    let stage = |text: &str| vec![Given::flag("stage", text)];
    for (profile, overrides, expected) in vec![
        (
            FLAT,
            overrides! { iterations: flag("iterations", "5") },
            "--iterations cannot be used with the executor constant-vus, which runs by time: use --duration",
        ),
        (RAMPS, overrides! { iterations: flag("iterations", "5") }, "use --duration"),
        (
            COUNTING,
            overrides! { duration: some("duration") },
            "--duration cannot be used with the executor shared-iterations, which counts requests: use --iterations",
        ),
        (
            FLAT,
            overrides! { stage: stage("5s:1") },
            "--stage cannot be used with the executor constant-vus, which has no stages",
        ),
        (COUNTING, overrides! { stage: stage("5s:1") }, "has no stages"),
        (
            RAMPS,
            overrides! { stage: stage("5s:1"), vus: flag("vus", "5") },
            "--vus cannot be used together with --stage",
        ),
        (
            RAMPS,
            overrides! { stage: stage("5s:1"), duration: env("LLMSIM_BLAST_DURATION", "5s") },
            "LLMSIM_BLAST_DURATION cannot be used together with --stage",
        ),
        (RAMPS, overrides! { stage: stage("0s:1") }, "--stage describes stages that have a total duration of zero"),
        (COUNTING, overrides! { vus: flag("vus", "11") }, "--vus leaves 11 users to share 10 iterations"),
    ] {
        let error = shape(profile, &overrides).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}\n{expected}");
        assert!(!error.is_usage(), "{error}");
    }
}

#[test]
fn a_value_that_makes_no_sense_is_refused_as_a_mistake_of_the_command_line() {
    for (profile, overrides, expected) in vec![
        (FLAT, vus("0"), "invalid value '0' for --vus: expected an integer from 1 to 1000000"),
        (FLAT, vus("-5"), "invalid value '-5'"),
        (FLAT, vus("many"), "invalid value 'many'"),
        (FLAT, vus("1000001"), "from 1 to 1000000"),
        (FLAT, overrides! { duration: flag("duration", "0") }, "expected a duration above zero"),
        (FLAT, overrides! { duration: flag("duration", "10") }, "expected a duration such as 30s"),
        (FLAT, overrides! { duration: flag("duration", "9999h") }, "at most 720h"),
        (COUNTING, overrides! { iterations: flag("iterations", "0") }, "integer from 1"),
        (RAMPS, overrides! { stage: vec![Given::flag("stage", "10")] }, "expected DURATION:TARGET"),
        (
            RAMPS,
            overrides! { stage: vec![Given::flag("stage", "x:10")] },
            "invalid value 'x:10' for --stage: expected a duration such as",
        ),
        (RAMPS, overrides! { stage: vec![Given::flag("stage", "5s:-1")] }, "from 0 to 1000000 instead of '-1'"),
        (FLAT, overrides! { think_time: flag("think-time", "2s..1s") }, "MIN at most MAX"),
        (FLAT, overrides! { think_time: flag("think-time", "fast") }, "expected a duration"),
        (FLAT, overrides! { timeout: flag("timeout", "0s") }, "expected a duration above zero"),
        (FLAT, overrides! { workers: flag("workers", "0") }, "from 1 to 1024"),
        (FLAT, overrides! { workers: flag("workers", "1025") }, "from 1 to 1024"),
        (FLAT, overrides! { body_budget: flag("body-budget", "1KiB") }, "expected a size from 1MiB to 1024GiB"),
        (FLAT, overrides! { body_budget: flag("body-budget", "+2MiB") }, "expected a size from 1MiB to 1024GiB"),
        (FLAT, overrides! { body_budget: flag("body-budget", "2 TiB") }, "expected a size from 1MiB to 1024GiB"),
        (FLAT, overrides! { body_budget: flag("body-budget", "0") }, "expected a size from 1MiB to 1024GiB"),
        (FLAT, overrides! { seed: flag("seed", "-1") }, "--seed"),
        (FLAT, overrides! { port: flag("port", "0") }, "from 1 to 65535"),
        (FLAT, overrides! { port: flag("port", "65536") }, "from 1 to 65535"),
        (FLAT, overrides! { output: flag("output", "") }, "expected a path"),
        (FLAT, overrides! { tag: vec![Given::flag("tag", "x")] }, "such as KEY=VALUE"),
        (FLAT, overrides! { server_bin: flag("server-bin", "") }, "expected a path"),
    ] {
        let error = shape(profile, &overrides).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}\n{expected}");
        assert!(error.is_usage(), "{error}");
    }
    let error = shape(FLAT, &overrides! { vus: env("LLMSIM_BLAST_VUS", "x") }).expect_err("environment");
    assert!(error.to_string().starts_with("invalid value 'x' for LLMSIM_BLAST_VUS"), "{error}");
    assert!(!error.is_usage(), "the environment is configuration");
}
