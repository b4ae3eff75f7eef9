//! Makes the recorded path: called before and after each instruction where recording is asked for, and nowhere else.
//!
//! What an instruction did is mostly seen from outside, by comparing the state after it with the one before; only
//! what cannot be seen so is noted on the way ([`Verifier::note_event`]). Branches that wait carry the step that they
//! will begin with, in the order of [`Verifier::pending`]. What changed is found in `changes`, states are shown in `shown`, and
//! `words` has names for things.

mod changes;
#[cfg(test)]
mod path_tests;
mod shown;
mod words;

use rustc_hash::FxHashMap;

use super::env::{Check, Pending, Stop, Verifier};
use super::explore::Next;
use super::obligations::Obligations;
use super::path::{Came, Event, KEPT_STEPS, NullCheck, Record, Recorded, Snapshot, Step};
use super::state::{Frame, StateId};
use crate::isa::{Insn, JumpOp, Operand, Register};

/// A branch that waits.
#[derive(Debug)]
struct Waiting {
    /// Its first step: the instruction that it branched from, as that went this way. `None` if that instruction will
    /// be recorded again.
    step: Option<Step>,
    /// How many steps its path has before that one.
    at: usize,
    /// How it comes to the step behind.
    came: Came,
    /// The step behind which it goes on, if `step` is `None`.
    parent: Option<usize>,
}

/// What was known before the current instruction.
#[derive(Debug, Default)]
struct Before {
    frames: Vec<Frame>,
    obligations: Obligations,
}

/// Records paths.
#[derive(Debug)]
pub struct Recorder {
    record: Record,
    recorded: Recorded,
    /// Steps that were left out behind the first [`KEPT_STEPS`].
    left_out: usize,
    /// The last step on the current path.
    parent: Option<usize>,
    came: Came,
    current: Option<usize>,
    before: Before,
    /// Texts of `before`, to share with the next.
    shown: Snapshot,
    noted: Vec<Event>,
    waiting: Vec<Waiting>,
    /// The steps before which checkpoints were made. Of a single path steps do not keep their numbers.
    checkpoints: FxHashMap<StateId, usize>,
}

impl Recorder {
    /// A recorder, or none if nothing is to be recorded.
    #[must_use]
    pub fn new(record: Record) -> Option<Box<Recorder>> {
        (record != Record::No).then(|| {
            Box::new(Recorder {
                record,
                recorded: Recorded::default(),
                left_out: 0,
                parent: None,
                came: Came::Start,
                current: None,
                before: Before::default(),
                shown: Snapshot::default(),
                noted: Vec::new(),
                waiting: Vec::new(),
                checkpoints: FxHashMap::default(),
            })
        })
    }

    /// A function begins to be verified on its own, or all have been.
    pub fn start_over(&mut self) {
        if self.record == Record::Verdict {
            self.recorded = Recorded::default();
            self.left_out = 0;
        }
        self.parent = None;
        self.came = Came::Start;
        self.current = None;
        self.waiting.clear();
        self.checkpoints.clear();
    }

    /// What was recorded.
    #[must_use]
    pub fn finish(mut self) -> Recorded {
        if self.record == Record::Verdict {
            self.recorded.cut = self.left_out > 0;
            for (index, step) in self.recorded.steps.iter_mut().enumerate() {
                step.parent = index.checked_sub(1);
            }
        }
        self.recorded
    }

    /// The newest branch that waited is taken up.
    pub fn take_up(&mut self) {
        let Some(Waiting { step, at, came, parent }) = self.waiting.pop() else { return };
        if self.record == Record::Verdict {
            self.go_back_to(at);
        }
        self.came = came;
        self.parent = match step {
            Some(step) => self.push(step),
            None => parent,
        };
    }

    /// Keeps the first `steps` steps of the path only.
    fn go_back_to(&mut self, steps: usize) {
        let left_out = self.left_out;
        if left_out == 0 || steps <= KEPT_STEPS {
            self.left_out = 0;
            self.recorded.steps.truncate(steps);
        } else if steps < KEPT_STEPS + left_out {
            self.left_out = steps - KEPT_STEPS;
            self.recorded.steps.truncate(KEPT_STEPS);
        } else {
            self.recorded.steps.truncate(steps - left_out);
        }
    }

    fn push(&mut self, step: Step) -> Option<usize> {
        match self.record {
            Record::No => return None,
            Record::Tree { steps } if self.recorded.cut || self.recorded.steps.len() >= steps => {
                self.recorded.cut = true;
                return None;
            }
            Record::Tree { .. } => {}
            Record::Verdict => {
                if self.recorded.steps.len() >= 3 * KEPT_STEPS {
                    self.recorded.steps.drain(KEPT_STEPS..2 * KEPT_STEPS);
                    self.left_out += KEPT_STEPS;
                }
            }
        }
        self.recorded.steps.push(step);
        self.recorded.last()
    }

    /// Steps of the path so far, those that were left out too.
    fn length(&self) -> usize {
        self.recorded.steps.len() + self.left_out
    }

    fn begin(&mut self, verifier: &Verifier<'_>) {
        self.current = None;
        self.noted.clear();
        if matches!(self.record, Record::Tree { .. }) && self.recorded.cut {
            return;
        }
        let snapshot = verifier.snapshot(&self.before.frames, &self.shown);
        self.before.frames.clone_from(&verifier.state.frames);
        self.before.obligations.clone_from(&verifier.state.obligations);
        self.shown = snapshot.clone();
        let (insn, parent, came) = (verifier.insn, self.parent, self.came);
        self.current = self.push(Step { insn, parent, came, before: snapshot, events: Vec::new() });
    }

    fn end(&mut self, verifier: &Verifier<'_>, result: &Check<Next>) {
        let Some(current) = self.current.take() else {
            // Still one for each branch that waits.
            let missing = verifier.pending.len().saturating_sub(self.waiting.len());
            let (at, came) = (self.length(), Came::Fallthrough);
            self.waiting.extend((0..missing).map(|_| Waiting { step: None, at, came, parent: None }));
            return;
        };
        let insn = verifier.insns.get(verifier.insn).and_then(|insn| insn.as_ref().ok()).copied();
        let at = self.length().saturating_sub(1);
        let mut both = false;
        for pending in verifier.pending.get(self.waiting.len()..).unwrap_or_default() {
            let waiting = self.branch_that_waits(verifier, insn, pending, current, at);
            both |= waiting.came != Came::Speculative;
            self.waiting.push(waiting);
        }
        let mut events: Vec<Event> =
            verifier.called(verifier.insn).map(|name| Event::Called { name }).into_iter().collect();
        events.append(&mut self.noted);
        match result {
            Ok(next) => {
                let jumped = matches!(next, Next::Jump(_));
                events.extend(self.choice(verifier, insn, jumped, both));
                verifier.changes(&self.before, &verifier.state, insn, &mut events);
                if *next == Next::PathEnds && !events.iter().any(|event| matches!(event, Event::Pruned { .. })) {
                    events.push(Event::PathEnds);
                }
                self.came = came_by(insn, *next);
            }
            Err(Stop::Reject(rule)) => {
                events.push(Event::Rejected { rule: rule.id(), reason: rule.to_string() });
            }
            Err(Stop::Unsupported(what)) => events.push(Event::Unsupported { what: what.clone() }),
        }
        if let Some(step) = self.recorded.steps.get_mut(current) {
            step.events = events;
        }
        self.parent = Some(current);
    }

    fn branch_that_waits(
        &self,
        verifier: &Verifier<'_>,
        insn: Option<Insn>,
        pending: &Pending,
        current: usize,
        at: usize,
    ) -> Waiting {
        let begun = self.recorded.steps.get(current);
        let came = self.came_by_branch(verifier, insn, pending);
        if came == Came::Again {
            let (came, parent) = begun.map_or((came, None), |step| (step.came, step.parent));
            return Waiting { step: None, at, came, parent };
        }
        let mut step = begun.cloned();
        if let Some(step) = &mut step {
            step.events = verifier.called(verifier.insn).map(|name| Event::Called { name }).into_iter().collect();
            if !matches!(came, Came::Speculative | Came::AsyncCallback) {
                // Of two ways that one waits on which something happens: a jump, an element, a callback.
                let happens = !matches!(insn, Some(Insn::MayGoto { .. }));
                step.events.extend(self.choice(verifier, insn, happens, true));
                verifier.changes(&self.before, &pending.state, insn, &mut step.events);
            }
        }
        Waiting { step, at, came, parent: None }
    }

    /// How a branch that waits will come to where it goes on.
    fn came_by_branch(&self, verifier: &Verifier<'_>, insn: Option<Insn>, pending: &Pending) -> Came {
        let state = &pending.state;
        match insn {
            _ if state.speculative && !verifier.state.speculative => Came::Speculative,
            Some(Insn::JumpIf { .. }) if state.speculative && !self.both_ways(pending) => Came::Speculative,
            Some(Insn::JumpIf { .. }) => Came::Taken,
            Some(Insn::MayGoto { .. }) => Came::NotTaken,
            Some(Insn::Call(_)) if state.frames.len() > self.before.frames.len() => Came::Callback,
            Some(Insn::Call(_)) if pending.insn != verifier.insn + 1 => Came::AsyncCallback,
            Some(Insn::Alu { .. }) if pending.insn == verifier.insn => Came::Again,
            _ => Came::Fallthrough,
        }
    }

    /// On a speculative path: does the branch lead where the condition holds? The way that is surely not taken may be
    /// the one behind the jump.
    fn both_ways(&self, pending: &Pending) -> bool {
        pending.insn != pending.from + 1
    }

    /// The choice that the instruction made.
    fn choice(&self, verifier: &Verifier<'_>, insn: Option<Insn>, jumped: bool, both: bool) -> Option<Event> {
        let condition = match insn? {
            Insn::JumpIf { op, dst, src, .. } => {
                let null_check = self.null_check(op, dst, src, jumped).filter(|_| both);
                let condition = format!("{dst} {} {src}", op.sign());
                return Some(Event::Branch { condition, taken: jumped, both, null_check });
            }
            Insn::MayGoto { .. } => "the loop's budget is used up".to_owned(),
            Insn::Call(_) if !both => return None,
            Insn::Call(_) if verifier.facts[verifier.insn].iterator_next => {
                "the iterator gives another element".to_owned()
            }
            Insn::Call(_) if verifier.facts[verifier.insn].calls_callback => {
                "the callback is called once more".to_owned()
            }
            _ => return None,
        };
        Some(Event::Branch { condition, taken: jumped, both, null_check: None })
    }

    fn null_check(&self, op: JumpOp, dst: Register, src: Operand, jumped: bool) -> Option<NullCheck> {
        let equal = match op {
            JumpOp::Equal => jumped,
            JumpOp::NotEqual => !jumped,
            _ => return None,
        };
        let value = self.before.frames.last()?.registers.get(dst.index())?.value;
        let pointer = value.as_pointer().filter(|pointer| pointer.attributes.nullable)?;
        (src == Operand::Immediate(0)).then_some(NullCheck {
            register: dst,
            is_null: equal,
            id: pointer.id,
            reference: pointer.reference,
        })
    }
}

/// How the path goes on behind an instruction.
fn came_by(insn: Option<Insn>, next: Next) -> Came {
    match (insn, next) {
        (Some(Insn::JumpIf { .. }), Next::Fallthrough) => Came::NotTaken,
        (Some(Insn::JumpIf { .. } | Insn::MayGoto { .. }), Next::Jump(_)) => Came::Taken,
        (Some(Insn::Call(_)), Next::Jump(_)) => Came::Call,
        (Some(Insn::Jump { .. }), Next::Jump(_)) => Came::Jump,
        (_, Next::Jump(_)) => Came::Return,
        _ => Came::Fallthrough,
    }
}

impl Verifier<'_> {
    /// Records the state before an instruction. Call it only where there is a recorder.
    pub fn record_before(&mut self) {
        let Some(mut recorder) = self.recorder.take() else { return };
        recorder.begin(self);
        self.recorder = Some(recorder);
    }

    /// Records what the instruction did. Call it only where there is a recorder.
    pub fn record_after(&mut self, result: &Check<Next>) {
        let Some(mut recorder) = self.recorder.take() else { return };
        recorder.end(self, result);
        self.recorder = Some(recorder);
    }

    /// Notes what cannot be seen from the states before and after an instruction.
    pub fn note_event(&mut self, event: impl FnOnce(&Verifier<'_>) -> Event) {
        if self.recorder.is_none() {
            return;
        }
        let event = event(self);
        if let Some(recorder) = &mut self.recorder {
            recorder.noted.push(event);
        }
    }

    /// Notes that a checkpoint was made before the current instruction.
    pub fn note_checkpoint(&mut self, id: StateId) {
        if let Some(recorder) = &mut self.recorder
            && matches!(recorder.record, Record::Tree { .. })
            && let Some(current) = recorder.current
        {
            recorder.checkpoints.insert(id, current);
        }
    }

    /// Notes that the path ends since a checkpoint covers it.
    pub fn note_pruned(&mut self, id: StateId) {
        if let Some(recorder) = &mut self.recorder {
            let by = recorder.checkpoints.get(&id).copied();
            recorder.noted.push(Event::Pruned { by });
        }
    }

    /// Notes that an object is given to the place that `r1` points to.
    pub fn note_move(&mut self, id: u32) {
        self.note_event(|verifier| {
            let into = verifier.state.value(Register::R1).as_pointer();
            Event::Moved { id, into: into.map_or_else(String::new, |into| verifier.place_text(into)) }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(insn: usize) -> Step {
        Step { insn, parent: None, came: Came::Fallthrough, before: Snapshot::default(), events: Vec::new() }
    }

    fn kept(recorder: Recorder) -> (Vec<usize>, bool) {
        let recorded = recorder.finish();
        (recorded.steps.iter().map(|step| step.insn).collect(), recorded.cut)
    }

    #[test]
    fn a_long_path_keeps_its_ends() {
        let mut recorder = Recorder::new(Record::Verdict).expect("a recorder");
        for insn in 0..10 * KEPT_STEPS + 5 {
            recorder.push(step(insn));
            assert!(recorder.recorded.steps.len() <= 3 * KEPT_STEPS);
            assert_eq!(recorder.length(), insn + 1);
        }
        let (insns, cut) = kept(*recorder);
        assert!(cut);
        assert!(insns[..KEPT_STEPS].iter().copied().eq(0..KEPT_STEPS));
        assert!(insns[KEPT_STEPS..].iter().copied().eq(9 * KEPT_STEPS..10 * KEPT_STEPS + 5));
    }

    #[test]
    fn a_branch_that_waited_cuts_the_path_back() {
        let long = || {
            let mut recorder = Recorder::new(Record::Verdict).expect("a recorder");
            (0..5 * KEPT_STEPS).for_each(|insn| _ = recorder.push(step(insn)));
            recorder
        };
        for (back, cut) in [(7, false), (KEPT_STEPS, false), (2 * KEPT_STEPS, true), (5 * KEPT_STEPS - 1, true)] {
            let mut recorder = long();
            recorder.go_back_to(back);
            assert_eq!(recorder.length(), back);
            recorder.push(step(back));
            assert_eq!(recorder.length(), back + 1);
            let (insns, is_cut) = kept(*recorder);
            assert_eq!((insns.last(), is_cut), (Some(&back), cut));
            assert!(insns.iter().take(KEPT_STEPS).copied().eq(0..KEPT_STEPS.min(back + 1)), "{back}");
        }
    }
}
