//! Going forward: by an instruction, a source line, a step of the schedule, or until something happens.

use crate::explore::random::Random;
use crate::explore::simulation::ActorKind;
use crate::explore::system::{Actor, Choice};
use crate::machine::Way;

use super::recording::TaskState;
use super::session::{Planned, Session};
use super::stops::{Stop, reached};
use super::watches::Watched;

/// Instructions that going on by a line takes at most.
const MAX_LINE: usize = 100_000;
/// Steps that one run at random takes at most.
const MAX_RANDOM: usize = 10_000;

/// Who goes on in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The plan, then each as long as it can.
    All,
    /// The plan, and no further.
    Plan,
    /// The chosen one only, until its program returns.
    Selected,
}

/// What was so when a run began.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    findings: usize,
    returned: usize,
    whom: Whom,
}

impl Session {
    /// The step that the chosen actor can take: the chosen way if there are several.
    fn ready(&self) -> Result<Choice, Stop> {
        let possible = self.possible();
        if possible.contains(&self.selected) {
            return Ok(self.selected);
        }
        let actor = self.selected.actor;
        let first = possible.iter().find(|choice| choice.actor == actor).copied();
        first.ok_or_else(|| Stop::Nothing(self.why_not(actor)))
    }

    /// Why an actor can take no step.
    fn why_not(&self, actor: Actor) -> String {
        if self.over().is_some() {
            return "the run is over; Left goes back".to_owned();
        }
        if let Some(failing) = self.about_to_fail() {
            return format!("{} is about to end the run; step it, or go back", self.actor_name(failing));
        }
        if self.done().len() >= super::session::MAX_STEPS {
            return "so many steps are not possible; go back, or start anew".to_owned();
        }
        let row = self.rows().into_iter().find(|row| row.choice.actor == actor);
        row.map_or_else(
            || format!("{} has nothing to do", self.actor_name(actor)),
            |row| format!("{} {}", self.actor_name(actor), row.text),
        )
    }

    /// The chosen actor executes one instruction.
    pub fn step_instruction(&mut self) -> Stop {
        let stop = self.instruction();
        self.conclude();
        self.judged(stop)
    }

    fn instruction(&mut self) -> Stop {
        let actor = self.selected.actor;
        if self.unshown(actor) > 0 {
            self.show(actor, self.shown_of(actor) + 1);
            return Stop::Done;
        }
        match self.ready() {
            Ok(choice) => self.perform(choice).map_or_else(|stop| stop, |_| Stop::Done),
            Err(stop) => stop,
        }
    }

    /// What is to be said when a step is done: that the run is over, if it is.
    fn judged(&self, stop: Stop) -> Stop {
        match (stop, self.over()) {
            (Stop::Done, Some(over)) if over.findings.is_empty() => Stop::Over,
            (Stop::Done, Some(over)) => Stop::Finding(over.findings[0].kind().to_owned()),
            (stop, _) => stop,
        }
    }

    /// The chosen actor goes on to its next scheduling point.
    pub fn step_schedule(&mut self) -> Stop {
        let actor = self.selected.actor;
        let races = self.findings().len();
        if self.unshown(actor) > 0 {
            self.show(actor, usize::MAX);
        } else {
            match self.ready() {
                Ok(choice) => {
                    if let Err(stop) = self.perform(choice) {
                        return stop;
                    }
                    // One move: the rest of the step is shown by it, too.
                    self.show_with_last(actor);
                }
                Err(stop) => return stop,
            }
        }
        self.conclude();
        match self.findings().get(races) {
            Some(finding) => Stop::Finding(finding.kind().to_owned()),
            None => self.judged(Stop::Done),
        }
    }

    /// The chosen actor goes on to another source line; `over` the functions that it calls, or into them.
    pub fn step_line(&mut self, over: bool) -> Stop {
        let actor = self.selected.actor;
        let before = self.state(actor);
        let depth = before.as_ref().map_or(0, |state| state.frames.len());
        let line = before.as_ref().and_then(|state| self.line_of(state));
        let mut previous = before;
        for count in 0..MAX_LINE {
            if self.is_broken_off("stopped on this line") {
                self.conclude();
                return Stop::Interrupted;
            }
            if count > 0 && self.unshown(actor) == 0 && self.ways(actor) > 1 {
                self.conclude();
                return Stop::Choice;
            }
            let stop = self.instruction();
            if stop != Stop::Done {
                self.conclude();
                return if count > 0 && stop != Stop::Interrupted { self.judged(Stop::Done) } else { stop };
            }
            let Some(state) = self.state(actor).filter(|_| !self.has_failed(actor)) else { break };
            if let Some(found) = reached(&self.breaks, self.machine(), previous.as_ref(), &state) {
                let found = found.to_string();
                self.conclude();
                return Stop::Break(found);
            }
            let now = self.line_of(&state);
            if (!over || state.frames.len() <= depth) && now.is_some() && now != line {
                break;
            }
            previous = Some(state);
        }
        self.conclude();
        self.judged(Stop::Done)
    }

    fn ways(&self, actor: Actor) -> usize {
        self.possible().iter().filter(|choice| choice.actor == actor).count()
    }

    /// The source line that a state is at, if it is one of the program's.
    fn line_of(&self, state: &TaskState) -> Option<(String, u32)> {
        let program = self.machine().programs().get(state.place.program as usize)?.source();
        program.line_at(state.place.insn as usize).map(|line| (line.file.to_string(), line.line))
    }

    /// The chosen actor takes the way of its next step that a test wants.
    pub fn take_way(&mut self, wanted: impl Fn(Way) -> bool) -> Option<Stop> {
        let actor = self.selected.actor;
        let task = self.simulation.machine_task(actor).filter(|_| self.unshown(actor) == 0)?;
        let mut choices = self.possible().into_iter().filter(|choice| choice.actor == actor);
        let choice = choices.find(|choice| self.machine().way(task, choice.branch).is_some_and(&wanted))?;
        self.selected = choice;
        Some(self.step_schedule())
    }

    /// The chosen actor's allocation fails, if that is what comes next and the scenario lets it.
    pub fn fail_allocation(&mut self) -> Stop {
        let stop = self.take_way(|way| way == Way::NoMemory);
        stop.unwrap_or_else(|| {
            Stop::Nothing(match self.machine().options().allocation_failures {
                true => format!("{} allocates nothing next", self.actor_name(self.selected.actor)),
                false => "allocations do not fail in this scenario; start with --allocation-failures".to_owned(),
            })
        })
    }

    /// Takes the plan's next step.
    pub fn follow(&mut self) -> Stop {
        let Some(next) = self.plan.last().map(|next| next.choice) else {
            return Stop::Nothing("there is no plan: no token was given, and nothing was gone back over".to_owned());
        };
        self.selected = next;
        self.show(next.actor, usize::MAX);
        if !self.possible().contains(&next) {
            return Stop::Nothing(self.why_not(next.actor));
        }
        self.step_schedule()
    }

    /// Goes to where so many steps of the schedule are done: back, or along the plan.
    pub fn go_to(&mut self, steps: usize) {
        if steps < self.done().len() {
            let end = self.done().len();
            for _ in steps..end {
                if self.is_broken_off("stopped on the way; what is left is the plan") {
                    return;
                }
                self.back_step();
            }
        }
        while self.done().len() < steps && !matches!(self.follow(), Stop::Over | Stop::Interrupted) {
            if self.plan.is_empty() || self.is_broken_off("stopped on the way; what is left is the plan") {
                break;
            }
        }
    }

    /// Runs on with steps chosen at random, up to a break, a change, a finding or the end.
    pub fn random(&mut self, random: &mut Random) -> Stop {
        let begun = self.begin(Whom::All);
        self.plan.clear();
        for _ in 0..MAX_RANDOM {
            let mut possible = self.possible();
            possible.retain(|choice| self.actor_kind(choice.actor) != ActorKind::GracePeriod);
            let Some(&choice) = possible.get(random.below(possible.len())) else { break };
            self.plan.push(Planned { choice, text: String::new() });
            match self.go_on(begun, 1) {
                Stop::Budget => {}
                stop => return stop,
            }
        }
        self.judged(Stop::Done)
    }

    /// Ends a grace period, where one may end.
    pub fn end_grace_period(&mut self) -> Stop {
        let kind = |choice: &Choice| self.actor_kind(choice.actor) == ActorKind::GracePeriod;
        let Some(choice) = self.possible().into_iter().find(kind) else {
            let waits = !self.machine().rcu().deferred().is_empty();
            let why = match (self.over().is_some(), waits) {
                (true, _) => "the run is over",
                (_, true) => "no grace period may end: readers of before the free hold it back",
                (_, false) => "nothing waits for a grace period",
            };
            return Stop::Nothing(why.to_owned());
        };
        let selected = self.selected;
        let performed = self.perform(choice);
        self.selected = selected;
        self.conclude();
        performed.map_or_else(|stop| stop, |_| Stop::Done)
    }

    /// Begins a run, which [`Session::go_on`] carries out.
    #[must_use]
    pub fn begin(&self, whom: Whom) -> Begun {
        Begun { findings: self.findings().len(), returned: self.returned_count(), whom }
    }

    fn returned_count(&self) -> usize {
        self.simulation.returned_by(self.selected.actor).len()
    }

    /// Goes on until something happens, or for so many steps: then [`Stop::Budget`], and it may be called again.
    pub fn go_on(&mut self, begun: Begun, budget: usize) -> Stop {
        let stop = self.go(begun, budget);
        self.conclude();
        match stop {
            Stop::Done | Stop::Budget if self.findings().len() > begun.findings => {
                Stop::Finding(self.findings()[begun.findings].kind().to_owned())
            }
            Stop::Done if self.over().is_some() => Stop::Over,
            stop => stop,
        }
    }

    fn go(&mut self, begun: Begun, budget: usize) -> Stop {
        let first = self.selected.actor;
        let others = self.actors().filter(|&actor| actor != first && begun.whom != Whom::Selected);
        for actor in std::iter::once(first).chain(others.collect::<Vec<_>>()) {
            if self.unshown(actor) == 0 {
                continue;
            }
            let next = self.shown_of(actor) + 1;
            self.show(actor, next);
            if let Some(stop) = self.show_rest(actor, next) {
                self.selected.actor = actor;
                return stop;
            }
        }
        for _ in 0..budget {
            if self.is_broken_off("stopped") {
                return Stop::Interrupted;
            }
            let choice = match self.next_choice(begun.whom) {
                Ok(choice) => choice,
                Err(stop) => return stop,
            };
            let shown = match self.perform(choice) {
                Ok(shown) => shown,
                Err(stop) => return stop,
            };
            if let Some(stop) = self.show_rest(choice.actor, shown).or_else(|| self.changed()) {
                return stop;
            }
            if self.findings().len() > begun.findings {
                return Stop::Done;
            }
            if begun.whom == Whom::Selected && self.returned_count() > begun.returned {
                return Stop::Done;
            }
        }
        Stop::Budget
    }

    fn next_choice(&mut self, whom: Whom) -> Result<Choice, Stop> {
        let possible = self.possible();
        let planned = self.plan.last().map(|next| next.choice);
        if whom != Whom::Selected
            && let Some(choice) = planned.filter(|choice| possible.contains(choice))
        {
            return Ok(choice);
        }
        match whom {
            Whom::Plan => Err(Stop::Done),
            Whom::Selected => self.ready(),
            Whom::All => {
                let rank = |choice: &&Choice| match self.actor_kind(choice.actor) {
                    _ if choice.actor == self.selected.actor => 0,
                    ActorKind::Task { .. } => 1,
                    ActorKind::Callback { .. } => 2,
                    ActorKind::StoreBuffer { .. } => 3,
                    ActorKind::Others => 4,
                    ActorKind::GracePeriod => 5,
                };
                possible.iter().min_by_key(rank).copied().ok_or(Stop::Done)
            }
        }
    }

    /// Shows the rest of an actor's step, up to the first place at which it stops.
    fn show_rest(&mut self, actor: Actor, from: usize) -> Option<Stop> {
        let end = self.shown_of(actor) + self.unshown(actor);
        for number in from..=end {
            let Some(now) = self.state_at(actor, number) else { break };
            let before = number.checked_sub(1).and_then(|number| self.state_at(actor, number));
            let found = reached(&self.breaks, self.machine(), before.as_ref(), &now).map(ToString::to_string);
            let stop = found.map(Stop::Break).or_else(|| self.register_change(actor, &now));
            if stop.is_some() {
                self.show_part_with_last(actor, number);
                return stop;
            }
        }
        self.show_with_last(actor);
        None
    }

    /// A watched register that has another value now.
    fn register_change(&mut self, actor: Actor, state: &TaskState) -> Option<Stop> {
        for index in 0..self.watches.len() {
            let Watched::Register { actor: owner, .. } = self.watches[index].what else { continue };
            if owner != actor.0 {
                continue;
            }
            let value = self.watches[index].what.value(self.machine(), |_| Some(state.clone()));
            if let Some(stop) = self.note(index, value) {
                return Some(stop);
            }
        }
        None
    }

    /// A watched place in memory that has another value now.
    fn changed(&mut self) -> Option<Stop> {
        for index in 0..self.watches.len() {
            if let Watched::Memory { .. } = self.watches[index].what {
                let value = self.watches[index].what.value(self.machine(), |_| None);
                if let Some(stop) = self.note(index, value) {
                    return Some(stop);
                }
            }
        }
        None
    }

    fn note(&mut self, index: usize, value: Option<String>) -> Option<Stop> {
        let value = value.unwrap_or_else(|| "-".to_owned());
        let watch = &mut self.watches[index];
        let last = std::mem::replace(&mut watch.last, value);
        (last != watch.last).then(|| Stop::Changed(watch.text.clone(), last, watch.last.clone()))
    }
}
