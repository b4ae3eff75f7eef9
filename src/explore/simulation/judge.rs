//! What must hold, at each step and at the end, and whether it does.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::Simulation;
use crate::explore::finding::Finding;
use crate::explore::observe::{digest, observe};
use crate::explore::system::Ending;
use crate::explore::watch::Watch;
use crate::machine::{End, Moment, Outcome};
use crate::scenario::Broken;

/// What a run's end shows, by its bytes: most schedules end as others did.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub outcome: String,
    pub broken: Vec<Finding>,
}

impl Simulation {
    /// What must always hold and does not.
    pub(super) fn check_always(&mut self) -> Result<(), Finding> {
        if !self.start.has_always {
            return Ok(());
        }
        self.judge_always()
    }

    #[inline(never)]
    fn judge_always(&mut self) -> Result<(), Finding> {
        let at = self.steps.last().copied();
        let first = self.kept.entry(digest(&self.machine, &self.start.always_maps)).or_insert_with(|| {
            let seen = observe(&self.machine, &self.start.always_maps);
            self.start.judgement.broken_now(&seen).into_iter().next()
        });
        first.clone().map_or(Ok(()), |first| Err(broken(first, at)))
    }

    /// [`System::ending`](crate::explore::system::System::ending) with somebody who sees each instruction of the programs that run last.
    pub fn ending_watched<W: Watch>(&mut self, watch: &mut W) -> Ending<Finding> {
        let mut findings: Vec<Finding> = self.failed.clone().into_iter().collect();
        let tasks = (0..self.tasks()).filter(|&task| !self.is_done(task)).map(|task| self.on_machine(task));
        let waiting: Vec<u32> = tasks.chain(self.callbacks.iter().filter_map(|one| one.running)).collect();
        let mut outcome = None;
        if findings.is_empty() && !waiting.is_empty() {
            findings.push(Finding::Deadlock(waiting.iter().map(|&task| self.machine.moment(task)).collect()));
        }
        if findings.is_empty() {
            if self.start.leaks {
                findings.extend(self.machine.leaks().iter().map(|&leak| Finding::Leak(leak)));
                let overwritten = self.machine.overwritten().into_iter();
                findings.extend(overwritten.map(|(region, field, acquired)| Finding::Overwritten {
                    region,
                    field,
                    acquired,
                }));
            }
            match self.judge(watch) {
                Ok(Some(seen)) => {
                    findings.extend(seen.broken);
                    outcome = Some(seen.outcome);
                }
                Ok(None) => {}
                Err(finding) => findings.push(finding),
            }
        }
        findings.retain(|finding| !self.start.allowed.contains(finding.kind()));
        Ending { findings, outcome }
    }

    /// Runs a task's program to its end; `None` if it is broken off.
    fn run_to_end<W: Watch>(&mut self, on: u32, watch: &mut W) -> Option<End> {
        if !W::WATCHES {
            return Some(self.machine.run(on));
        }
        watch.started(&self.machine, on);
        loop {
            if watch.stops() {
                return None;
            }
            watch.before(&self.machine, on);
            match self.machine.step(on) {
                Ok(Outcome::Ran) => watch.after(&self.machine, on),
                Ok(Outcome::Returned(value)) => return Some(End::Returned(value)),
                // Nobody else runs that could give it what it waits for.
                Ok(Outcome::Blocked) => return Some(self.machine.run(on)),
                Err(end) => return Some(*end),
            }
        }
    }

    /// Runs what comes after all tasks, and judges what is seen; `None` if it is broken off.
    fn judge<W: Watch>(&mut self, watch: &mut W) -> Result<Option<Seen>, Finding> {
        let mut last = Vec::new();
        let start = Arc::clone(&self.start);
        self.machine.flush_all();
        for (job, &cpu) in start.last.iter().zip(&start.last_cpus) {
            for _ in 0..job.repeat {
                // That it starts was tried when the scenario was set up.
                let _ = self.machine.start_with(job.program, cpu, &job.input);
                match self.run_to_end(cpu, watch) {
                    Some(End::Returned(value)) => last.push(value as u32 as i32),
                    Some(end) => return Err(Finding::Ended(end)),
                    None => return Ok(None),
                }
                self.machine.flush_all();
            }
        }
        let mut hasher = DefaultHasher::new();
        (&self.returns, &last, digest(&self.machine, &start.end_maps)).hash(&mut hasher);
        let key = hasher.finish();
        if let Some(known) = self.seen.get(&key) {
            return Ok(Some(known.clone()));
        }
        let mut seen = observe(&self.machine, &start.end_maps);
        seen.returns.clone_from(&self.returns);
        seen.last = last;
        let broken = start.judgement.broken(&seen).into_iter().map(|one| broken(one, None)).collect();
        let judged = Seen { outcome: start.judgement.outcome(&seen), broken };
        self.seen.insert(key, judged.clone());
        Ok(Some(judged))
    }
}

/// A condition that does not hold, as a finding; without a moment it is one of the end.
fn broken(broken: Broken, at: Option<Moment>) -> Finding {
    Finding::Broken { condition: broken.condition.text, always: at.is_some(), at, error: broken.error }
}
