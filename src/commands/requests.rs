//! The file of requests: one thread writes a line for each request that the workers hand over,
//! second by second.
//!
//! The load never waits for this thread. If the disk is too slow, whole seconds are dropped and
//! counted.

use super::error::CommandError;
use crate::exit::ExitClass;
use crate::metrics::Batch;
use crate::metrics::hints::Hint;
use crate::plan::{Output, Plan, RequestsFile, RequestsFormat};
use crate::report::requests::{KindNames, Lines, Names, Writer};
use crate::trial::provenance::rfc3339;
use crate::units::plural;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Seconds that may be queued for the disk.
const WAITING_SECONDS: usize = 8;
/// Pause between two checks, after the test, of whether the last lines are written.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Number of these checks in a row that may see no progress.
const LOOKS_WITHOUT_PROGRESS: u32 = 500;

/// The file of a run's requests.
#[derive(Debug)]
pub(super) struct Requests {
    file: RequestsFile,
    names: Names,
    gaps: bool,
    /// Passes the writer of the lines to the thread once the load begins.
    writers: SyncSender<Writer>,
    feed: SyncSender<Vec<Batch>>,
    thread: JoinHandle<io::Result<()>>,
    /// Bytes written so far.
    progress: Arc<AtomicU64>,
    dropped: Dropped,
}

/// The work of the thread.
type Work = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// The seconds and requests that were dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Dropped {
    seconds: u64,
    requests: u64,
}

/// The outcome of the file.
#[derive(Debug)]
pub(super) struct Written {
    error: Option<CommandError>,
    dropped: Dropped,
}

impl Requests {
    /// Starts the thread for the requested file. It opens the file when the load begins.
    pub(super) fn open(file: &RequestsFile, plan: &Plan) -> Result<Self, CommandError> {
        Self::open_with(file, plan, |work| std::thread::Builder::new().name("requests".to_owned()).spawn(work))
    }

    fn open_with(
        file: &RequestsFile,
        plan: &Plan,
        spawn: impl FnOnce(Work) -> io::Result<JoinHandle<io::Result<()>>>,
    ) -> Result<Self, CommandError> {
        let (writers, writer) = sync_channel(1);
        let (feed, batches) = sync_channel(WAITING_SECONDS);
        let progress = Arc::new(AtomicU64::new(0));
        let (place, counted) = (file.clone(), Arc::clone(&progress));
        let work =
            Box::new(move || writer.recv().map_or(Ok(()), |writer| write_all(&place, writer, &batches, &counted)));
        let thread = spawn(work)
            .map_err(|source| CommandError::RequestsThread { path: file.place.path().to_owned(), source })?;
        let gaps = plan.tuning.records.is_some_and(|records| records.gaps);
        let (file, names, dropped) = (file.clone(), names(plan), Dropped::default());
        Ok(Self { file, names, gaps, writers, feed, thread, progress, dropped })
    }

    /// Begins the file: the load begins.
    pub(super) fn begin(&mut self, started_at_ms: i64) {
        if let Ok(started_at) = Timestamp::from_millisecond(started_at_ms) {
            self.names.started_at = rfc3339(started_at);
        }
        let lines = match self.file.format {
            RequestsFormat::Csv => Lines::Csv,
            RequestsFormat::JsonLines => Lines::Json,
        };
        // A thread that has ended is reported at the end.
        let _ = self.writers.try_send(Writer::new(lines, self.names.clone(), self.gaps));
    }

    /// Queues the requests that ended in a second.
    pub(super) fn take(&mut self, batches: Vec<Batch>) {
        let requests: usize = batches.iter().map(|batch| batch.records.len()).sum();
        if self.feed.try_send(batches).is_err() {
            self.dropped.seconds += 1;
            self.dropped.requests += requests as u64;
        }
    }

    /// Waits for the last lines, as long as there is progress.
    #[expect(clippy::disallowed_methods, reason = "waits for a disk; the test is over")]
    pub(super) fn close(self) -> Written {
        let Self { file, writers, feed, thread, progress, dropped, .. } = self;
        drop((writers, feed));
        let (mut seen, mut looks) = (progress.load(Ordering::Relaxed), 0);
        while !thread.is_finished() && looks < LOOKS_WITHOUT_PROGRESS {
            std::thread::sleep(LOOK_EVERY);
            let now = progress.load(Ordering::Relaxed);
            looks = if now == seen { looks + 1 } else { 0 };
            seen = now;
        }
        let result = if thread.is_finished() {
            // A panic in that thread is a defect here, too.
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        } else {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the output accepted no data for 10 s"))
        };
        let error = result.err().map(|source| CommandError::Requests { path: file.place.path().to_owned(), source });
        Written { error, dropped }
    }
}

impl Written {
    /// Returns the hint for the results.
    pub(super) fn hint(&self) -> Option<Hint> {
        let hint = |name: &str, text| Some(Hint { name: name.to_owned(), text });
        let Dropped { seconds, requests } = self.dropped;
        match &self.error {
            Some(CommandError::Requests { source, .. }) => {
                hint("requests_not_written", format!("the file of requests is incomplete: {source}"))
            }
            _ if seconds > 0 => hint(
                "requests_dropped",
                format!(
                    "the file of requests lacks {} of {}: its disk was too slow, and the load does not wait for it",
                    plural(seconds, "second"),
                    plural(requests, "request")
                ),
            ),
            _ => None,
        }
    }

    /// Returns how the run ends: an incomplete file is an error.
    pub(super) fn judged(&self, class: ExitClass, err: &mut dyn Write) -> ExitClass {
        let Some(error) = &self.error else { return class };
        // If stderr fails, nothing more can be done.
        let _ = writeln!(err, "error: {error}");
        class.or(ExitClass::Internal)
    }
}

/// Returns the names behind the numbers in lines. A URL or a model's name may contain a key, which
/// is hidden.
fn names(plan: &Plan) -> Names {
    let redactor = plan.redactor();
    let kind = |kind: &crate::plan::Kind| KindNames {
        name: kind.name.clone(),
        api: kind.api.name(),
        models: kind.models.iter().map(|model| redactor.own(model)).collect(),
    };
    Names {
        started_at: String::new(),
        kinds: plan.mix.kinds.iter().map(kind).collect(),
        targets: plan.targets().map(|target| redactor.own(&target.url)).collect(),
    }
}

/// Writes lines until the run closes the channel.
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

/// A writer that counts its bytes.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::Secret;
    use crate::plan::{Overrides, Target, resolve};

    fn plan() -> Plan {
        let none = &mut |_: &std::path::Path| Err(io::ErrorKind::NotFound.into());
        resolve("load", &Overrides::default(), none).expect("built in").plan
    }

    fn file() -> RequestsFile {
        let place = Output::File("/nonexistent/r.csv".into());
        RequestsFile { place, format: RequestsFormat::Csv, gzip: false }
    }

    #[test]
    fn without_a_thread_there_is_no_test() {
        let error = Requests::open_with(&file(), &plan(), |_| Err(io::ErrorKind::WouldBlock.into())).unwrap_err();
        assert_eq!(error.exit_class(), ExitClass::Configuration);
        let error = error.to_string();
        assert!(error.starts_with("--requests /nonexistent/r.csv: no thread could be started to write it"), "{error}");
    }

    #[test]
    fn a_load_that_does_not_begin_opens_no_file() {
        let written = Requests::open(&file(), &plan()).unwrap().close();
        assert!(written.error.is_none() && written.hint().is_none(), "{written:?}");
    }

    #[test]
    fn an_error_is_not_called_a_slow_disk() {
        let mut requests = Requests::open(&file(), &plan()).unwrap();
        requests.begin(0);
        while !requests.thread.is_finished() {
            std::thread::yield_now();
        }
        requests.take(Vec::new());
        let written = requests.close();
        let hint = written.hint().expect("a hint");
        assert_eq!((written.dropped.seconds, hint.name.as_str()), (1, "requests_not_written"));
        assert!(hint.text.contains("No such file") && !hint.text.contains("in time"), "{hint:?}");
        assert_eq!(written.judged(ExitClass::Success, &mut Vec::new()), ExitClass::Internal);
    }

    #[test]
    fn a_key_in_a_url_or_a_model_is_hidden() {
        let mut plan = plan();
        plan.credentials.api_key = Some(Secret::new("k-0123456789".to_owned()));
        plan.target = Target::parse("http://127.0.0.1:1/k-0123456789/v1").unwrap();
        std::sync::Arc::make_mut(&mut plan.mix).kinds[0].models = vec!["m-k-0123456789".to_owned()];
        let names = names(&plan);
        assert_eq!(names.targets, ["http://127.0.0.1:1/[hidden]/v1"]);
        assert_eq!(names.kinds[0].models, ["m-[hidden]"]);
    }
}
