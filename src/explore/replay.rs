//! A schedule performed again, step for step.

use super::causality::Mixer;
use super::race::RaceDetector;
use super::system::{Choice, System};

/// Why a schedule could not be performed to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The step, from 0.
    pub step: usize,
    /// What the schedule asks for.
    pub wanted: Choice,
    /// What there was; nothing if the run was over.
    pub choices: Vec<Choice>,
}

/// A schedule that was performed.
#[derive(Clone, Debug)]
pub struct Replay<F> {
    /// How many steps were taken.
    pub steps: usize,
    /// Where the schedule stopped fitting, if it did.
    pub misfit: Option<Misfit>,
    /// Choices that were left after the schedule's last step: the run was not over.
    pub left: Vec<Choice>,
    /// What went wrong, races first; the run's end is judged only if it was over.
    pub findings: Vec<F>,
    /// What can be observed at the end.
    pub outcome: Option<String>,
    /// A digest of who did what and touched what, step by step.
    pub digest: u128,
}

/// A digest of steps and their touches.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceDigest(Mixer);

impl TraceDigest {
    /// Adds the step that the system took last.
    pub fn step(&mut self, choice: Choice, system: &impl System) {
        self.0.add(u64::from(choice.actor.0) << 16 | u64::from(choice.branch));
        for touch in system.touches() {
            self.0.touch(touch);
        }
    }

    /// The digest so far.
    #[must_use]
    pub fn finish(self) -> u128 {
        self.0.finish()
    }
}

/// Performs `choices` from the start; `seen` is called after each step, with the step's number.
pub fn replay<S: System>(system: &mut S, choices: &[Choice], mut seen: impl FnMut(usize, &S)) -> Replay<S::Finding> {
    system.reset();
    let mut races = RaceDetector::new(system.actor_count());
    let mut digest = TraceDigest::default();
    let mut replay =
        Replay { steps: 0, misfit: None, left: Vec::new(), findings: Vec::new(), outcome: None, digest: 0 };
    let mut failure = None;
    let mut possible = Vec::new();
    for (step, &wanted) in choices.iter().enumerate() {
        possible.clear();
        if failure.is_none() {
            system.choices(&mut possible);
        }
        if !possible.contains(&wanted) {
            replay.misfit = Some(Misfit { step, wanted, choices: possible.clone() });
            break;
        }
        failure = system.perform(wanted).err();
        races.step(wanted.actor, system.touches());
        digest.step(wanted, system);
        replay.steps = step + 1;
        seen(step, system);
    }
    replay.digest = digest.finish();
    replay.findings.extend(races.races().iter().filter_map(|race| system.race(race.first, race.second)));
    if failure.is_none() {
        system.choices(&mut replay.left);
    }
    if replay.left.is_empty() {
        let failed = failure.is_some();
        replay.findings.extend(failure);
        let ending = system.ending();
        replay.findings.extend(ending.findings);
        replay.outcome = ending.outcome.filter(|_| !failed);
    }
    replay
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::system::Actor;
    use crate::explore::toy::{Op, Toy, ToyFinding};

    fn choices(actors: &[u16]) -> Vec<Choice> {
        actors.iter().map(|actor| Choice { actor: Actor(*actor), branch: 0 }).collect()
    }

    #[test]
    fn a_schedule_gives_the_same_trace_twice() {
        let mut toy = Toy::race(2, 2);
        let first = replay(&mut toy, &choices(&[0, 1, 1, 0]), |_, _| ());
        let again = replay(&mut toy, &choices(&[0, 1, 1, 0]), |_, _| ());
        let other = replay(&mut toy, &choices(&[0, 1, 0, 1]), |_, _| ());
        assert_eq!((first.digest, &first.outcome), (again.digest, &again.outcome));
        assert_ne!(first.digest, other.digest);
        assert_eq!(first.outcome.as_deref(), Some("020403"));
    }

    #[test]
    fn it_tells_where_a_schedule_stops_fitting() {
        let mut toy = Toy::new(vec![vec![Op::Lock(0), Op::Unlock(0)], vec![Op::Lock(0)]], 0, 1);
        let run = replay(&mut toy, &choices(&[0, 1, 0]), |_, _| ());
        let misfit = Misfit { step: 1, wanted: choices(&[1])[0], choices: choices(&[0]) };
        assert_eq!((run.steps, run.misfit), (1, Some(misfit)));
        assert_eq!(run.left, choices(&[0]));
    }

    #[test]
    fn a_run_that_failed_takes_no_more_steps() {
        let mut toy = Toy::new(vec![vec![Op::Fail(0, 0)], vec![Op::Read(0)]], 1, 0);
        let run = replay(&mut toy, &choices(&[0, 1]), |_, _| ());
        assert!(run.misfit.is_some_and(|misfit| misfit.choices.is_empty()));
        assert_eq!(run.findings[0], ToyFinding::Failed { actor: 0, at: 0 });
    }
}
