//! Rows that are not in memory.

use super::*;
use crate::dataset::Rows;
use crate::engine::rows_ahead::{Fetched, RowInbox};
use crate::load::{Arrivals, OnFull, Spacing};
use crate::mix::PromptSource;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

fn message(row: usize) -> String {
    format!("[{{\"role\":\"user\",\"content\":\"row {row}\"}}]")
}

/// Returns a plan whose only kind of request sends these rows.
fn of_rows(shape: Shape, rows: usize) -> Plan {
    let rows = Rows::spooled((0..rows).map(message), Arc::new(Mutex::new(Vec::new())));
    let kind = Kind { prompt: Prompt::of(PromptSource::Rows(Arc::new(rows))), ..kind("r", false) };
    Plan { mix: Mix { kinds: vec![kind] }.into(), ..plan(shape, false) }
}

/// The reading thread's end of a worker's channels.
struct Supplier {
    fetched: SyncSender<Fetched>,
    used: Receiver<Fetched>,
}

impl Supplier {
    fn give(&self, sequence: u32, iteration: u64, row: usize) {
        let fetched = Fetched { sequence, iteration, bytes: message(row).into_bytes() };
        self.fetched.try_send(fetched).expect("there is room");
    }

    /// Returns the sequences and iterations of the returned rows, without the empty initial ones.
    fn came_back(&self) -> Vec<(u32, u64)> {
        let used = self.used.try_iter().filter(|used| !used.bytes.is_empty());
        used.map(|used| (used.sequence, used.iteration)).collect()
    }
}

fn supplier(sequences: usize) -> (Supplier, RowInbox) {
    let ((fetched, ready), (back, used)) = (sync_channel(64), sync_channel(64));
    (Supplier { fetched, used }, RowInbox { fetched: ready, used: back, sequences, ahead: 4 })
}

fn run_with(plan: &Plan, inbox: RowInbox, peer: impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> + 'static) -> Ran {
    run_supplied(Rc::new(Cell::new(Nanos::ZERO)), plan, Nanos::MAX, u64::MAX, (Vec::new(), Some(inbox)), peer)
}

#[test]
fn a_request_waits_for_its_row_and_for_nobody_elses() {
    let plan = of_rows(iterations(2, 2), 8);
    let (supplier, inbox) = supplier(2);
    supplier.give(0, 0, 5);
    supplier.give(0, 1, 6);
    let supplier = Rc::new(supplier);
    let (theirs, heard) = (Rc::clone(&supplier), Rc::new(RefCell::new(Vec::new())));
    let bodies = Rc::clone(&heard);
    let mut accept = serving(|_| vec![(MS, plain())]);
    let ran = run_with(&plan, inbox, move |what| {
        if let Heard::Bytes { bytes, .. } = what {
            let text = String::from_utf8_lossy(bytes);
            let row = (0..8).find(|row| text.contains(&message(*row))).expect("a row");
            bodies.borrow_mut().push(row);
            // The other user's first row comes only now, and its second one a request later.
            match row {
                6 => theirs.give(1, 0, 2),
                2 => theirs.give(1, 1, 3),
                _ => {}
            }
        }
        accept(what)
    });
    assert_eq!(*heard.borrow(), [5, 6, 2, 3]);
    assert_eq!((ran.summary.succeeded(), ran.count(Counter::RowsLate)), (4, 1));
    assert_eq!(supplier.came_back(), [(0, 0), (1, 0)], "each user holds its last row");
}

#[test]
fn arrivals_that_were_dropped_leave_their_rows() {
    let arrivals = Arrivals {
        start_rate: 1_000,
        time_unit: Nanos::from_secs(1),
        stages: vec![Stage { duration: ms(10), target: 1_000 }],
        pre_allocated_vus: 1,
        max_vus: 1,
        spacing: Spacing::Constant,
        on_full: OnFull::Drop,
    };
    let plan = of_rows(Shape::ConstantArrivalRate(arrivals), 100);
    let (supplier, inbox) = supplier(1);
    (0..10).for_each(|n| supplier.give(0, n, n as usize));
    let ran = run_with(&plan, inbox, serving(|_| vec![(Nanos::from_micros(3_500), plain())]));
    let (succeeded, dropped) = (ran.summary.succeeded(), ran.count(Counter::DroppedIterations));
    assert_eq!((succeeded + dropped, ran.count(Counter::RowsLate)), (10, 0));
    assert!(succeeded >= 2 && dropped >= 6, "{succeeded} {dropped}");
    let mut back = supplier.came_back();
    back.sort_unstable();
    back.dedup();
    assert!((succeeded + dropped).saturating_sub(2) <= back.len() as u64, "the last one may be held: {back:?}");
}

#[test]
fn a_row_that_never_comes_ends_with_the_test() {
    let arrivals = |duration| Arrivals {
        start_rate: 100,
        time_unit: Nanos::from_secs(1),
        stages: vec![Stage { duration, target: 100 }],
        pre_allocated_vus: 5,
        max_vus: 5,
        spacing: Spacing::Constant,
        on_full: OnFull::Queue,
    };
    for (shape, sequences, offered) in
        [(Shape::ConstantVus { vus: 2, duration: ms(50) }, 2, 0), (Shape::ConstantArrivalRate(arrivals(ms(50))), 1, 5)]
    {
        let plan = of_rows(shape.clone(), 8);
        let (supplier, inbox) = supplier(sequences);
        supplier.give(0, 0, 0);
        let ran = run_with(&plan, inbox, serving(|_| vec![(MS, plain())]));
        assert_eq!((ran.summary.succeeded(), ran.ended.stopped), (1, None), "{shape:?}");
        assert_eq!(ran.count(Counter::ArrivalsOffered), offered);
        assert_eq!(ran.count(Counter::DroppedIterations), offered.saturating_sub(1));
        assert!(ran.count(Counter::RowsLate) >= 2);
    }
}

#[test]
fn a_thread_that_cannot_read_ends_the_test() {
    let plan = of_rows(Shape::ConstantVus { vus: 2, duration: Nanos::from_secs(100) }, 8);
    let (supplier, inbox) = supplier(2);
    supplier.give(0, 0, 0);
    drop(supplier);
    let ran = run_with(&plan, inbox, serving(|_| vec![(MS, plain())]));
    assert!(ran.ended.stopped.is_some() && ran.ended.at < Nanos::from_secs(1), "{:?}", ran.ended);
    assert!(ran.summary.succeeded() <= 1);
}
