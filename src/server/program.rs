//! Finds the file of a program as a shell would.

use super::ServerError;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Returns the file to run for `name`: a path is used as given, a bare name is searched in this
/// folder and then in `PATH`. `flag` is the flag that gave the name.
pub(super) fn find(name: &Path, flag: &'static str) -> Result<PathBuf, ServerError> {
    find_in(name, flag, std::env::var_os("PATH").unwrap_or_default().as_os_str())
}

/// Returns the file to run for `name` from `PATH` alone, never from this folder.
pub(super) fn find_on_path(name: &str, flag: &'static str) -> Result<PathBuf, ServerError> {
    search(Path::new(name), std::env::var_os("PATH").unwrap_or_default().as_os_str()).ok_or_else(|| {
        ServerError::NotExecutable { flag, path: name.into(), reason: "no such file in PATH".to_owned() }
    })
}

fn search(name: &Path, path: &std::ffi::OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| check(file).is_ok())
}

fn find_in(name: &Path, flag: &'static str, path: &std::ffi::OsStr) -> Result<PathBuf, ServerError> {
    let bare = name.components().count() == 1 && name.file_name().is_some() && !name.to_string_lossy().contains('/');
    // `./` keeps the later exec from searching PATH for a file of this folder.
    let here = if bare { Path::new(".").join(name) } else { name.to_path_buf() };
    let error = |reason: String| ServerError::NotExecutable { flag, path: name.to_path_buf(), reason };
    match check(&here) {
        Ok(()) => Ok(here),
        Err(reason) if !bare => Err(error(reason)),
        Err(reason) => search(name, path)
            .ok_or_else(|| error(if here.exists() { reason } else { "no such file here or in PATH".to_owned() })),
    }
}

/// Returns an error if `file` cannot be run, as far as can be told without running it.
fn check(file: &Path) -> Result<(), String> {
    let meta = file.metadata().map_err(|e| e.to_string())?;
    if meta.is_dir() {
        return Err("it is a folder; a checkout is given with --server-src".to_owned());
    }
    // Any of the three x bits will do. The exec itself tells whether we may use it.
    if meta.permissions().mode() & 0o111 == 0 {
        return Err("it is not executable (chmod +x)".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    fn reason(name: &str) -> String {
        find_in(Path::new(name), "--server-bin", OsStr::new("/bin")).unwrap_err().to_string()
    }

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let find = |name| find_in(Path::new(name), "--server-bin", OsStr::new("/nonexistent:/bin"));
        assert_eq!(find("/bin/sh").unwrap(), Path::new("/bin/sh"));
        assert_eq!(find("sh").unwrap(), Path::new("/bin/sh"));
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_reason() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let plain = reason(file.path().to_str().unwrap());
        assert!(plain.starts_with("--server-bin /") && plain.contains("not executable"), "{plain}");
        assert!(reason("/nonexistent/llmsim").contains("No such file"));
        assert!(reason("/").contains("--server-src"));
        assert!(reason("no-such-llmsim").contains("in PATH"));
        assert!(reason("").contains("No such file"));
    }
}
