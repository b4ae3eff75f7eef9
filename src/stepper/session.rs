//! A scenario stepped by hand: what was done, what is shown of each CPU, what can be done next, and the way back.
//!
//! A [`Session`] knows no terminal. A schedule's steps are those of the explorer: an instruction that others can see, and what follows up to the
//! next such. Within its last step each actor is shown at any instruction ([`super::recording`]). Going back performs the schedule again
//! without its end, which gives the same bytes; what was gone back over stays as the plan, which can be followed again.

use crate::explore::finding::Finding;
use crate::explore::race::RaceDetector;
use crate::explore::schedule::Schedule;
use crate::explore::simulation::{ActorKind, Simulation};
use crate::explore::system::{Actor, Choice, System};
use crate::machine::{Access, AccessKind, Machine, Place};

use super::interrupt::Interrupt;
use super::objects::{Labels, Runner};
use super::recording::{Recorder, TaskState};
use super::rows::brief;
use super::stops::{Break, Stop, break_at};
use super::watches::{Watched, WatchedValue};

/// Steps that one session takes at most; their texts and moves are kept.
pub const MAX_STEPS: usize = 200_000;

/// A step of a schedule that is not done, or not done any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The step.
    pub choice: Choice,
    /// What it did when it was done.
    pub text: String,
}

/// An actor's last step.
#[derive(Clone, Debug, Default)]
struct LastStep {
    /// Before each of its instructions.
    states: Vec<TaskState>,
    /// How many instructions are shown as executed.
    shown: usize,
    /// Instructions that were not recorded.
    left_out: u64,
    /// Was it the start of a program?
    started: bool,
}

/// Something that can be undone.
#[derive(Clone, Debug)]
struct Move {
    /// Was a step of the schedule performed, or is only more of one shown?
    performed: bool,
    /// What was shown of each actor before.
    shown: Vec<usize>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Over {
    /// What is wrong with it, but for races.
    pub findings: Vec<Finding>,
    /// What was observed; `None` if it did not come to its end.
    pub outcome: Option<String>,
}

/// A scenario that is stepped.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) simulation: Simulation,
    races: RaceDetector,
    choices: Vec<Choice>,
    texts: Vec<String>,
    /// What comes next of the schedule that is followed, last first.
    pub(super) plan: Vec<Planned>,
    last: Vec<LastStep>,
    failed: Option<(Actor, Finding)>,
    over: Option<Over>,
    moves: Vec<Move>,
    pub(super) selected: Choice,
    pub(super) breaks: Vec<Break>,
    pub(super) watches: Vec<WatchedValue>,
    names: Vec<String>,
    digest: Option<u64>,
    name: String,
    interrupt: Interrupt,
    /// What was broken off, until it is told.
    broken_off: Option<&'static str>,
}

impl Session {
    /// A session at the scenario's start. `name` and `digest` are what tokens say of the scenario.
    #[must_use]
    pub fn new(mut simulation: Simulation, name: String, digest: Option<u64>) -> Session {
        simulation.offer_grace_periods();
        simulation.reset();
        let actors = simulation.actor_count();
        let names = (0..actors).map(|actor| simulation.actor_name(Actor(actor as u16))).collect();
        let mut session = Session {
            races: RaceDetector::new(actors),
            choices: Vec::new(),
            texts: Vec::new(),
            plan: Vec::new(),
            last: vec![LastStep::default(); actors],
            failed: None,
            over: None,
            moves: Vec::new(),
            selected: Choice { actor: Actor(0), branch: 0 },
            breaks: Vec::new(),
            watches: Vec::new(),
            names,
            digest,
            name,
            interrupt: Interrupt::default(),
            broken_off: None,
            simulation,
        };
        session.conclude();
        session
    }

    /// Takes a schedule as the plan and goes to its start. How many of its steps fit; fewer than all if it belongs to something else.
    pub fn load(&mut self, choices: &[Choice]) -> usize {
        self.rebuild(&[]);
        let mut fit = 0;
        for &choice in choices.iter().take(MAX_STEPS) {
            if !self.possible().contains(&choice) {
                break;
            }
            self.carry_out(choice, false, None);
            fit += 1;
        }
        self.to_start();
        if let Some(next) = self.plan.last() {
            self.selected = next.choice;
        }
        fit
    }

    /// What takes long is broken off when that is asked.
    pub fn break_off_by(&mut self, interrupt: &Interrupt) {
        self.interrupt = interrupt.clone();
    }

    /// What was broken off since it was asked last.
    pub fn take_broken_off(&mut self) -> Option<&'static str> {
        self.broken_off.take()
    }

    /// Is more of what goes on to be left, since that was asked? Notes what.
    pub(super) fn is_broken_off(&mut self, what: &'static str) -> bool {
        let asked = self.interrupt.take();
        if asked {
            self.broken_off = Some(what);
        }
        asked
    }

    /// The machine as it is.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        self.simulation.machine()
    }

    /// What the scenario is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tokens say of the scenario.
    #[must_use]
    pub fn digest(&self) -> Option<u64> {
        self.digest
    }

    /// What an actor is called.
    #[must_use]
    pub fn actor_name(&self, actor: Actor) -> &str {
        self.names.get(usize::from(actor.0)).map_or("?", String::as_str)
    }

    /// What an actor is.
    #[must_use]
    pub fn actor_kind(&self, actor: Actor) -> ActorKind {
        self.simulation.actor_kind(actor)
    }

    /// All actors.
    pub fn actors(&self) -> impl Iterator<Item = Actor> + use<> {
        (0..self.last.len()).map(|actor| Actor(actor as u16))
    }

    /// The steps that were done: whose, and what they did.
    pub fn done(&self) -> impl DoubleEndedIterator<Item = (Choice, &str)> + ExactSizeIterator {
        self.choices.iter().copied().zip(self.texts.iter().map(String::as_str))
    }

    /// What is left of the plan, next first.
    pub fn plan(&self) -> impl ExactSizeIterator<Item = &Planned> {
        self.plan.iter().rev()
    }

    /// The schedule so far, as `kptrsim replay` takes it.
    #[must_use]
    pub fn token(&self) -> String {
        Schedule { choices: self.choices.clone(), digest: self.digest, name: self.name.clone() }.to_string()
    }

    /// The step that is chosen.
    #[must_use]
    pub fn selected(&self) -> Choice {
        self.selected
    }

    /// Places at which runs stop.
    #[must_use]
    pub fn breaks(&self) -> &[Break] {
        &self.breaks
    }

    /// Watched values, as they are now.
    #[must_use]
    pub fn watches(&self) -> &[WatchedValue] {
        &self.watches
    }

    /// How the run ended, if it is over.
    #[must_use]
    pub fn over(&self) -> Option<&Over> {
        self.over.as_ref()
    }

    /// An actor as it is shown: before the next of its instructions; `None` if it runs nothing. One whose step ended the run is shown at the
    /// instruction that did.
    #[must_use]
    pub fn state(&self, actor: Actor) -> Option<TaskState> {
        let last = self.last.get(usize::from(actor.0))?;
        if let Some(state) = last.states.get(last.shown) {
            return Some(state.clone());
        }
        if self.failed.as_ref().is_some_and(|(failed, _)| *failed == actor) {
            return last.states.last().cloned();
        }
        TaskState::of(self.machine(), self.simulation.machine_task(actor)?)
    }

    /// An actor before the instruction that is shown as executed last.
    #[must_use]
    pub fn state_before(&self, actor: Actor) -> Option<&TaskState> {
        let last = self.last.get(usize::from(actor.0))?;
        last.states.get(last.shown.checked_sub(1)?)
    }

    /// Where an actor's last step ended, if it runs nothing since.
    #[must_use]
    pub fn last_place(&self, actor: Actor) -> Option<Place> {
        self.last.get(usize::from(actor.0))?.states.last().map(|state| state.place)
    }

    /// The name of the program that an actor runs, would start next, or ran last.
    #[must_use]
    pub fn program_name(&self, actor: Actor) -> Option<String> {
        let place = self.state(actor).map(|state| state.place);
        let place = place.or_else(|| self.next_start(actor)).or_else(|| self.last_place(actor))?;
        self.machine().programs().get(place.program as usize).map(|program| program.source().name.clone())
    }

    /// The first instruction of the program that an actor would start next.
    #[must_use]
    pub fn next_start(&self, actor: Actor) -> Option<Place> {
        let name = self.simulation.program_of(actor)?;
        let programs = self.machine().programs();
        let program = programs.iter().position(|program| program.source().name == name)?;
        Some(Place { program: program as u32, insn: 0 })
    }

    /// How many instructions of an actor's last step are not shown yet.
    #[must_use]
    pub fn unshown(&self, actor: Actor) -> usize {
        self.last.get(usize::from(actor.0)).map_or(0, |last| last.states.len().saturating_sub(last.shown))
    }

    /// Instructions of an actor's last step that were too many to be kept.
    #[must_use]
    pub fn left_out(&self, actor: Actor) -> u64 {
        self.last.get(usize::from(actor.0)).map_or(0, |last| last.left_out)
    }

    /// Did an actor's step end the run, and is that shown?
    #[must_use]
    pub fn has_failed(&self, actor: Actor) -> bool {
        self.failed.as_ref().is_some_and(|(failed, _)| *failed == actor) && self.unshown(actor) == 0
    }

    /// Whose step ended the run, while that is not shown yet.
    #[must_use]
    pub fn about_to_fail(&self) -> Option<Actor> {
        self.failed.as_ref().map(|(actor, _)| *actor).filter(|&actor| self.unshown(actor) > 0)
    }

    /// Those who run programs, as they are shown.
    #[must_use]
    pub fn runners(&self) -> Vec<Runner> {
        let runner = |actor| {
            let task = self.simulation.machine_task(actor)?;
            Some(Runner { name: self.actor_name(actor).to_owned(), task, state: self.state(actor) })
        };
        self.actors().filter_map(runner).collect()
    }

    /// What is known to be wrong so far.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let races = self.races.races().iter();
        let mut findings: Vec<Finding> =
            races.filter_map(|race| self.simulation.race(race.first, race.second)).collect();
        match (&self.over, &self.failed) {
            (Some(over), _) => findings.extend(over.findings.iter().cloned()),
            (None, Some((actor, finding))) if self.unshown(*actor) == 0 => findings.push(finding.clone()),
            (None, _) => {}
        }
        findings
    }

    /// The steps that could be taken now.
    #[must_use]
    pub fn possible(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        if self.choices.len() < MAX_STEPS {
            self.simulation.choices(&mut choices);
        }
        choices
    }

    pub(super) fn shown(&self) -> Vec<usize> {
        self.last.iter().map(|last| last.shown).collect()
    }

    /// Notes that more of an actor's step is shown.
    pub(super) fn show(&mut self, actor: Actor, shown: usize) {
        let before = self.shown();
        let Some(last) = self.last.get_mut(usize::from(actor.0)) else { return };
        let shown = shown.min(last.states.len());
        if shown != last.shown {
            last.shown = shown;
            self.moves.push(Move { performed: false, shown: before });
        }
    }

    /// Shows more of an actor's step as a part of the last move.
    pub(super) fn show_part_with_last(&mut self, actor: Actor, shown: usize) {
        if let Some(last) = self.last.get_mut(usize::from(actor.0)) {
            last.shown = shown.min(last.states.len());
        }
    }

    /// Shows all of an actor's step as a part of the last move.
    pub(super) fn show_with_last(&mut self, actor: Actor) {
        self.show_part_with_last(actor, usize::MAX);
    }

    pub(super) fn shown_of(&self, actor: Actor) -> usize {
        self.last.get(usize::from(actor.0)).map_or(0, |last| last.shown)
    }

    /// An actor before the instruction of that number of its last step; behind the last, as it is.
    pub(super) fn state_at(&self, actor: Actor, number: usize) -> Option<TaskState> {
        let last = self.last.get(usize::from(actor.0))?;
        match last.states.get(number) {
            Some(state) => Some(state.clone()),
            None => TaskState::of(self.machine(), self.simulation.machine_task(actor)?),
        }
    }

    /// Takes a step, of which as little is shown as there can be; the number of the first state behind it that is shown. A step that is
    /// broken off is not taken at all.
    pub(super) fn perform(&mut self, choice: Choice) -> Result<usize, Stop> {
        let shown = self.shown();
        let interrupt = self.interrupt.clone();
        if !self.carry_out(choice, true, Some(&interrupt)) {
            let _ = self.is_broken_off("stopped in the middle of a step, which was taken back");
            let choices = self.choices.clone();
            self.rebuild(&choices);
            self.restore_shown(&shown);
            return Err(Stop::Interrupted);
        }
        // What others do not show yet of their steps nobody else can see, and it stays as it is.
        if self.plan.last().is_some_and(|next| next.choice == choice) {
            self.plan.pop();
        } else {
            self.plan.clear();
        }
        self.moves.push(Move { performed: true, shown });
        self.selected = choice;
        let Some(last) = self.last.get_mut(usize::from(choice.actor.0)) else { return Ok(0) };
        last.shown = usize::from(!last.started).min(last.states.len());
        Ok(last.shown)
    }

    /// Performs a step; `false` if it was broken off, and the simulation has to be reset.
    fn carry_out(&mut self, choice: Choice, record: bool, interrupt: Option<&Interrupt>) -> bool {
        let programs = self.machine().programs().to_vec();
        let breaks = self.breaks.clone();
        let stops = |place: Place| {
            let program = programs.get(place.program as usize);
            program.is_some_and(|program| breaks.iter().any(|one| one.is_at(program.source(), place.insn)))
        };
        let mut recorder = Recorder::new(record, &stops);
        if let Some(interrupt) = interrupt {
            recorder = recorder.until(interrupt);
        }
        let done = self.simulation.perform_watched(choice, &mut recorder);
        if recorder.is_broken_off() {
            return false;
        }
        let touched = recorder.touched.take().unwrap_or_else(|| self.machine().report().accesses.clone());
        let step = LastStep {
            shown: recorder.states.len(),
            states: recorder.states,
            left_out: recorder.left_out,
            started: recorder.started,
        };
        self.races.step(choice.actor, self.simulation.touches());
        if let Some(last) = self.last.get_mut(usize::from(choice.actor.0)) {
            *last = step;
        }
        self.choices.push(choice);
        let text = self.step_text(choice, &touched);
        self.texts.push(text);
        if let Err(finding) = done {
            self.failed = Some((choice.actor, finding));
        }
        true
    }

    /// What the step that was done last did.
    fn step_text(&self, choice: Choice, touched: &[Access]) -> String {
        let number = self.choices.len() - 1;
        let machine = self.machine();
        let Some(at) = self.simulation.steps().get(number) else { return String::new() };
        let way = if choice.branch == 0 { String::new() } else { format!(" (way {})", choice.branch) };
        if self.simulation.starts().contains(&number) {
            let program = machine.programs().get(at.place.program as usize);
            let function = program.and_then(|program| program.source().function_at(at.place.insn as usize));
            return format!("{} starts{way}", function.map_or("?", |function| function.name.as_str()));
        }
        let source = brief(machine, at.place);
        if matches!(self.actor_kind(choice.actor), ActorKind::StoreBuffer { .. }) {
            return format!("now seen: {source}");
        }
        let access = touched.iter().find(|access| !machine.memory().is_private(access.region));
        let verb = access.and_then(|access| match access.kind {
            AccessKind::Read | AccessKind::Dereference => Some("reads"),
            AccessKind::Write => Some("writes"),
            AccessKind::Atomic => Some("changes"),
            _ => None,
        });
        let place = access.map(|access| Labels::new(machine).field(access.region, access.offset));
        match verb.zip(place) {
            Some((verb, place)) => format!("{source}{way}  {verb} {place}"),
            None => format!("{source}{way}"),
        }
    }

    /// Performs these choices from the start, and shows all of each actor's last step. What is broken off is left as the plan.
    fn rebuild(&mut self, choices: &[Choice]) {
        let texts = self.texts.clone();
        self.simulation.reset();
        self.races = RaceDetector::new(self.last.len());
        self.choices.clear();
        self.texts.clear();
        self.last.fill(LastStep::default());
        self.failed = None;
        self.over = None;
        let mut newest = vec![0; self.last.len()];
        for (number, choice) in choices.iter().enumerate() {
            newest[usize::from(choice.actor.0)] = number;
        }
        for (number, &choice) in choices.iter().enumerate() {
            if self.is_broken_off("stopped on the way; what is left is the plan") {
                let left = choices.iter().zip(texts).skip(number).rev();
                self.plan.extend(left.map(|(&choice, text)| Planned { choice, text }));
                self.forget_moves_after(number);
                return;
            }
            self.carry_out(choice, newest[usize::from(choice.actor.0)] == number, None);
        }
    }

    /// Only the moves up to the schedule's step of that number were made.
    fn forget_moves_after(&mut self, steps: usize) {
        let performed = self.moves.iter().enumerate().filter(|(_, one)| one.performed);
        if let Some((end, _)) = performed.map(|(at, _)| (at, ())).nth(steps) {
            self.moves.truncate(end);
        }
    }

    fn restore_shown(&mut self, shown: &[usize]) {
        for (last, &shown) in self.last.iter_mut().zip(shown) {
            last.shown = shown.min(last.states.len());
        }
    }

    /// Judges the run if it is over and all of it is shown.
    pub(super) fn conclude(&mut self) {
        let shown = self.actors().all(|actor| self.unshown(actor) == 0);
        if self.over.is_none() && shown && self.possible().is_empty() && self.choices.len() < MAX_STEPS {
            let interrupt = self.interrupt.clone();
            let mut recorder = Recorder::new(false, &|_| false).until(&interrupt);
            let ending = self.simulation.ending_watched(&mut recorder);
            if recorder.is_broken_off() {
                let _ = self.is_broken_off("stopped in the programs that run last; the next key tries again");
                let choices = self.choices.clone();
                self.rebuild(&choices);
            } else {
                let outcome = ending.outcome.filter(|_| self.failed.is_none());
                self.over = Some(Over { findings: ending.findings, outcome });
            }
        }
        self.keep_a_row_selected();
        self.refresh_watches();
    }

    /// What has no step left and is no CPU's task cannot stay chosen.
    fn keep_a_row_selected(&mut self) {
        let rows = self.rows();
        if !rows.iter().any(|row| row.choice.actor == self.selected.actor)
            && let Some(row) = rows.iter().find(|row| row.ready).or(rows.first())
        {
            self.selected = row.choice;
        }
    }

    /// Goes back by one move; `false` if there is none.
    pub fn back(&mut self) -> bool {
        let Some(undone) = self.moves.pop() else { return false };
        if undone.performed {
            self.plan_last();
            let choices = self.choices.clone();
            self.rebuild(&choices);
        } else if self.over.take().is_some() {
            // Judging may have run programs.
            let choices = self.choices.clone();
            self.rebuild(&choices);
        }
        self.restore_shown(&undone.shown);
        self.refresh_watches();
        true
    }

    /// Makes the last step the plan's next.
    fn plan_last(&mut self) {
        if let (Some(choice), Some(text)) = (self.choices.pop(), self.texts.pop()) {
            self.plan.push(Planned { choice, text });
            self.selected = choice;
        }
    }

    /// Goes back by one step of the schedule; `false` if none was done.
    pub fn back_step(&mut self) -> bool {
        while let Some(performed) = self.moves.last().map(|last| last.performed) {
            if performed {
                return self.back();
            }
            self.moves.pop();
        }
        false
    }

    /// Goes to the start; the schedule so far is the plan.
    pub fn to_start(&mut self) {
        while !self.choices.is_empty() {
            self.plan_last();
        }
        self.moves.clear();
        self.rebuild(&[]);
        self.conclude();
    }

    /// The break at an instruction.
    #[must_use]
    pub fn break_at(&self, place: Place) -> bool {
        break_at(&self.breaks, self.machine(), place).is_some()
    }

    /// Sets a break, or takes it away if it is there; whether it is there now.
    ///
    /// # Errors
    /// If no program has such a place.
    pub fn toggle_break(&mut self, wanted: Break) -> Result<bool, String> {
        if let Some(index) = self.breaks.iter().position(|one| *one == wanted) {
            self.breaks.remove(index);
            return Ok(false);
        }
        let programs = self.machine().programs();
        let exists = programs.iter().any(|program| wanted.exists(std::slice::from_ref(program.source())));
        if !exists {
            return Err(format!("no program of this scenario has an instruction at {wanted}"));
        }
        self.breaks.push(wanted);
        Ok(true)
    }

    /// Takes all breaks and watches away.
    pub fn clear_stops(&mut self) {
        self.breaks.clear();
        self.watches.clear();
    }

    /// Watches a value, or no longer if it is watched already; whether it is now.
    ///
    /// # Errors
    /// If that is not the way to write one, or there is no such thing.
    pub fn toggle_watch(&mut self, text: &str) -> Result<bool, String> {
        let what = Watched::parse(text, self.selected.actor.0)?;
        if let Some(index) = self.watches.iter().position(|one| one.what == what) {
            self.watches.remove(index);
            return Ok(false);
        }
        if !what.is_known(self.machine()) {
            return Err(format!("there is no global or map `{text}`; `:values` shows what there is"));
        }
        let text = match &what {
            Watched::Register { actor, number } => format!("r{number} of {}", self.actor_name(Actor(*actor))),
            Watched::Memory { .. } => text.to_owned(),
        };
        let last = self.watched_value(&what);
        self.watches.push(WatchedValue { text, what, last });
        Ok(true)
    }

    pub(super) fn watched_value(&self, what: &Watched) -> String {
        what.value(self.machine(), |actor| self.state(Actor(actor))).unwrap_or_else(|| "-".to_owned())
    }

    fn refresh_watches(&mut self) {
        for index in 0..self.watches.len() {
            self.watches[index].last = self.watched_value(&self.watches[index].what);
        }
    }
}
