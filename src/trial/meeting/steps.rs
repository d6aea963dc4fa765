//! Steps that shards run together: shard 0 sets each step, all shards begin it at one instant, and
//! shard 0 adds up the measurements.

use super::{Meeting, NO_THREAD, News, lock};
use crate::document::ServerMetrics;
use crate::document::shard_step::{ShardStep, StepSum};
use crate::exit::ExitClass;
use crate::plan::Plan;
use crate::rendezvous::{Cause, Command, Event, Stop};
use crate::trial::desk::Desk;
use crate::trial::ended::Ended;
use crate::trial::measure::show_whole;
use crate::trial::{Ready, SweepStep, TrialError, Viewers};
use std::collections::BTreeSet;
use std::sync::mpsc::RecvTimeoutError;

/// The reason why the steps ended before the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// True for a signal to one of the shards.
    pub(crate) is_signal: bool,
    /// The shard and the reason: `shard 1 was lost: its connection was closed`.
    pub(crate) text: String,
}

impl Cut {
    pub(crate) const fn exit(&self) -> ExitClass {
        if self.is_signal { ExitClass::Interrupted } else { ExitClass::Incomplete }
    }
}

impl Meeting {
    /// Waits until all shards are ready to run steps. All of them must agree on `plan`.
    pub(crate) fn gather_for_steps(&self, plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<(), TrialError> {
        self.gather(plan, None, say)
    }

    /// At shard 0: runs a step with all shards. `what` tells the others which step `plan` is.
    /// `None` when all shards end; see [`Self::cut`].
    pub(crate) fn lead(
        &self,
        ready: &mut Ready,
        (plan, what): (&Plan, &str),
        viewers: &mut dyn Viewers,
    ) -> Result<Option<SweepStep>, TrialError> {
        self.line.send(Command::Step { text: what.to_owned() });
        loop {
            match self.step_news() {
                Some(News::Event(Event::Start { at, error, .. })) => break self.at.set((at, error)),
                Some(news) => tell(news, viewers),
                None => return Ok(None),
            }
        }
        let Some(own) = ready.step_with(plan, Some(self), viewers).map_err(|error| self.failing(error))? else {
            if self.reason().is_none() {
                self.tell(&Ended::Signal);
            }
            return Ok(None);
        };
        if let Some(command) = self.shared.at_desk(0, |desk| desk.end(0)) {
            self.line.send(command);
        }
        let problem = match StepSum::new(&told(&own)) {
            Ok(mut sum) => match self.add_others(&mut sum, viewers) {
                Ok(is_whole) => {
                    let StepSum { summary, signals, workers } = sum;
                    // Shard 0's own observation of the server is enough.
                    let SweepStep { server_cpu, server_metrics, .. } = own;
                    // The server has counted the requests of the other shards, too.
                    let alone = |said| ServerMetrics { compared: Vec::new(), ..said };
                    let server_metrics = server_metrics.map(alone);
                    let step = SweepStep { summary, signals, workers, server_cpu, server_metrics };
                    return Ok(is_whole.then_some(step));
                }
                Err(problem) => problem,
            },
            Err(error) => format!("shard 0 has set an invalid step: {error}"),
        };
        self.line.send(Command::Stop { cause: Cause::Lost, text: problem });
        // Wait until this stop is the reason why all shards end.
        while self.step_news().is_some() {}
        Ok(None)
    }

    /// Adds the measurements of the other shards. Returns false when all shards end before all
    /// steps are in.
    fn add_others(&self, sum: &mut StepSum, viewers: &mut dyn Viewers) -> Result<bool, String> {
        let mut missing: BTreeSet<u32> = (1..self.shard.count).collect();
        while !missing.is_empty() {
            match self.step_news() {
                Some(News::Event(Event::StepOver { shard, text })) => {
                    sum.add(&text).map_err(|error| format!("shard {shard} sent an invalid step: {error}"))?;
                    missing.remove(&shard);
                }
                Some(news) => tell(news, viewers),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// At another shard: runs the steps that shard 0 sets, until shard 0 has written the result.
    /// `plan` makes the plan of a step from its text. Returns why all shards ended earlier, if they
    /// did.
    pub(crate) fn follow(
        &self,
        ready: &mut Ready,
        plan: &dyn Fn(&Plan, &str) -> Option<Plan>,
        viewers: &mut dyn Viewers,
    ) -> Result<Option<Cut>, TrialError> {
        loop {
            match self.step_news() {
                Some(News::Event(Event::Start { at, error, step: Some(what), .. })) => {
                    self.at.set((at, error));
                    let Some(plan) = plan(ready.plan(), &what) else {
                        let text = "it does not know the step that shard 0 has set".to_owned();
                        self.line.send(Command::Stop { cause: Cause::Lost, text });
                        continue;
                    };
                    let step = ready.step_with(&plan, Some(self), viewers).map_err(|error| self.failing(error))?;
                    if let Some(step) = step {
                        self.line.send(Command::StepOver(told(&step)));
                    }
                }
                Some(News::Event(Event::Thanked)) => return Ok(None),
                Some(news) => tell(news, viewers),
                None => return Ok(self.cut()),
            }
        }
    }

    /// At shard 0: takes the seconds of all shards as those of this step from now on.
    pub(in crate::trial) fn show_step(&self, plan: &Plan) {
        *lock(&self.shared.desk) = Some(Desk::new(plan, show_whole(plan)));
    }

    /// Passes news on to the viewers during a step. News that belongs to the time after the step is
    /// kept, since another shard may be faster.
    pub(in crate::trial) fn pass_on_step(&self, viewers: &mut dyn Viewers) {
        for news in self.news.try_iter() {
            match news {
                News::Second(_) | News::Event(Event::Said(_)) => tell(news, viewers),
                later @ News::Event(_) => self.later.borrow_mut().push_back(later),
            }
        }
    }

    /// Returns the next news. `None` when all shards end. If a signal to this shard ends them, the
    /// others are told.
    fn step_news(&self) -> Option<News> {
        loop {
            if self.reason().is_some() {
                return None;
            }
            if let Some(news) = self.later.borrow_mut().pop_front() {
                return Some(news);
            }
            match self.recv() {
                Ok(news) => return Some(news),
                Err(RecvTimeoutError::Timeout) if self.shared.stop.is_signalled() => {
                    self.tell(&Ended::Signal);
                    return None;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Returns why the steps ended before the last one, if they did.
    pub(crate) fn cut(&self) -> Option<Cut> {
        let own = |cause, text: &str| Stop { cause, shard: self.shard.index, text: text.to_owned() };
        let signalled = self.shared.stop.is_signalled().then(|| own(Cause::Signal, ""));
        let dead = self.line.is_over().then(|| own(Cause::Lost, NO_THREAD));
        let stop = self.reason().or(signalled).or(dead)?;
        Some(match stop.cause {
            Cause::Signal => Cut { is_signal: true, text: format!("signal to shard {}", stop.shard) },
            Cause::Threshold | Cause::Lost => {
                Cut { is_signal: false, text: format!("shard {} was lost: {}", stop.shard, stop.text) }
            }
        })
    }
}

fn told(step: &SweepStep) -> Vec<u8> {
    ShardStep::new(&step.summary, &step.signals, step.workers).to_json()
}

fn tell(news: News, viewers: &mut dyn Viewers) {
    match news {
        News::Event(Event::Said(line)) => viewers.said(&line),
        News::Second(moment) => viewers.whole(moment),
        News::Event(_) => {}
    }
}
