//! The scripts in `scripts/ship`, and the files that must agree with them: archive, image,
//! licences, workflows. The scripts themselves check what needs a release build.

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{Bench, tool};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs a script of the repository, with a fixed date for everything that it builds.
fn script(path: &str, args: &[&str]) -> Output {
    let mut command = Command::new(root().join(path));
    for (name, value) in tool().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(args).env("SOURCE_DATE_EPOCH", "1000000000").output().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the output of a script that must succeed.
fn printed(path: &str, args: &[&str]) -> String {
    let output = script(path, args);
    assert!(output.status.success(), "{path} {args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Creates a bench with a small file that is packed in place of the binary, because its debug build
/// is large.
fn with_binary() -> (Bench, String) {
    let bench = Bench::new();
    let binary = bench.script("llmsim-blast", "echo it runs");
    (bench, binary)
}

#[test]
fn the_archive_is_the_one_that_the_installer_asks_for() {
    let (bench, binary) = with_binary();
    let version = env!("CARGO_PKG_VERSION");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let pack = |folder: &str| {
        let folder = bench.path(folder);
        let args = ["--binary", &binary, "--run", env!("CARGO_BIN_EXE_llmsim-blast"), "--target", &target];
        let line = printed("scripts/ship/tarball.sh", &[&args[..], &["--out", &folder]].concat());
        std::fs::read(line.trim()).expect("an archive")
    };
    let releases = format!("releases/v{version}");
    assert!(pack(&releases) == pack("again"), "the same input gives other bytes");

    let url = format!("file://{}", bench.path("releases"));
    let to = bench.path("installed");
    let line = printed("scripts/action/install.sh", &["--releases", &url, "--version", version, "--dir", &to]);
    let installed = Path::new(line.trim()).parent().expect("a folder").to_owned();
    for file in [
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "man/llmsim-blast.1",
        "man/llmsim-blast-compare.1",
        "completions/llmsim-blast.bash",
        "completions/_llmsim-blast",
        "completions/llmsim-blast.fish",
    ] {
        assert!(std::fs::metadata(installed.join(file)).is_ok_and(|file| file.len() > 0), "{file} is missing");
    }
}

/// Unpacks a tar archive.
fn unpacked(bench: &Bench, archive: &str, to: &str) -> PathBuf {
    let to = PathBuf::from(bench.path(to));
    std::fs::create_dir_all(&to).expect("a folder");
    let tar = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&to).status().expect("tar");
    assert!(tar.success());
    to
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .expect("JSON")
}

/// Returns the path of a blob, whose name is its checksum.
fn blob(layout: &Path, of: &Value) -> PathBuf {
    layout.join("blobs").join(of["digest"].as_str().expect("a digest").replace(':', "/"))
}

#[test]
fn the_image_has_the_user_of_the_manifests_and_no_shell() {
    let (bench, binary) = with_binary();
    let make = |file: &str| {
        let file = bench.path(file);
        let (amd, arm) = (format!("amd64={binary}"), format!("arm64={binary}"));
        printed("scripts/ship/image.py", &["--out", &file, "--tag", "llmsim-blast:1.2.3", &amd, &arm]);
        file
    };
    let (first, second) = (make("first.tar"), make("second.tar"));
    assert!(std::fs::read(&first).unwrap() == std::fs::read(second).unwrap(), "the same input gives other bytes");

    let layout = unpacked(&bench, &first, "layout");
    let index = json(&layout.join("index.json"));
    let machines = json(&blob(&layout, &index["manifests"][0]));
    let machines = machines["manifests"].as_array().expect("one for each machine");
    assert_eq!(machines.iter().map(|one| &one["platform"]["architecture"]).collect::<Vec<_>>(), ["amd64", "arm64"]);
    let manifest = json(&blob(&layout, &machines[0]));
    let config = json(&blob(&layout, &manifest["config"]));
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/llmsim-blast"]));
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], "1.2.3");
    let user = config["config"]["User"].as_str().expect("a user");
    let (uid, gid) = user.split_once(':').expect("a user and a group");
    let pods = text("scripts/kubernetes/base/job.yaml");
    assert!(pods.contains(&format!("runAsUser: {uid}\n")) && pods.contains(&format!("runAsGroup: {gid}\n")));
    let containerfile = text("scripts/ship/Containerfile");
    assert!(containerfile.contains(&format!("USER {user}\n")));
    assert!(containerfile.contains("ENTRYPOINT [\"/llmsim-blast\"]"));
    assert!(text("scripts/ship/image/etc/passwd").contains(&format!(":{uid}:{gid}:")));

    let rootfs = unpacked(&bench, blob(&layout, &manifest["layers"][0]).to_str().unwrap(), "root");
    let mut names: Vec<String> =
        std::fs::read_dir(&rootfs).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["etc", "llmsim-blast", "tmp"]);
}

#[test]
fn wrong_arguments_are_refused() {
    let (bench, binary) = with_binary();
    let out = bench.path("out");
    for (path, args) in [
        ("scripts/ship/build.sh", &["--target", "x86_64-pc-windows-msvc"][..]),
        ("scripts/ship/build.sh", &["--out"]),
        ("scripts/ship/build.sh", &["--profile", "nothing"]),
        ("scripts/ship/build.sh", &["--profile", &binary, "--instrument"]),
        ("scripts/ship/train.sh", &["--target", "sparc-unknown-linux-gnu"]),
        ("scripts/ship/train.sh", &["--out"]),
        ("scripts/ship/extras.sh", &["--binary", "nothing", &out]),
        ("scripts/ship/tarball.sh", &["--binary", &binary, "--target", "x", "--out", &out]),
        ("scripts/ship/deb.sh", &["--binary", &out]),
        ("scripts/ship/image.py", &["--out", &out, "--tag", "no version", "amd64=x"]),
        ("scripts/ship/image.py", &["--out", &out, "--tag", "a:1", "sparc=x"]),
        ("scripts/ship/image-check.sh", &[&out]),
        ("scripts/ship/static-check.sh", &[&out]),
        ("scripts/ship/papers.sh", &[]),
        ("scripts/ship/tools.sh", &["cargo-nothing"]),
        ("scripts/ship/release.sh", &["--tag", "v0.0.0"]),
        ("scripts/ship/ready.sh", &["--root", &out]),
        ("scripts/ship/collect.sh", &[&out, &out]),
        ("scripts/ship/release.sh", &["--profile", "nothing"]),
        ("scripts/ship/reproduce.sh", &["--nothing"]),
        ("scripts/ship/reproduce.sh", &["--profile", "nothing"]),
        ("scripts/fuzz.sh", &["nothing"]),
        ("scripts/fuzz.sh", &["--seconds", "0"]),
    ] {
        let output = script(path, args);
        assert_eq!(output.status.code(), Some(104), "{path} {args:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{path} {args:?} says nothing");
    }
}

/// Creates Cargo.toml and its companions as they are before a release, or as a person has filled
/// them in.
fn checkout(bench: &Bench, repository: &str, maintainer: &str, owner: &str, section: &str) -> String {
    let manifest = format!(
        "[package]\nname = \"llmsim-blast\"\nversion = \"1.2.3\"\n{repository}\n\n[dependencies]\nversion = \"9\"\n\n\
         [package.metadata.deb]\nmaintainer = \"{maintainer}\"\n"
    );
    std::fs::create_dir_all(bench.path("checkout/docs")).expect("a folder");
    bench.write("checkout/Cargo.toml", &manifest);
    bench.write("checkout/README.md", "# llmsim-blast\n");
    bench.write("checkout/docs/ci.md", &format!("first\nuses: {owner}/llmsim-blast\n"));
    bench.write("checkout/CHANGELOG.md", &format!("# Changelog\n\n## {section}\n"));
    bench.path("checkout")
}

#[test]
fn a_release_waits_for_what_only_a_person_knows() {
    let bench = Bench::new();
    let filled =
        ["repository = \"https://127.0.0.1/us/llmsim-blast\"", "Jo Doe <jo@localhost>", "us", "1.2.3 - 2026-12-01"];
    let empty = ["", "llmsim-blast maintainers <maintainers@llmsim-blast.invalid>", "OWNER", "Unreleased"];
    let ready = |[repository, maintainer, owner, section]: [&str; 4]| {
        let dir = checkout(&bench, repository, maintainer, owner, section);
        let output = script("scripts/ship/ready.sh", &["--root", &dir]);
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    assert_eq!(ready(filled), (Some(0), String::new()));
    let named =
        ["[package] repository is ''", "[package.metadata.deb] maintainer is", "docs/ci.md:2:", "no section for 1.2.3"];
    for (at, named) in named.into_iter().enumerate() {
        let mut one = filled;
        one[at] = empty[at];
        let (code, said) = ready(one);
        assert_eq!((code, said.lines().count()), (Some(104), 1), "{said}");
        assert!(said.contains(named), "{said}");
    }
    assert_eq!(ready(empty).1.lines().count(), 4);

    // While this checkout has placeholders, nothing is built.
    let here = script("scripts/ship/ready.sh", &[]);
    if here.status.code() == Some(104) {
        let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
        let output = script("scripts/ship/release.sh", &["--tag", &tag, "--out", &bench.path("out")]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(104), "{said}");
        assert!(
            said.starts_with(&*String::from_utf8_lossy(&here.stderr)) && said.contains("fill in the values"),
            "{said}"
        );
        assert!(!Path::new(&bench.path("out")).exists());
    }
}

#[test]
fn licences_are_accepted_by_one_list() {
    let list = |path: &str, find: &dyn Fn(&toml::Table) -> toml::Value| -> BTreeSet<String> {
        let rules: toml::Table = text(path).parse().expect("TOML");
        let list = find(&rules);
        list.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
    };
    let checked = list("deny.toml", &|rules| rules["licenses"]["allow"].clone());
    assert_eq!(list("scripts/ship/about.toml", &|rules| rules["accepted"].clone()), checked);
}

/// Cargo.toml names the files of the `.deb`, and a script creates them.
#[test]
fn the_package_names_what_the_script_makes() {
    let manifest: toml::Table = text("Cargo.toml").parse().expect("TOML");
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().expect("a list").clone();
    let (deb, extras) = (text("scripts/ship/deb.sh"), text("scripts/ship/extras.sh"));
    for asset in &assets {
        let path = asset[0].as_str().expect("a path").strip_prefix("target/deb/").expect("a file of the script");
        let name = path.trim_end_matches("*.1.gz");
        assert!(deb.contains(&format!("$stage/{name}")) || extras.contains(&format!("generate {name}")), "{path}");
    }
    assert!(assets.len() > 5, "{assets:?}");
}

#[test]
fn workflows_run_scripts_that_there_are() {
    let mut scripts = 0;
    for folder in [".github/workflows", "scripts/ci"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let workflow = std::fs::read_to_string(&path).expect("a workflow");
            for part in ["\nname: ", "\non:\n", "\npermissions:", "\njobs:\n", "    timeout-minutes: "] {
                assert!(workflow.contains(part), "{name} has no {part:?}");
            }
            assert!(!workflow.contains('\t'), "{name} has a tab");
            for used in workflow.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "))
            {
                // A tag can be moved to other code, a commit cannot. The comment with the version
                // is for readers.
                let (commit, version) =
                    used.split_once('@').and_then(|(_, rest)| rest.split_once(" # ")).unwrap_or_default();
                let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
                assert!(is_commit && !version.is_empty(), "{name}: {used}: expected ACTION@COMMIT # VERSION");
            }
            for (at, _) in workflow.match_indices("scripts/") {
                let rest = &workflow[at..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"/._-".contains(c)).unwrap_or(rest.len());
                let named = rest[..end].trim_end_matches('.');
                assert!(root().join(named).exists(), "{name}: there is no {named}");
                scripts += 1;
            }
        }
    }
    assert!(scripts > 8, "only {scripts} scripts are named");
}
