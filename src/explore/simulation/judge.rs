//! What must hold, at each step and at the end, and whether it does.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::Simulation;
use crate::explore::finding::Finding;
use crate::explore::observe::{digest, observe};
use crate::machine::{End, Moment};
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

    /// Runs what comes after all tasks, and judges what is seen.
    pub(super) fn judge(&mut self) -> Result<Seen, Finding> {
        let mut last = Vec::new();
        let start = Arc::clone(&self.start);
        self.machine.flush_all();
        for (job, &cpu) in start.last.iter().zip(&start.last_cpus) {
            for _ in 0..job.repeat {
                // That it starts was tried when the scenario was set up.
                let _ = self.machine.start_with(job.program, cpu, &job.input);
                match self.machine.run(cpu) {
                    End::Returned(value) => last.push(value as u32 as i32),
                    end => return Err(Finding::Ended(end)),
                }
                self.machine.flush_all();
            }
        }
        let mut hasher = DefaultHasher::new();
        (&self.returns, &last, digest(&self.machine, &start.end_maps)).hash(&mut hasher);
        let key = hasher.finish();
        if let Some(known) = self.seen.get(&key) {
            return Ok(known.clone());
        }
        let mut seen = observe(&self.machine, &start.end_maps);
        seen.returns.clone_from(&self.returns);
        seen.last = last;
        let broken = start.judgement.broken(&seen).into_iter().map(|one| broken(one, None)).collect();
        let judged = Seen { outcome: start.judgement.outcome(&seen), broken };
        self.seen.insert(key, judged.clone());
        Ok(judged)
    }
}

/// A condition that does not hold, as a finding; without a moment it is one of the end.
fn broken(broken: Broken, at: Option<Moment>) -> Finding {
    Finding::Broken { condition: broken.condition.text, always: at.is_some(), at, error: broken.error }
}
