//! `llmsim-blast`: a load tester for LLM APIs that sees every token, judges the server, and judges
//! itself. **The map.**
//!
//! **Requests go down, samples come up.** A [`plan::Plan`] (plain data) is split into equal
//! *shards*; each shard is run by one pinned worker thread; each worker returns a
//! [`metrics::Tally`]; tallies are added. `Plan::shard(k, of)` and `Tally += Tally` are the only
//! two operations behind threads, live progress and the final report.
//!
//! **The world is touched in few places**: [`net`] (sockets), `rendezvous` (sockets between
//! shards), [`engine`] (threads, poll, clock), [`live`] (terminal), `web` (browsers), `prometheus`
//! (a thread that pushes to Prometheus), [`server`] (child process, `/proc`), [`commands`] (files,
//! environment), and [`origin`]: a server in a process of its own, which sends at known instants so
//! that the client itself can be judged. Everything else takes bytes and numbers and is tested with
//! bytes and numbers.
//!
//! ```text
//!    flags        env        profiles/*.toml
//!       \         |          /
//!        v        v         v
//!       ┌───────────────────────┐                                   exit code
//!       │       commands        │─────────────────────────────────────▶
//!       └──┬──────────┬─────────┘◀──────────────┐
//!          │ resolve  │ start/stop              │ text, json
//!          ▼          ▼                         │
//!       ┌──────┐  ┌────────┐              ┌─────┴────┐    ┌──────┐
//!       │ plan │  │ server │              │  report  │    │ live │  progress
//!       └──┬───┘  └────────┘              └─────▲────┘    └──▲───┘
//!          │ Plan                     Summary + Verdict      │ Snapshot, once a second
//!    ══════▼══════════════════════════════════════╪══════════╪═══════  control plane
//!       ┌──────────────────────┐           ┌──────┴───────┐  │
//!       │ engine::Fleet        │── Tally ─▶│  threshold   │  │
//!       └──┬───────────────────┘           └──────▲───────┘  │
//!          │ shard of Plan   ▲ Tally              │ Summary  │
//!    ══════▼═════════════════╪════════════════════╪══════════╪═══════  one pinned thread each
//!       ┌────────────────────┴─┐           ┌──────┴───────┐  │
//!       │ engine::Worker       │─ Sample ─▶│   metrics    │──┘
//!       └─┬──────┬───────┬─────┘           └──────────────┘
//!         │when? │what?  │ bytes   ▲ Sample
//!         ▼      ▼       ▼         │
//!      ┌──────┐┌────────┐┌─────────┴──┐
//!      │ load ││  mix   ││ Connection │──▶ Exchange ──▶ wire ──▶ api
//!      └──────┘└────────┘└────┬───────┘    (stopwatch) bytes→   events→tokens
//!                             ▼ ▲ bytes
//!                        ┌──────────┐
//!                        │   net    │──▶ kernel ──▶ server under test
//!                        └──────────┘
//! ```
//!
//! The worker's loop is a handful of steps. Every feature is the body of one of them:
//!
//! ```text
//!  ┌─▶ wait ─▶ serve sockets ─▶ check stop ─▶ fire timers ─▶ start what is due ─▶ publish ─┐
//!  └───────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Left column: intent going down. Right column: numbers going up. They meet only in `trial` (top),
//! as the chain `prepare → Ready → Measured → Concluded`, and in `engine/worker.rs` (bottom). Only
//! two things cross a thread border while a test runs: a stop flag goes down, tallies come up. (Now
//! and then updates go down, too: addresses with `--dns-ttl`, heads with a key that changes, rows
//! of data sets beyond `--dataset-memory`.)
//!
//! # Reading order, 45 minutes
//!
//! This page → `commands/run.rs` (a run, as a table of contents) → `trial/mod.rs` (its chain of
//! types) → `engine/worker.rs` (the event loop) → `wire/mod.rs` and `api/openai_chat.rs` →
//! `metrics/tally.rs` → `profiles/load.toml`.
//!
//! # Layers
//!
//! | Layer | Room | Holds |
//! |---|---|---|
//! | 8 | `commands` | dispatch, and one file a command |
//! | 7 | `cli` | the command line as typed, by clap group; the environment |
//! | 7 | `trial` | one run against one server: prepare → Ready → Measured → Concluded |
//! | 7 | `web` | the page while a run lasts: one thread that serves browsers |
//! | 7 | `report` | pages: a document in, text out |
//! | 6 | `prometheus` | a run for Prometheus: metric families, scrapes, remote write |
//! | 6 | `live` | what a person sees while a test runs |
//! | 6 | `document` | what outlives the process: schema, from a run, JSON, merge |
//! | 5 | `engine` | the event loop, one pinned thread a worker |
//! | 4 | `plan` | what to do, resolved and valid |
//! | 3 | `mix` | the weighted mix of requests |
//! | 2 | `api` | one row and one file an LLM API |
//! | 2 | `threshold`, `compare` | rules on one run; statistics of several |
//! | 2 | `server` | a server as a child process |
//! | 2 | `watch` | a server seen from outside |
//! | 2 | `origin` | the server of known instants that the client itself is judged by |
//! | 1 | `dataset` | files of requests: data sets and traces → rows in one arena |
//! | 1 | `wire`, `load`, `net`, `metrics`, `host` | bytes; start times; sockets; numbers; host |
//! | 1 | `rendezvous` | shards that meet: a protocol fed with bytes and time, and its thread |
//! | 0 | `units`, `exit`, `redact` | durations, rates; exit codes; what takes secrets out of text |
//! | 0 | `tokenizer` | how a model splits text into tokens |
//!
//! `architecture.rs` lists which rooms each room names. A test holds that list to be exactly what
//! the sources name. `commands` dispatches, so `cli` does not know any command: types are handed
//! down and nothing points up.
//!
//! # Invariants, kept by the test below
//!
//! 1. Imports point downward only, as in the table.
//! 2. Nothing in `wire`, `api`, `dataset`, `load`, `mix`, `plan`, `metrics`, `threshold`,
//!    `compare`, `report` does I/O or reads a clock. Time is an argument: `now` goes in, the next
//!    deadline comes out.
//! 3. The clock of a test is read in `engine/clock.rs` only; `rendezvous/shell.rs` has a clock of
//!    its own. `server`, `live` and, at the end, `prometheus` may wait; `trial` stamps the run with
//!    the wall clock. Each does so with a reasoned `#[expect]`. `origin` is a server and has a
//!    clock of its own.
//! 4. Only `net/tls` names rustls; only `wire/http1` httparse; only `wire/websocket` tungstenite;
//!    only `cli`, the dispatch and the errors of `commands` clap; only `net`, `engine` and `origin`
//!    mio; only `metrics` hdrhistogram; only `web` axum; only `prometheus/text` prometheus-client.
//!    Formats that outlive the process live in `document` and `plan/profile.rs`; plain result types
//!    derive serde where they are defined.
//! 5. No `use crate::*`, no `super::super`, no `static mut`; `process::exit` in `main.rs` only; no
//!    `unsafe` anywhere.
//! 6. Workers share nothing while running. No lock, atomic write or allocation per request or per
//!    event on the hot path.
//! 7. A file stays near 500 lines or less and a function near 70: past that, look for the noun that
//!    wants its own file.
//!
//! # Where do I …
//!
//! | … | one place |
//! |---|---|
//! | add a profile | `profiles/x.toml` (+1 line in `plan/profile.rs`) |
//! | add a flag | the struct of its group in `cli/`, and the place in `plan` that reads its field |
//! | add an API | one file in `api/` + one line in `api/mod.rs` |
//! | add a load shape | one file in `load/` + one variant |
//! | add a metric | a row in `metrics/catalogue.rs`; the compiler then names the other places |
//! | add an output format | one file in `report/` |
//! | change the live page | `report/html/live.rs` (its data), `assets/live.js`, `web/routes.rs` |
//! | add a chart | `report/html/over_time.rs`; its looks are in `assets/` and `templates/` |
//! | change how two builds are compared | `compare/judge.rs` |
//! | add a command | one file in `commands/` + its arguments in `cli/` |
//! | see the steps before and after the load | `trial/prepare.rs`, `trial/conclude.rs` |
//! | see the work of one worker | `engine/worker.rs` |

pub mod api;
pub(crate) mod cli;
pub mod commands;
pub mod compare;
pub mod dataset;
pub mod document;
pub mod engine;
pub mod exit;
pub mod host;
pub mod live;
pub mod load;
pub mod metrics;
pub mod mix;
pub mod net;
pub mod origin;
pub mod plan;
#[cfg(feature = "web")]
pub mod prometheus;
pub mod redact;
pub(crate) mod rendezvous;
pub mod report;
pub mod server;
pub mod threshold;
pub mod tokenizer;
pub(crate) mod trial;
pub mod units;
pub mod watch;
#[cfg(feature = "web")]
pub mod web;
pub mod wire;

#[cfg(test)]
mod architecture;
