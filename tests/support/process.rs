//! Runs the tool as a process: takes arguments, returns the exit code and the output, and never
//! lets a test hang.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest run of the tool in a test that does not set a limit.
const LIMIT: Duration = Duration::from_secs(120);
/// Pause between two checks of a process that is about to end.
const POLL: Duration = Duration::from_millis(5);

/// The outcome of a run of the tool.
#[derive(Debug)]
pub struct Output {
    /// The exit code. `None` if a signal ended the run.
    pub code: Option<i32>,
    /// The standard output.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
    /// The duration of the run.
    pub took: Duration,
}

/// Runs the tool to its end.
pub fn blast(args: &[&str]) -> Output {
    blast_with(args, &[], LIMIT)
}

/// The same with additions to the environment and another time limit.
pub fn blast_with(args: &[&str], env: &[(&str, &str)], limit: Duration) -> Output {
    start(args, env).finish(limit)
}

/// Starts the tool. It inherits our environment, without the variables that configure it or colour
/// its output.
pub fn start(args: &[&str], env: &[(&str, &str)]) -> Running {
    let mut command = tool();
    command.args(args).envs(env.iter().copied());
    spawn(command, args)
}

/// Starts the tool after a shell command such as `ulimit -n 256`, and inherits its settings.
pub fn start_after(shell: &str, args: &[&str]) -> Running {
    let tool = tool();
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("{shell} && exec \"$0\" \"$@\"")).arg(tool.get_program()).args(args);
    for (name, value) in tool.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    spawn(command, args)
}

/// Starts the tool with a standard error that is not read any more.
pub fn start_unheard(args: &[&str]) -> Running {
    let mut command = tool();
    let (unread, written) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
    drop(unread);
    command.args(args).stderr(std::os::fd::OwnedFd::from(written)).stdout(Stdio::piped());
    spawn_as_it_is(command, args)
}

/// Returns the tool without arguments, in our environment without the variables that configure it
/// or colour its output.
pub fn tool() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmsim-blast"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("LLMSIM_BLAST_")
            || text.starts_with("K6_")
            || text == "NO_COLOR"
            || text.starts_with("CLICOLOR")
        {
            command.env_remove(&name);
        }
    }
    // Tests look for more than a screen shows.
    command.env("LLMSIM_BLAST_DETAILS", "true");
    command
}

fn spawn(mut command: Command, args: &[&str]) -> Running {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn_as_it_is(command, args)
}

#[expect(clippy::disallowed_methods, reason = "measures another process from outside")]
fn spawn_as_it_is(mut command: Command, args: &[&str]) -> Running {
    let started = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let stdout = child.stdout.take().map_or_else(|| Captured::read(std::io::empty()), Captured::read);
    let stderr = child.stderr.take().map_or_else(|| Captured::read(std::io::empty()), Captured::read);
    Running { what: format!("llmsim-blast {}", args.join(" ")), child, stdout, stderr, started }
}

/// The tool while it runs. Killed when dropped.
pub struct Running {
    what: String,
    child: Child,
    stdout: Captured,
    stderr: Captured,
    started: Instant,
}

impl Running {
    /// Returns the process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the tool a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("the process is there");
    }

    /// Returns true if the tool has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_some()
    }

    /// Waits until the tool has written `text` to standard error.
    pub fn wait_for_stderr(&self, text: &str, limit: Duration) {
        self.wait_for(&self.stderr, text, limit);
    }

    /// Waits until the tool has written `text` to standard output.
    pub fn wait_for_stdout(&self, text: &str, limit: Duration) {
        self.wait_for(&self.stdout, text, limit);
    }

    fn wait_for(&self, captured: &Captured, text: &str, limit: Duration) {
        let found = captured.wait_for(text, limit);
        assert!(found, "`{}` did not say `{text}` within {limit:?}; it said:\n{}", self.what, captured.text());
    }

    /// Waits for the end of the run. A run that takes longer than `limit` is killed and fails the
    /// test.
    #[expect(clippy::disallowed_methods, reason = "waits for another process")]
    pub fn finish(mut self, limit: Duration) -> Output {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                break status;
            }
            if self.started.elapsed() > limit {
                let _ = self.child.kill();
                let _ = self.child.wait();
                let (out, err) = (self.stdout.text(), self.stderr.text());
                panic!("`{}` took longer than {limit:?}\nstdout:\n{out}\nstderr:\n{err}", self.what);
            }
            std::thread::sleep(POLL);
        };
        let took = self.started.elapsed();
        Output { code: status.code(), stdout: self.stdout.finish(), stderr: self.stderr.finish(), took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes read from a pipe so far. A thread of its own reads them.
struct Captured {
    shared: Arc<(Mutex<Capture>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Capture {
    bytes: Vec<u8>,
    closed: bool,
}

impl Captured {
    fn read(mut pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(Capture::default()), Condvar::new()));
        let writer = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let n = pipe.read(&mut buffer).unwrap_or(0);
                let mut capture = writer.0.lock().unwrap();
                capture.bytes.extend_from_slice(&buffer[..n]);
                capture.closed = n == 0;
                writer.1.notify_all();
                if n == 0 {
                    return;
                }
            }
        });
        Self { shared, thread: Some(thread) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shared.0.lock().unwrap().bytes).into_owned()
    }

    fn wait_for(&self, text: &str, limit: Duration) -> bool {
        let found = |capture: &Capture| String::from_utf8_lossy(&capture.bytes).contains(text);
        let capture = self.shared.0.lock().unwrap();
        let waiting = |capture: &mut Capture| !capture.closed && !found(capture);
        let (capture, _) = self.shared.1.wait_timeout_while(capture, limit, waiting).unwrap();
        found(&capture)
    }

    /// Returns everything up to the end of the pipe.
    fn finish(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reader");
        }
        self.text()
    }
}

/// Checks that the run ended with 107 and these words, and did not panic.
pub fn no_data(output: &Output, expected: &[&str]) {
    assert_eq!(output.code, Some(107), "{output:?}");
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    for words in expected {
        assert!(output.stderr.contains(words) || output.stdout.contains(words), "no `{words}` in {output:?}");
    }
}
