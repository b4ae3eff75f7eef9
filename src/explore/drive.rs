//! One run after another: a policy decides, a system acts, and what comes of it is heard.

use super::policy::{Abandon, Next, Point, Policy, RunEnd, Step};
use super::race::RaceDetector;
use super::system::{Choice, System, Waiting};

/// Why a search cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriveError {
    /// The same choices led elsewhere than before.
    #[error("the system is not deterministic: step {step} of a repeated run ({actor}) went otherwise than before")]
    NotDeterministic {
        /// Which step, from 0.
        step: usize,
        /// Whose.
        actor: String,
    },
    /// A policy asked for a step that is not there.
    #[error("the policy asked for a step of {actor} at step {step}, which is no choice there")]
    NoSuchChoice {
        /// Which step, from 0.
        step: usize,
        /// Whose.
        actor: String,
    },
}

/// A run that was carried out, as far as it went.
#[derive(Clone, Debug)]
pub struct Run<F> {
    /// How it ended.
    pub end: RunEnd,
    /// Is it part of this search?
    pub counts: bool,
    /// What went wrong.
    pub findings: Vec<F>,
    /// What can be observed at its end, if it came to its end.
    pub outcome: Option<String>,
    /// Was nothing left to choose, and yet it had not come to its end?
    pub stuck: bool,
    /// Steps that were repeated from the run before.
    pub kept: usize,
}

/// A system with the run it is in.
#[derive(Debug)]
pub struct Driver<S> {
    system: S,
    schedule: Vec<Choice>,
    races: Option<RaceDetector>,
    max_steps: usize,
    choices: Vec<Choice>,
    waiting: Vec<Waiting>,
    checkpoint: Checkpoint,
}

/// The step of the run at which the system's state is kept, so that runs which share the steps before need not repeat them.
#[derive(Debug)]
struct Checkpoint {
    step: Option<usize>,
    /// Runs that began there.
    used: u32,
    /// How many steps before the place where a run leaves the last one the next state is kept.
    lag: usize,
}

/// Runs that a kept state should serve, at least and at most.
const SERVES: std::ops::Range<u32> = 16..256;

impl Checkpoint {
    /// None, and none is wanted soon.
    fn new() -> Checkpoint {
        Checkpoint { step: None, used: 0, lag: 4 }
    }

    /// Notes that there is none any more, and learns from how much it has served.
    fn drop(&mut self) {
        if self.step.take().is_some() {
            if self.used < SERVES.start {
                self.lag += 1;
            } else if self.used >= SERVES.end {
                self.lag = self.lag.saturating_sub(1).max(1);
            }
        }
        self.used = 0;
    }
}

impl<S: System> Driver<S> {
    /// A driver that cuts runs after `max_steps` steps, and looks for data races or not.
    #[must_use]
    pub fn new(system: S, max_steps: usize, races: bool) -> Driver<S> {
        let races = races.then(|| RaceDetector::new(system.actor_count()));
        Driver {
            system,
            schedule: Vec::new(),
            races,
            max_steps,
            choices: Vec::new(),
            waiting: Vec::new(),
            checkpoint: Checkpoint::new(),
        }
    }

    /// The choices of the run.
    #[must_use]
    pub fn schedule(&self) -> &[Choice] {
        &self.schedule
    }

    /// The system, as the last run left it.
    #[must_use]
    pub fn system(&self) -> &S {
        &self.system
    }

    /// Carries out the policy's next run; `None` when it has none.
    ///
    /// # Errors
    /// [`DriveError`] if the system does not repeat itself, or the policy asks for what is not there.
    pub fn run(&mut self, policy: &mut impl Policy) -> Result<Option<Run<S::Finding>>, DriveError> {
        let Some(kept) = policy.begin() else { return Ok(None) };
        let kept = kept.min(self.schedule.len());
        self.repeat(kept)?;
        self.schedule.truncate(kept);
        if let Some(races) = &mut self.races {
            races.truncate(kept);
        }
        let mut failure = None;
        let end = self.steps(policy, &mut failure)?;
        self.waiting.clear();
        self.system.waiting(&mut self.waiting);
        let counts = policy.end(end, &self.waiting);
        let mut run = Run { end, counts, findings: Vec::new(), outcome: None, stuck: false, kept };
        if counts && !matches!(end, RunEnd::Abandoned(_)) {
            self.judge(failure, &mut run);
        }
        Ok(Some(run))
    }

    /// Brings the system to where the last run was after `kept` steps.
    fn repeat(&mut self, kept: usize) -> Result<(), DriveError> {
        let begin = match self.checkpoint.step.filter(|&step| step <= kept) {
            Some(step) => {
                self.checkpoint.used += 1;
                self.system.return_to_kept();
                step
            }
            None => {
                self.checkpoint.drop();
                self.system.reset();
                0
            }
        };
        let keep_at = kept.checked_sub(self.checkpoint.lag).filter(|&step| step > 0 && begin == 0);
        for step in begin..kept {
            if keep_at == Some(step) && self.system.keep() {
                self.checkpoint.step = keep_at;
            }
            let choice = self.schedule[step];
            if self.system.perform(choice).is_err() {
                return Err(DriveError::NotDeterministic { step, actor: self.system.actor_name(choice.actor) });
            }
        }
        Ok(())
    }

    fn steps(&mut self, policy: &mut impl Policy, failure: &mut Option<S::Finding>) -> Result<RunEnd, DriveError> {
        loop {
            self.choices.clear();
            self.system.choices(&mut self.choices);
            if self.choices.is_empty() {
                return Ok(RunEnd::Over);
            }
            let step = self.schedule.len();
            if step >= self.max_steps {
                return Ok(RunEnd::Cut);
            }
            let last = self.schedule.last().map(|choice| choice.actor);
            let fingerprint = if policy.wants_fingerprint() { self.system.fingerprint() } else { None };
            let point = Point { step, choices: &self.choices, last, fingerprint };
            let choice = match policy.next(&point) {
                Next::Take(choice) => choice,
                Next::Abandon(why) => return Ok(RunEnd::Abandoned(why)),
            };
            if !self.choices.contains(&choice) {
                return Err(DriveError::NoSuchChoice { step, actor: self.system.actor_name(choice.actor) });
            }
            *failure = self.system.perform(choice).err();
            self.schedule.push(choice);
            let touches = self.system.touches();
            if let Some(races) = &mut self.races {
                races.step(choice.actor, touches);
            }
            let stability = self.system.stability();
            policy.performed(&Step { choice, touches, stability, ends_run: failure.is_some() });
            if failure.is_some() {
                return Ok(RunEnd::Over);
            }
        }
    }

    /// What the run came to. A run that was cut has no end to judge, but its races count.
    fn judge(&mut self, failure: Option<S::Finding>, run: &mut Run<S::Finding>) {
        if let Some(races) = &self.races {
            for race in races.races() {
                run.findings.extend(self.system.race(race.first, race.second));
            }
        }
        let failed = failure.is_some();
        run.findings.extend(failure);
        if run.end == RunEnd::Over {
            let ending = self.system.ending();
            run.findings.extend(ending.findings);
            run.stuck = !failed && ending.outcome.is_none();
            run.outcome = if failed { None } else { ending.outcome };
        }
    }
}

/// Is it a run that a search counts as carried out?
#[must_use]
pub fn is_schedule<F>(run: &Run<F>) -> bool {
    run.counts && !matches!(run.end, RunEnd::Abandoned(_))
}

/// Is it a run that began in vain: an optimal reduction would not have begun it?
#[must_use]
pub fn in_vain<F>(run: &Run<F>) -> bool {
    matches!(run.end, RunEnd::Abandoned(Abandon::Redundant | Abandon::SleepBlocked | Abandon::Infeasible))
}
