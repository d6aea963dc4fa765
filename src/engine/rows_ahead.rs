//! Fetches rows that are not in memory ahead of their requests, on a thread of its own.
//!
//! The buffers circulate, so that workers neither allocate nor wait. A worker takes the buffer with
//! the row of its next request, and gives back the buffer of the previous request. The thread then
//! reads the row of a later request of the same sequence into it.
//!
//! ```text
//!   worker ── used ──▶ loader ── reads the spool ──▶ fetched ──▶ worker
//! ```

use crate::load::Sequence;
use crate::mix::RequestWriter;
use crate::plan::Plan;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

/// Bytes of the rows that are ready, for all workers together.
const AHEAD_BYTES: u64 = 64 << 20;
/// Minimum number of ready rows per sequence: one is in use while another is read.
const LEAST_AHEAD: u64 = 2;
/// Maximum, if each user has a sequence of its own: enough for 20,000 requests per second of one
/// user.
const MOST_AHEAD: u64 = 32;
/// Maximum, if all users of a worker share a sequence: enough for a million requests per second.
const MOST_AHEAD_SHARED: u64 = 1_024;
/// Pause between two checks for returned buffers. A worker would need a system call to wake the
/// thread.
const PAUSE: Duration = Duration::from_millis(1);
/// Maximum number of requests without a row to fetch that are skipped at a time.
const MOST_PASSED: u32 = 1 << 16;
/// A buffer that is larger than this, and much larger than its row, is shrunk.
const ROOMY_BYTES: usize = 64 << 10;

/// A buffer with the row of a request.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// The number of its sequence.
    pub(super) sequence: u32,
    /// The iteration that the row is for. Earlier iterations have no row to fetch, or were fetched
    /// before.
    pub(super) iteration: u64,
    pub(super) bytes: Vec<u8>,
}

/// A worker's end of the channels.
#[derive(Debug)]
pub(super) struct RowInbox {
    /// Rows, in order within each sequence. Disconnected if reading has failed.
    pub(super) fetched: Receiver<Fetched>,
    pub(super) used: SyncSender<Fetched>,
    /// Number of the worker's sequences: one for each user, or a single one.
    pub(super) sequences: usize,
    /// Maximum number of ready rows per sequence.
    pub(super) ahead: usize,
}

/// The thread's end of one worker's channels.
#[derive(Debug)]
struct Supply {
    used: Receiver<Fetched>,
    fetched: SyncSender<Fetched>,
    /// `first` of each is the next iteration to be fetched.
    sequences: Vec<Sequence>,
}

/// Fetches rows for all workers.
#[derive(Debug)]
pub(super) struct RowLoader<'a> {
    writer: &'a RequestWriter,
    supplies: Vec<Supply>,
    /// The number of requests, counted over all users.
    requests: u64,
    stride: u64,
}

/// Creates a loader whose first rows are ready, and the workers' ends of its channels. There is no
/// loader if the rows of all requests are in memory.
pub(super) fn loader<'a>(
    shards: &[Plan],
    writer: &'a RequestWriter,
) -> io::Result<(Option<RowLoader<'a>>, Vec<Option<RowInbox>>)> {
    let Some(first) = shards.first().filter(|_| writer.fetches()) else {
        return Ok((None, shards.iter().map(|_| None).collect()));
    };
    let sequences: Vec<Vec<Sequence>> = shards.iter().map(|shard| shard.load().sequences()).collect();
    let all: usize = sequences.iter().map(Vec::len).sum();
    let fitting = AHEAD_BYTES / (writer.mean_fetched() + size_of::<Fetched>() as u64) / all.max(1) as u64;
    let (mut supplies, mut inboxes) = (Vec::new(), Vec::new());
    for (shard, sequences) in shards.iter().zip(sequences) {
        let most = if sequences.len() == 1 { MOST_AHEAD_SHARED } else { MOST_AHEAD };
        let ahead = fitting.clamp(LEAST_AHEAD, most) as usize;
        // The buffers that users hold come back, too.
        let buffers = ahead * sequences.len() + shard.peak_users() as usize;
        let ((used, came_back), (fetched, ready)) = (sync_channel(buffers), sync_channel(buffers));
        inboxes.push(Some(RowInbox { fetched: ready, used, sequences: sequences.len(), ahead }));
        supplies.push((Supply { used: came_back, fetched, sequences }, ahead));
    }
    let (requests, stride) = (first.requests.unwrap_or(u64::MAX), first.shape.stride());
    let mut loader = RowLoader { writer, supplies: Vec::new(), requests, stride };
    for (mut supply, ahead) in supplies {
        for _ in 0..ahead {
            for sequence in 0..supply.sequences.len() {
                loader.refill(&mut supply, Fetched { sequence: sequence as u32, ..Fetched::default() })?;
            }
        }
        loader.supplies.push(supply);
    }
    Ok((Some(loader), inboxes))
}

impl RowLoader<'_> {
    /// Fetches rows until all workers have ended. After an error it disconnects from all of them.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut supplies = std::mem::take(&mut self.supplies);
        while !supplies.is_empty() {
            let mut is_idle = true;
            let mut at = 0;
            while at < supplies.len() {
                match supplies[at].used.try_recv() {
                    Ok(buffer) => {
                        self.refill(&mut supplies[at], buffer)?;
                        (is_idle, at) = (false, at + 1);
                    }
                    Err(TryRecvError::Empty) => at += 1,
                    Err(TryRecvError::Disconnected) => drop(supplies.swap_remove(at)),
                }
            }
            if is_idle {
                std::thread::park_timeout(PAUSE);
            }
        }
        Ok(())
    }

    /// Reads the next row of the buffer's sequence into it, and hands it over. At the end of the
    /// sequence the buffer is dropped.
    fn refill(&mut self, supply: &mut Supply, mut buffer: Fetched) -> io::Result<()> {
        let Some(sequence) = supply.sequences.get_mut(buffer.sequence as usize) else { return Ok(()) };
        for passed in 0..=MOST_PASSED {
            let (draw_vu, iteration) = (sequence.draw_vu, sequence.first);
            let number = iteration.checked_mul(self.stride).and_then(|number| number.checked_add(draw_vu.into()));
            if number.is_none_or(|number| number >= self.requests) {
                return Ok(());
            }
            sequence.first = iteration.saturating_add(sequence.step);
            // Ends a long search: this buffer comes back without being used.
            if passed == MOST_PASSED || self.writer.must_fetch(draw_vu, iteration) {
                self.writer.fetch(draw_vu, iteration, &mut buffer.bytes)?;
                buffer.iteration = iteration;
                break;
            }
        }
        if buffer.bytes.capacity() > ROOMY_BYTES.max(4 * buffer.bytes.len()) {
            buffer.bytes.shrink_to_fit();
        }
        match supply.fetched.try_send(buffer) {
            // A worker that has ended does not need rows.
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
            Err(TrySendError::Full(_)) => Err(io::Error::other("more rows are under way than there are buffers")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Rows, Spool};
    use crate::mix::{Kind, Mix, Prompt, PromptSource};
    use crate::plan::{Api, Shape};
    use crate::units::Nanos;
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    const ROWS: u64 = 40;

    /// A spool that fails after `left` reads.
    struct Failing {
        inner: Mutex<Vec<u8>>,
        left: AtomicU64,
    }

    impl Spool for Failing {
        fn write_at(&self, bytes: &[u8], start: u64) -> io::Result<()> {
            self.inner.write_at(bytes, start)
        }

        fn read_at(&self, into: &mut [u8], start: u64) -> io::Result<()> {
            let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            left.map_err(|_| io::Error::other("no such sector"))?;
            self.inner.read_at(into, start)
        }
    }

    fn plan(shape: Shape, requests: Option<u64>, reads: u64) -> Plan {
        let file = Failing { inner: Mutex::new(Vec::new()), left: AtomicU64::new(reads) };
        let rows = Rows::spooled((0..ROWS).map(|n| format!("\"row {n}\"")), Arc::new(file));
        let kind = Kind {
            prompt: Prompt::of(PromptSource::Rows(Arc::new(rows))),
            ..Kind::bare(Api::OpenaiChat, Nanos::from_secs(1))
        };
        Plan { shape, requests, mix: Mix { kinds: vec![kind] }.into(), ..Plan::example() }
    }

    fn writer(plan: &Plan) -> RequestWriter {
        RequestWriter::new(&plan.mix, &plan.envelopes(), plan.seed).with_stride(plan.shape.stride())
    }

    fn shards(plan: &Plan, of: u32) -> Vec<Plan> {
        (0..of).map(|k| plan.shard(k, of)).collect()
    }

    /// Takes `rows` rows of all sequences, gives each back, and returns them.
    fn consume(inbox: &RowInbox, rows: usize) -> BTreeSet<(u32, u64, String)> {
        let mut seen = BTreeSet::new();
        for fetched in inbox.fetched.iter().take(rows) {
            let text = String::from_utf8(fetched.bytes.clone()).expect("text");
            assert!(seen.insert((fetched.sequence, fetched.iteration, text)), "each once");
            // The thread may have ended.
            assert!(!matches!(inbox.used.try_send(fetched), Err(TrySendError::Full(_))), "there is room for all");
        }
        seen
    }

    #[test]
    fn every_worker_gets_the_rows_of_its_requests_in_order() {
        let seconds = Nanos::from_secs(9);
        let per_user = Shape::ConstantVus { vus: 5, duration: seconds };
        let shared = Shape::SharedIterations { vus: 5, iterations: 1_000, max_duration: seconds };
        for (shape, requests, expected) in [
            (per_user.clone(), Some(ROWS), ROWS),
            (per_user, Some(3 * ROWS + 1), 3 * ROWS + 1),
            (shared, Some(ROWS), ROWS),
        ] {
            let plan = plan(shape.clone(), requests, u64::MAX);
            let (writer, shards) = (writer(&plan), shards(&plan, 2));
            let (loader, inboxes) = loader(&shards, &writer).expect("readable");
            let of_sequence = |shard: &Plan, (sequence, iteration, text): (u32, u64, String)| {
                let draw_vu = shard.load().sequences()[sequence as usize].draw_vu;
                let number = iteration * shape.stride() + u64::from(draw_vu);
                assert_eq!(text, format!("\"row {}\"", number % ROWS));
                number
            };
            let numbers: BTreeSet<u64> = std::thread::scope(|scope| {
                let thread = scope.spawn(|| loader.expect("rows are to be fetched").run());
                let mut numbers = BTreeSet::new();
                for (shard, inbox) in shards.iter().zip(inboxes) {
                    let inbox = inbox.expect("one for each worker");
                    let of_shard = shard.load().sequences();
                    let of = |n: &u64| of_shard.iter().any(|s| owns(&plan, s, *n));
                    let rows = (0..expected).filter(of).count();
                    numbers.extend(consume(&inbox, rows).into_iter().map(|row| of_sequence(shard, row)));
                }
                thread.join().expect("no panic").expect("readable");
                numbers
            });
            assert_eq!(numbers, (0..expected).collect(), "{shape:?}");
        }
    }

    /// Returns true if the request of number `n` is in a sequence.
    fn owns(plan: &Plan, sequence: &Sequence, number: u64) -> bool {
        let stride = plan.shape.stride();
        match number.checked_sub(sequence.draw_vu.into()) {
            rest if stride > 1 => rest.is_some_and(|rest| rest % stride == 0),
            _ => number % sequence.step == sequence.first % sequence.step,
        }
    }

    #[test]
    fn a_spool_that_fails_hangs_up_and_says_why() {
        let shape = Shape::ConstantVus { vus: 1, duration: Nanos::from_secs(9) };
        let broken = plan(shape.clone(), None, 0);
        let at_once = loader(&shards(&broken, 1), &writer(&broken)).map(|_| ()).expect_err("the first rows");
        assert_eq!(at_once.to_string(), "no such sector");
        let later = plan(shape, None, MOST_AHEAD_SHARED + 5);
        let writer = writer(&later);
        let (loader, mut inboxes) = loader(&shards(&later, 1), &writer).expect("readable at first");
        let inbox = inboxes.remove(0).expect("one");
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| loader.expect("one").run());
            let rows = consume(&inbox, usize::MAX).len() as u64;
            assert_eq!(rows, MOST_AHEAD_SHARED + 5, "until it hung up");
            assert_eq!(thread.join().expect("no panic").expect_err("it failed").to_string(), "no such sector");
        });
    }

    #[test]
    fn rows_in_memory_need_no_thread() {
        let plan = Plan::example();
        let writer = writer(&plan);
        let (loader, inboxes) = loader(&shards(&plan, 3), &writer).expect("nothing to read");
        assert!(loader.is_none() && inboxes.len() == 3 && inboxes.iter().all(Option::is_none));
    }
}
