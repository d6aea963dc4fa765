//! A line for each request: one thread writes what the workers hand over with each second.
//!
//! The load never waits for it. Seconds that the thread cannot take, because the disk is slow, are
//! dropped whole, and counted.

use super::error::CommandError;
use crate::exit::ExitClass;
use crate::metrics::Batch;
use crate::metrics::hints::Hint;
use crate::plan::{Output, Plan, RequestsFile, RequestsFormat};
use crate::report::requests::{KindNames, Lines, Names, Writer};
use crate::units::plural;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Seconds that may wait for the disk.
const WAITING_SECONDS: usize = 8;
/// Looks at whether the last lines are written, after the test …
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// … and how many of them in a row may find that nothing more was.
const LOOKS_WITHOUT_PROGRESS: u32 = 500;

/// The file of a run's requests.
#[derive(Debug)]
pub(super) struct Requests {
    file: RequestsFile,
    names: Names,
    gaps: bool,
    thread: Option<Running>,
    dropped: Dropped,
}

#[derive(Debug)]
struct Running {
    feed: SyncSender<Vec<Batch>>,
    thread: JoinHandle<io::Result<()>>,
    /// Bytes written so far.
    progress: Arc<AtomicU64>,
}

/// What the file could not take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Dropped {
    seconds: u64,
    requests: u64,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Written {
    error: Option<CommandError>,
    dropped: Dropped,
}

impl Requests {
    /// The file that was asked for; nothing is opened yet.
    pub(super) fn of(file: &RequestsFile, plan: &Plan) -> Self {
        let kind = |kind: &crate::plan::Kind| KindNames {
            name: kind.name.clone(),
            api: kind.api.name(),
            models: kind.models.clone(),
        };
        let targets = std::iter::once(&plan.target).chain(&plan.access.more_targets);
        let names = Names {
            started_at: String::new(),
            kinds: plan.mix.kinds.iter().map(kind).collect(),
            targets: targets.map(|target| target.url.clone()).collect(),
        };
        let gaps = plan.tuning.records.is_some_and(|records| records.gaps);
        Self { file: file.clone(), names, gaps, thread: None, dropped: Dropped::default() }
    }

    /// The load begins.
    pub(super) fn begin(&mut self, started_at_ms: i64) {
        let (feed, batches) = sync_channel(WAITING_SECONDS);
        let progress = Arc::new(AtomicU64::new(0));
        if let Ok(started_at) = Timestamp::from_millisecond(started_at_ms) {
            self.names.started_at = started_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        }
        let lines = match self.file.format {
            RequestsFormat::Csv => Lines::Csv,
            RequestsFormat::JsonLines => Lines::Json,
        };
        let writer = Writer::new(lines, self.names.clone(), self.gaps);
        let (file, counted) = (self.file.clone(), Arc::clone(&progress));
        let spawned = std::thread::Builder::new()
            .name("requests".to_owned())
            .spawn(move || write_all(&file, writer, &batches, &counted));
        // Without a thread every second is dropped, and that is said.
        self.thread = spawned.ok().map(|thread| Running { feed, thread, progress });
    }

    /// Requests that ended in a second.
    pub(super) fn take(&mut self, batches: Vec<Batch>) {
        let requests: usize = batches.iter().map(|batch| batch.records.len()).sum();
        let is_taken = self.thread.as_ref().is_some_and(|running| running.feed.try_send(batches).is_ok());
        if !is_taken {
            self.dropped.seconds += 1;
            self.dropped.requests += requests as u64;
        }
    }

    /// Waits for the last lines, as long as there are more and more of them.
    #[expect(clippy::disallowed_methods, reason = "waits for a disk; the test is over")]
    pub(super) fn close(self) -> Written {
        let Self { file, thread, dropped, .. } = self;
        let Some(Running { feed, thread, progress }) = thread else { return Written { error: None, dropped } };
        drop(feed);
        let (mut seen, mut looks) = (progress.load(Ordering::Relaxed), 0);
        while !thread.is_finished() && looks < LOOKS_WITHOUT_PROGRESS {
            std::thread::sleep(LOOK_EVERY);
            let now = progress.load(Ordering::Relaxed);
            looks = if now == seen { looks + 1 } else { 0 };
            seen = now;
        }
        let result = if thread.is_finished() {
            // A panic is as much a defect there as it would be here.
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        } else {
            Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was taken for 10 s"))
        };
        let path = match file.place {
            Output::File(path) => path,
            Output::Stdout => PathBuf::from("-"),
        };
        let error = result.err().map(|source| CommandError::Requests { path, source });
        Written { error, dropped }
    }
}

impl Written {
    /// What the result says of it.
    pub(super) fn hint(&self) -> Option<Hint> {
        let Dropped { seconds, requests } = self.dropped;
        (seconds > 0).then(|| Hint {
            name: "requests_dropped".to_owned(),
            text: format!(
                "the file of requests lacks {} of {}: its disk did not take them in time, and the load does not wait for it",
                plural(seconds, "second"),
                plural(requests, "request")
            ),
        })
    }

    /// The run's end, if the file is not whole for an error.
    pub(super) fn judged(&self, class: ExitClass, err: &mut dyn Write) -> ExitClass {
        let Some(error) = &self.error else { return class };
        // Nothing is left to do when even this cannot be written.
        let _ = writeln!(err, "error: {error}");
        if class == ExitClass::Success { ExitClass::Internal } else { class }
    }
}

/// Until the run hangs up.
fn write_all(
    file: &RequestsFile,
    writer: Writer,
    batches: &Receiver<Vec<Batch>>,
    progress: &Arc<AtomicU64>,
) -> io::Result<()> {
    let place: Box<dyn Write> = match &file.place {
        Output::Stdout => Box::new(io::stdout()),
        Output::File(path) => Box::new(File::create(path)?),
    };
    let place = Counted { place, progress };
    if file.gzip {
        let mut encoder = GzEncoder::new(place, Compression::fast());
        write_lines(writer, batches, &mut encoder)?;
        return encoder.finish()?.flush();
    }
    let mut place = place;
    write_lines(writer, batches, &mut place)?;
    place.flush()
}

fn write_lines(mut writer: Writer, batches: &Receiver<Vec<Batch>>, place: &mut dyn Write) -> io::Result<()> {
    writer.head(place)?;
    while let Ok(second) = batches.recv() {
        for batch in second {
            writer.write(&batch, place)?;
        }
    }
    Ok(())
}

/// Says how far it is.
struct Counted<'a> {
    place: Box<dyn Write>,
    progress: &'a AtomicU64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.place.write(bytes)?;
        self.progress.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.place.flush()
    }
}
