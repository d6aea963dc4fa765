//! The live display: progress on standard error, drawn on a thread of its own.
//!
//! Standard output belongs to the report. The measuring side hands over a [`Snapshot`] once a
//! second and never waits. If the terminal is slow, snapshots are dropped.

mod snapshot;
mod text;

pub use snapshot::{ALL_SHARDS, Outline, Snapshot};

use crate::units::Nanos;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The style of the display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A few lines that are overwritten, for eyes.
    Terminal {
        /// True if colours are wanted.
        color: bool,
        /// Columns of the terminal.
        width: u16,
    },
    /// One plain line now and then, for logs.
    Lines {
        /// Time between lines. 5 s is a good value.
        every: Nanos,
    },
    Off,
}

/// Snapshots and messages that wait for a slow terminal: a cargo build's lines, or a few minutes of
/// snapshots.
const MAX_QUEUED: usize = 256;
/// Most repaints a second. Faster ones cannot be seen.
const REPAINTS_PER_SECOND: u8 = 10;
/// Longest wait for the terminal at the end. A terminal that is stopped (Ctrl-S) is left alone.
const FINISH_WAIT: Nanos = Nanos::from_secs(1);

/// One thing to show.
#[derive(Debug)]
enum Item {
    Snapshot(Arc<Snapshot>),
    Message(String),
}

/// The display. Cleared when dropped.
#[derive(Debug)]
pub struct Progress {
    /// `None` when nothing is shown, or nothing any more.
    painter: Option<Painter>,
}

#[derive(Debug)]
struct Painter {
    items: SyncSender<Item>,
    /// Closed by the painting thread when it has ended.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Starts the display. If its thread cannot be started, nothing is shown, because the test is
    /// still worth running.
    pub fn start(mode: Mode) -> Self {
        let screen = match mode {
            Mode::Off => return Self { painter: None },
            Mode::Lines { every } => Screen::lines(every, Box::new(io::stderr())),
            Mode::Terminal { color, width } => Screen::terminal(color, width),
        };
        Self::paint_on(screen)
    }

    fn paint_on(mut screen: Screen) -> Self {
        let (items, incoming) = sync_channel(MAX_QUEUED);
        let (ending, ended) = sync_channel::<()>(0);
        let thread = std::thread::Builder::new().name("live".to_owned()).spawn(move || {
            for item in incoming {
                screen.paint(item);
            }
            screen.clear();
            drop(ending);
        });
        Self { painter: thread.ok().map(|thread| Painter { items, ended, thread }) }
    }

    /// Shows a moment of the run. Never waits: if the terminal is behind, this snapshot is dropped.
    pub fn show(&self, snapshot: Arc<Snapshot>) {
        self.offer(Item::Snapshot(snapshot));
    }

    /// Shows one line about the current activity, before or between snapshots: `starting embedded
    /// llmsim on 127.0.0.1:8080`. Never waits.
    pub fn message(&self, text: &str) {
        self.offer(Item::Message(text.to_owned()));
    }

    /// Clears the display and ends its thread, so that later output stands alone.
    pub fn finish(mut self) {
        self.end();
    }

    fn offer(&self, item: Item) {
        if let Some(painter) = &self.painter {
            // Full: the terminal is behind. Disconnected: the thread has ended, and with it the
            // display. Neither is worth reporting.
            let _ = painter.items.try_send(item);
        }
    }

    fn end(&mut self) {
        let Some(Painter { items, ended, thread }) = self.painter.take() else { return };
        drop(items);
        if ended.recv_timeout(FINISH_WAIT.to_duration()) == Err(RecvTimeoutError::Disconnected) {
            // A panic of the painter was already printed.
            let _ = thread.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// The destination of the painting thread.
enum Screen {
    Terminal { bar: ProgressBar, color: bool, width: u16 },
    Lines { out: Box<dyn Write + Send>, every: Nanos, last: Option<Arc<Snapshot>> },
}

impl Screen {
    fn terminal(color: bool, width: u16) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(REPAINTS_PER_SECOND));
        // The message holds everything. Functions that tests can call decide its looks.
        bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self::Terminal { bar, color, width }
    }

    fn lines(every: Nanos, out: Box<dyn Write + Send>) -> Self {
        Self::Lines { out, every, last: None }
    }

    fn paint(&mut self, item: Item) {
        match (self, item) {
            (Self::Terminal { bar, color, width }, Item::Snapshot(snapshot)) => {
                bar.set_message(text::dashboard(&snapshot, *width, *color));
            }
            (Self::Terminal { bar, width, .. }, Item::Message(message)) => {
                let message = text::clip(&message, usize::from(*width));
                bar.suspend(|| {
                    // A closed standard error does not stop a test.
                    let _ = writeln!(io::stderr(), "{message}");
                });
            }
            (Self::Lines { out, every, last }, Item::Snapshot(snapshot)) => {
                let since = last.as_ref().map_or(Nanos::ZERO, |last| last.elapsed);
                if snapshot.elapsed.since(since) >= *every {
                    let _ = writeln!(out, "{}", text::line(&snapshot, last.as_deref()));
                    *last = Some(snapshot);
                }
            }
            (Self::Lines { out, .. }, Item::Message(message)) => {
                let _ = writeln!(out, "{message}");
            }
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Terminal { bar, .. } => bar.finish_and_clear(),
            Self::Lines { out, .. } => {
                let _ = out.flush();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::{Sender, channel};

    /// A terminal that keeps its input. If it has a `gate`, it waits for it before each write.
    #[derive(Clone, Default)]
    struct Paper {
        text: Arc<Mutex<String>>,
        gate: Option<Arc<Mutex<Receiver<()>>>>,
    }

    impl Paper {
        fn gated() -> (Self, Sender<()>) {
            let (open, gate) = channel();
            (Self { gate: Some(Arc::new(Mutex::new(gate))), ..Self::default() }, open)
        }

        fn lines(&self) -> Vec<String> {
            self.text.lock().unwrap().lines().map(str::to_owned).collect()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(gate) = &self.gate {
                // A gate whose other side is gone stays open.
                let _ = gate.lock().unwrap().recv();
            }
            self.text.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn on(paper: &Paper) -> Progress {
        Progress::paint_on(Screen::lines(Nanos::from_secs(5), Box::new(paper.clone())))
    }

    fn snapshot(second: u32) -> Arc<Snapshot> {
        Arc::new(text::tests::at(second, &[100, 0, 1000].map(|n: u64| n * u64::from(second))))
    }

    #[test]
    fn a_log_gets_a_line_every_few_seconds_and_every_message() {
        let paper = Paper::default();
        let progress = on(&paper);
        progress.message("starting");
        for second in 1..=12 {
            progress.show(snapshot(second));
        }
        progress.finish();
        let lines = paper.lines();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "starting");
        assert!(lines[1].contains("0:05") && lines[1].contains("100 req/s"), "{lines:?}");
        assert!(lines[2].contains("0:10") && lines[2].contains("100 req/s"), "{lines:?}");
    }

    #[test]
    fn a_stopped_terminal_keeps_nobody_waiting() {
        let (paper, open) = Paper::gated();
        let progress = on(&paper);
        // Returns although nothing can be written. Messages that do not fit are dropped.
        for n in 0..MAX_QUEUED * 3 {
            progress.message(&n.to_string());
        }
        drop(open);
        progress.finish();
        let lines = paper.lines();
        assert!(lines.len() >= MAX_QUEUED && lines.len() <= MAX_QUEUED + 1, "{}", lines.len());
        assert_eq!(lines[0], "0");
    }

    #[test]
    fn a_terminal_that_stays_stopped_does_not_hold_up_the_end() {
        let (paper, _open) = Paper::gated();
        let progress = on(&paper);
        progress.message("never seen");
        progress.finish();
        assert_eq!(paper.lines(), Vec::<String>::new());
    }

    #[test]
    fn off_is_nothing_at_all() {
        let progress = Progress::start(Mode::Off);
        assert!(progress.painter.is_none());
        progress.message("not seen");
        progress.show(snapshot(1));
        progress.finish();
    }

    #[test]
    fn a_terminal_display_starts_and_ends() {
        let progress = Progress::start(Mode::Terminal { color: true, width: 80 });
        assert!(progress.painter.is_some());
        progress.show(snapshot(1));
        progress.finish();
    }
}
