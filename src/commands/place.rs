//! The destination of a result: a file, a pipe, a device, or standard output.

use crate::plan::Output;
use crate::trial::Stop;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, access};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::{NamedTempFile, TempPath};

/// Names of standard output.
const STDOUT: [&str; 5] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1"];
/// Prefix of the temporary name of a result, in the folder of its place.
const HIDDEN_PREFIX: &str = ".llmsim-blast-";
/// Pause between two checks for a signal while a pipe accepts nothing.
const LOOK: Duration = Duration::from_millis(50);
/// Number of these pauses that a pipe may be without a reader.
const LOOKS_FOR_A_READER: u32 = 40;

/// The destination of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Stdout,
    /// A pipe, a device, or a descriptor. It is written to, never replaced.
    Stream(PathBuf),
    /// A file that appears whole or not at all. Symbolic links in the path were followed.
    File(PathBuf),
}

impl Place {
    pub(super) fn of(output: &Output) -> io::Result<Self> {
        let path = match output {
            Output::Stdout => return Ok(Self::Stdout),
            Output::File(path) => path,
        };
        if STDOUT.iter().any(|name| path == Path::new(name)) {
            return Ok(Self::Stdout);
        }
        let names_a_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if names_a_folder && !path.exists() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it names a folder"));
        }
        if names_a_folder || path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let is_descriptor = ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.starts_with(folder));
        if is_descriptor || path == Path::new("/dev/stderr") || is_special(path) {
            return Ok(Self::Stream(path.clone()));
        }
        Ok(Self::File(end_of_links(path)?))
    }

    /// Checks that the place can be written to, as far as possible without changing it. A pipe is
    /// not opened: closing it would look like the end of the data to its reader.
    pub(super) fn check(&self) -> io::Result<()> {
        match self {
            Self::Stdout => Ok(()),
            Self::Stream(path) => Ok(access(path, Access::WRITE_OK)?),
            Self::File(path) => Nameless::new(folder_of(path)).map(drop).or_else(|_| beside(path).map(drop)),
        }
    }

    /// Returns true if two results cannot both go to this place.
    pub(super) fn clashes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stdout, Self::Stdout) => true,
            (Self::Stream(one), Self::Stream(two)) => one == two && !is_device(one),
            (Self::File(one), Self::File(two)) => one == two || is_same_file(one, two),
            _ => false,
        }
    }

    pub(super) fn write(&self, text: &str, out: &mut dyn Write, stop: Option<&Stop>) -> io::Result<()> {
        match self {
            Self::Stdout if stdout_was_closed() => Err(io::Error::other("standard output is closed")),
            Self::Stdout => out.write_all(text.as_bytes()).and_then(|()| out.flush()),
            Self::Stream(path) => pour(path, text.as_bytes(), &|| stop.is_some_and(Stop::is_signalled)),
            Self::File(path) => replace(path, text),
        }
    }
}

/// Writes a result whose place has failed to a new file in the folder for temporary files, or in
/// the working directory. Returns the path.
pub(super) fn rescue(text: &str) -> io::Result<PathBuf> {
    const PREFIX: &str = "llmsim-blast-result-";
    let mode = Permissions::from_mode(0o600);
    let at = |folder: &Path| {
        let nameless = Nameless::with(folder, text, Some(&mode)).and_then(|file| file.named(PREFIX, folder));
        let name = nameless.or_else(|_| {
            let mut file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder)?;
            file.write_all(text.as_bytes()).map(|()| file.into_temp_path())
        })?;
        name.keep().map_err(|error| error.error)
    };
    at(&std::env::temp_dir()).or_else(|_: io::Error| at(Path::new(".")))
}

/// Returns true for a pipe or a device: it is written to, not replaced.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn is_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(path).is_ok_and(|found| found.file_type().is_char_device())
}

fn is_same_file(one: &Path, two: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let full = |path: &Path| Some((folder_of(path).canonicalize().ok()?, path.file_name()?.to_owned()));
    (id(one).is_some() && id(one) == id(two)) || (full(one).is_some() && full(one) == full(two))
}

/// Follows the symbolic links of a path to the end, even if nothing exists there yet.
fn end_of_links(path: &Path) -> io::Result<PathBuf> {
    /// Linux follows no more links than this in one path (`path_resolution(7)`).
    const MOST_LINKS: u32 = 40;
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Replaces a file by a complete one with the mode of the earlier file.
///
/// The text is written to a file without a name, which the kernel removes with the process, so a
/// kill during the write leaves nothing. If the file system lacks such files, a temporary file in
/// the same folder is used instead, which may remain after a kill.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mode = fs::metadata(path).ok().map(|earlier| Permissions::from_mode(earlier.mode() & 0o7777));
    let nameless = Nameless::with(folder_of(path), text, mode.as_ref()).and_then(|file| file.become_named(path));
    nameless.or_else(|_| replace_by_named(path, text, mode))
}

/// Replaces a file where every file needs a name. The user sees the errors of this function.
fn replace_by_named(path: &Path, text: &str, mode: Option<Permissions>) -> io::Result<()> {
    let mut file = beside(path)?;
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode)?;
    }
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A complete file that does not have a name yet.
struct Nameless(File);

impl Nameless {
    fn new(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        Ok(Self(File::from(rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666))?)))
    }

    fn with(folder: &Path, text: &str, mode: Option<&Permissions>) -> io::Result<Self> {
        let mut file = Self::new(folder)?;
        if let Some(mode) = mode {
            file.0.set_permissions(mode.clone())?;
        }
        file.0.write_all(text.as_bytes())?;
        file.0.sync_all()?;
        Ok(file)
    }

    /// Gives the file this name. A taken name can only be replaced by a rename, so the file then
    /// has another name for the instant between two system calls.
    fn become_named(self, path: &Path) -> io::Result<()> {
        match self.link(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => return linked,
        }
        Ok(self.named(HIDDEN_PREFIX, folder_of(path))?.persist(path)?)
    }

    /// Gives the file a unique name in this folder.
    fn named(&self, prefix: &str, folder: &Path) -> io::Result<TempPath> {
        let named = tempfile::Builder::new().prefix(prefix).make_in(folder, |path| self.link(path))?;
        Ok(named.into_temp_path())
    }

    /// Links the file by its descriptor's entry in `/proc`: older kernels offer no other way
    /// without a privilege.
    fn link(&self, path: &Path) -> io::Result<()> {
        let descriptor = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        Ok(rustix::fs::linkat(CWD, descriptor, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
    }
}

/// Creates a temporary file in the folder of `path`, with the permissions that a new file gets.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let new = Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(HIDDEN_PREFIX).permissions(new).tempfile_in(folder_of(path))
}

/// Writes to a pipe or a device as fast as it accepts data. Gives up once it blocks and `over`
/// returns true.
fn pour(path: &Path, mut bytes: &[u8], over: &dyn Fn() -> bool) -> io::Result<()> {
    let mut file = open_stream(path, over)?;
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if over() {
                    return Err(io::Error::new(
                        io::ErrorKind::Interrupted,
                        "a signal arrived while no process read from it",
                    ));
                }
                let timeout = LOOK.try_into().ok();
                let _ = poll(&mut [PollFd::new(&file, PollFlags::OUT)], timeout.as_ref());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens a pipe or a device without blocking. Waits a while if the pipe does not have a reader yet.
#[expect(clippy::disallowed_methods, reason = "waits for another process; the test is over")]
fn open_stream(path: &Path, over: &dyn Fn() -> bool) -> io::Result<File> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut looks = 0;
    loop {
        match OpenOptions::new().append(true).custom_flags(nonblocking).open(path) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                looks += 1;
                if over() || looks > LOOKS_FOR_A_READER {
                    return Err(io::Error::new(error.kind(), "no process reads from it"));
                }
                std::thread::sleep(LOOK);
            }
            opened => return opened,
        }
    }
}

/// Returns true if this process was started without a standard output. The standard library then
/// opens `/dev/null` in its place, for reading and writing, where a redirection by a shell only
/// writes. Results would vanish there without an error.
fn stdout_was_closed() -> bool {
    let stdout = io::stdout();
    let is_null = fs::metadata("/dev/null").ok().zip(fs::metadata("/proc/self/fd/1").ok());
    let is_null = is_null.is_some_and(|(null, ours)| null.rdev() == ours.rdev() && ours.rdev() != 0);
    is_null && rustix::fs::fcntl_getfl(&stdout).is_ok_and(|flags| flags.contains(OFlags::RDWR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &Path) -> io::Result<Place> {
        Place::of(&Output::File(path.to_path_buf()))
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_refused_before_the_test() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = place(&folder.path().join("missing").join("r.json")).expect("a place");
        assert_eq!(missing.check().expect_err("refused").kind(), io::ErrorKind::NotFound);
        for folder in [folder.path().to_path_buf(), folder.path().join("new/")] {
            assert_eq!(place(&folder).expect_err("refused").kind(), io::ErrorKind::IsADirectory);
        }
    }

    #[test]
    fn checking_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.json");
        fs::write(&path, "the earlier result").expect("written");
        place(&path).expect("a place").check().expect("fine");
        assert_eq!(fs::read_to_string(&path).expect("still there"), "the earlier result");
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1);
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.json");
        let mode = || fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        replace(&path, "one").expect("written");
        assert_ne!(mode() & 0o044, 0, "others may read it, as far as the umask allows");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
        replace(&path, "two").expect("written");
        assert_eq!((fs::read_to_string(&path).expect("there").as_str(), mode()), ("two", 0o600));
        // The same on a file system whose files need a name.
        replace_by_named(&path, "three", Some(Permissions::from_mode(0o640))).expect("written");
        assert_eq!((fs::read_to_string(&path).expect("there").as_str(), mode()), ("three", 0o640));
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1, "nothing stands beside it");
    }

    #[test]
    fn nothing_has_a_name_before_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.json");
        let names = || fs::read_dir(folder.path()).expect("read").count();
        let file = match Nameless::with(folder.path(), "all of it", None) {
            Ok(file) => file,
            // The file system lacks such files.
            Err(error) => return assert!(error.raw_os_error().is_some(), "{error}"),
        };
        assert_eq!(names(), 0);
        file.become_named(&path).expect("linked");
        assert_eq!((fs::read_to_string(&path).expect("there").as_str(), names()), ("all of it", 1));
        // The name is taken now.
        Nameless::with(folder.path(), "new", None).expect("written").become_named(&path).expect("renamed");
        assert_eq!((fs::read_to_string(&path).expect("there").as_str(), names()), ("new", 1));
    }

    #[test]
    fn links_are_followed_and_places_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let [real, link, other] = ["real", "link", "other"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink("real", &link).expect("a link");
        let [real, link, other] = [&real, &link, &other].map(|path| place(path).expect("a place"));
        assert_eq!(link, real, "although nothing is there yet");
        assert!(link.clashes_with(&real) && !link.clashes_with(&other));
        for name in ["-", "/dev/stdout", "/dev/fd/1"] {
            assert_eq!(place(Path::new(name)).expect("a place"), Place::Stdout, "{name}");
        }
        let null = place(Path::new("/dev/null")).expect("a place");
        assert!(!null.clashes_with(&null), "what nobody keeps may be written twice");
    }
}
