//! Overrides of users, length and stages.

use super::*;

fn shape(profile: &str, overrides: &Overrides) -> Result<Shape, PlanError> {
    let text = format!("{profile}{CHAT}");
    super::file(&text, overrides).map(|plan| plan.shape)
}

fn vus(n: &str) -> Overrides {
    Overrides { vus: flag("vus", n), ..Overrides::default() }
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
    let duration = Overrides { duration: flag("duration", "20s"), ..Overrides::default() };
    assert_eq!(run("load", &duration).expect("fine").plan.shape.end(), secs(20));
    assert_eq!(shape(FLAT, &duration), Ok(Shape::ConstantVus { vus: 2, duration: secs(20) }));
    let both = Overrides { vus: flag("vus", "8"), duration: flag("duration", "30s"), ..Overrides::default() };
    assert_eq!(shape(RAMPS, &both), Ok(ramps(2, &[(20, 8), (10, 0)])));
}

#[test]
fn iterations_replace_and_stages_replace() {
    let overrides = Overrides { iterations: flag("iterations", "99"), ..Overrides::default() };
    let max_duration = limits::DEFAULT_MAX_DURATION;
    assert_eq!(shape(COUNTING, &overrides), Ok(Shape::SharedIterations { vus: 2, iterations: 99, max_duration }));
    let stages = vec![Given::flag("stage", "5s:10"), Given::flag("stage", "0s:20"), Given::flag("stage", "1m:0")];
    let overrides = Overrides { stages, ..Overrides::default() };
    let shape = run("high-concurrency", &overrides).expect("fine").plan.shape;
    assert_eq!(shape, ramps(1, &[(5, 10), (0, 20), (60, 0)]));
}

#[test]
#[allow(clippy::large_stack_arrays, reason = "a table of cases, each with all overrides")]
fn a_combination_that_makes_no_sense_is_refused_and_named() {
    let some = |name: &str| flag(name, "5s");
    let stage = |text: &str| vec![Given::flag("stage", text)];
    let none = Overrides::default;
    for (profile, overrides, expected) in vec![
        (
            FLAT,
            Overrides { iterations: flag("iterations", "5"), ..none() },
            "--iterations (flag): the profile's executor constant-vus runs by time: expected --duration",
        ),
        (RAMPS, Overrides { iterations: flag("iterations", "5"), ..none() }, "expected --duration"),
        (
            COUNTING,
            Overrides { duration: some("duration"), ..none() },
            "--duration (flag): the profile's executor shared-iterations counts requests instead of time: expected --iterations",
        ),
        (
            FLAT,
            Overrides { stages: stage("5s:1"), ..none() },
            "--stage (flag): the profile's executor constant-vus has no stages",
        ),
        (COUNTING, Overrides { stages: stage("5s:1"), ..none() }, "has no stages"),
        (
            RAMPS,
            Overrides { stages: stage("5s:1"), vus: flag("vus", "5"), ..none() },
            "--vus (flag): cannot stand together with --stage (flag)",
        ),
        (
            RAMPS,
            Overrides { stages: stage("5s:1"), duration: env("LLMSIM_BLAST_DURATION", "5s"), ..none() },
            "LLMSIM_BLAST_DURATION (environment): cannot stand together with --stage (flag)",
        ),
        (RAMPS, Overrides { stages: stage("0s:1"), ..none() }, "--stage (flag): the stages take no time at all"),
        (COUNTING, Overrides { vus: flag("vus", "11"), ..none() }, "--vus (flag): 11 users cannot share 10 iterations"),
    ] {
        let error = shape(profile, &overrides).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}\n{expected}");
        assert!(!error.is_usage(), "{error}");
    }
}

#[test]
fn a_value_that_makes_no_sense_is_refused_as_a_mistake_of_the_command_line() {
    let none = Overrides::default;
    for (profile, overrides, expected) in vec![
        (FLAT, vus("0"), "--vus (flag): `0` is not possible: expected a whole number from 1 to 1000000"),
        (FLAT, vus("-5"), "`-5` is not possible"),
        (FLAT, vus("many"), "`many` is not possible"),
        (FLAT, vus("1000001"), "from 1 to 1000000"),
        (FLAT, Overrides { duration: flag("duration", "0"), ..none() }, "more than zero"),
        (FLAT, Overrides { duration: flag("duration", "10"), ..none() }, "expected one like 30s"),
        (FLAT, Overrides { duration: flag("duration", "9999h"), ..none() }, "at most 720h"),
        (COUNTING, Overrides { iterations: flag("iterations", "0"), ..none() }, "whole number from 1"),
        (RAMPS, Overrides { stages: vec![Given::flag("stage", "10")], ..none() }, "expected DURATION:USERS"),
        (
            RAMPS,
            Overrides { stages: vec![Given::flag("stage", "x:10")], ..none() },
            "--stage (flag): `x` is not a duration",
        ),
        (RAMPS, Overrides { stages: vec![Given::flag("stage", "5s:-1")], ..none() }, "`-1` is not possible"),
        (FLAT, Overrides { think_time: flag("think-time", "2s..1s"), ..none() }, "runs backwards"),
        (FLAT, Overrides { think_time: flag("think-time", "fast"), ..none() }, "is not a duration"),
        (FLAT, Overrides { timeout: flag("timeout", "0s"), ..none() }, "more than zero"),
        (FLAT, Overrides { workers: flag("workers", "0"), ..none() }, "from 1 to 1024"),
        (FLAT, Overrides { workers: flag("workers", "1025"), ..none() }, "from 1 to 1024"),
        (FLAT, Overrides { seed: flag("seed", "-1"), ..none() }, "--seed (flag)"),
        (FLAT, Overrides { port: flag("port", "0"), ..none() }, "from 1 to 65535"),
        (FLAT, Overrides { port: flag("port", "65536"), ..none() }, "from 1 to 65535"),
        (FLAT, Overrides { output: flag("output", ""), ..none() }, "expected a file, or -"),
        (FLAT, Overrides { tags: vec![Given::flag("tag", "x")], ..none() }, "expected KEY=VALUE"),
        (FLAT, Overrides { server_bin: flag("server-bin", ""), ..none() }, "expected a path"),
    ] {
        let error = shape(profile, &overrides).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}\n{expected}");
        assert!(error.is_usage(), "{error}");
    }
    let error = shape(FLAT, &Overrides { vus: env("LLMSIM_BLAST_VUS", "x"), ..none() }).expect_err("environment");
    assert!(error.to_string().starts_with("LLMSIM_BLAST_VUS (environment): `x` is not possible"), "{error}");
    assert!(!error.is_usage(), "the environment is configuration");
}
