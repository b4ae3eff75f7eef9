//! Every Mazurkiewicz trace once: optimal dynamic partial-order reduction.
//!
//! Abdulla, Aronis, Jonsson, Sagonas: *Source Sets: A Foundation for Optimal Dynamic Partial Order Reduction* (JACM 64(4), 2017). A run is
//! carried to its end; each pair of steps in it that race is a reason to look for runs in which the second comes first. What leads there is a
//! sequence of steps, kept in the [wake-up trees](super::wakeup) of the point before the first of the two unless what is explored or planned
//! there covers it. A step sleeps once all that begins with it is explored.
//!
//! Beyond the paper:
//! * a step can take another actor's choices away or have several branches: the choice not taken is treated as racing at the run's end;
//! * who waits at the run's end is treated as racing with what touched the place it waits at;
//! * what such a step would touch is not known. It is taken to depend on all; where it does not, a run may begin in vain: all that could
//!   follow sleeps;
//! * a step that fails ends the run, and conflicts with every other; so does one whose touches depend on what others did. The paper's proof
//!   needs that steps which conflict go on doing so whatever independent steps come before them.

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::wakeup::{Forest, NONE, Origin, Tree};
use super::{Abandon, Next, Parts, Point, Policy, RunEnd, Step};
use crate::explore::causality::{Causality, Effect, Mixer, hands_over};
use crate::explore::clock::join;
use crate::explore::system::{Actor, Choice, Stability, Touch, Waiting};
use crate::seeded::{self, Fault};

/// A step that need not be taken: the runs that begin with it are explored.
#[derive(Clone, Copy, Debug)]
struct Asleep {
    choice: Choice,
    broad: bool,
    touches: (u32, u32),
}

/// A point of the run, before the step of the same number.
#[derive(Clone, Debug, Default)]
struct Node {
    enabled: (u32, u32),
    /// Ends of the sleep set and of its touches in their stacks; the starts are the ends of the node before.
    sleep: (u32, u32),
    sleep_touches_end: u32,
    /// The first of its wake-up trees.
    planned: u32,
    /// Sequences that turned out to lead nowhere.
    rejected: FxHashSet<u64>,
    /// Has a run through the current step been carried to its end? Through any step?
    explored: bool,
    any_explored: bool,
}

/// Optimal DPOR.
#[derive(Debug)]
pub struct Dpor<P> {
    run: Causality,
    /// One for each step and one beyond; those past `depth` are spare, to be used again.
    nodes: Vec<Node>,
    depth: usize,
    enabled: Vec<Choice>,
    sleep: Vec<Asleep>,
    sleep_touches: Vec<Touch>,
    /// Choices that were there before a step and not after it, or that are other branches of it; by step.
    forgone: Vec<(u32, Choice)>,
    forest: Forest,
    /// The tree's step that was taken last, if the last step was a tree's: what is behind it, and where it comes from.
    coming: Option<(u32, Origin)>,
    dropped: Vec<Origin>,
    started: bool,
    parts: P,
    split_depth: usize,
    part: usize,
    mine: bool,
    clock: Vec<u32>,
    between: Vec<u32>,
    /// Pairs of steps that race, by the second.
    races: Vec<(u32, u32)>,
    met: Vec<u32>,
    /// Was a step planned of which it is not known what it touches?
    doubtful: bool,
}

impl<P: Parts> Dpor<P> {
    /// For a system of so many actors. Above `split_depth` every choice is explored, less only what sleeps; of the parts that hang there, those
    /// that `parts` takes. With a depth of 0 there is one part, and no run is in vain.
    #[must_use]
    pub fn new(actors: usize, split_depth: usize, parts: P) -> Dpor<P> {
        Dpor {
            run: Causality::new(actors),
            nodes: Vec::new(),
            depth: 0,
            enabled: Vec::new(),
            sleep: Vec::new(),
            sleep_touches: Vec::new(),
            forgone: Vec::new(),
            forest: Forest::default(),
            coming: None,
            dropped: Vec::new(),
            started: false,
            parts,
            split_depth,
            part: 0,
            mine: true,
            clock: vec![0; actors],
            between: Vec::new(),
            races: Vec::new(),
            met: Vec::new(),
            doubtful: false,
        }
    }

    /// The run so far, with its order.
    #[must_use]
    pub fn run(&self) -> &Causality {
        &self.run
    }

    /// How many parts were met.
    #[must_use]
    pub fn parts_met(&self) -> usize {
        self.part
    }

    /// Opens the node of the current step count.
    fn open(&mut self, choices: &[Choice]) {
        let number = self.depth;
        if self.nodes.len() == number {
            self.nodes.push(Node::default());
        }
        let enabled_start = self.enabled.len() as u32;
        self.enabled.extend_from_slice(choices);
        let sleep_start = number.checked_sub(1).map_or(0, |before| self.nodes[before].sleep.1);
        self.depth += 1;
        if number > 0 {
            let before = self.nodes[number - 1].sleep;
            let event = self.run.event(number - 1);
            let effect = self.run.effect(number - 1);
            for entry in before.0..before.1 {
                let asleep = self.sleep[entry as usize];
                let conflicts =
                    self.effect_asleep(&asleep).conflicts(&effect) && !seeded::active(Fault::SleepSetWakesNothing);
                let woken = asleep.choice.actor == event.choice.actor || conflicts;
                if !woken {
                    self.sleep.push(asleep);
                }
            }
        }
        let node = &mut self.nodes[number];
        node.enabled = (enabled_start, self.enabled.len() as u32);
        node.sleep = (sleep_start, self.sleep.len() as u32);
        node.sleep_touches_end = self.sleep_touches.len() as u32;
        node.planned = self.coming.map_or(NONE, |(behind, _)| behind);
        node.rejected.clear();
        (node.explored, node.any_explored) = (false, false);
    }

    fn asleep(&self, node: usize) -> &[Asleep] {
        let (start, end) = self.nodes[node].sleep;
        &self.sleep[start as usize..end as usize]
    }

    fn effect_asleep(&self, asleep: &Asleep) -> Effect<'_> {
        let (start, end) = asleep.touches;
        Effect { touches: &self.sleep_touches[start as usize..end as usize], broad: asleep.broad }
    }

    fn sleeps(&self, node: usize, choice: Choice) -> bool {
        self.asleep(node).iter().any(|asleep| asleep.choice == choice)
    }

    fn enabled(&self, node: usize) -> &[Choice] {
        let (start, end) = self.nodes[node].enabled;
        &self.enabled[start as usize..end as usize]
    }

    /// Notes the choices that the last step took away.
    fn note_forgone(&mut self, now: &[Choice]) {
        let Some(last) = self.run.len().checked_sub(1) else { return };
        let actor = self.run.event(last).choice.actor;
        let (start, end) = self.nodes[last].enabled;
        let mut rest = now.iter().peekable();
        for before in start..end {
            let choice = self.enabled[before as usize];
            while rest.next_if(|other| **other < choice).is_some() {}
            if choice.actor != actor && rest.peek() != Some(&&choice) {
                self.forgone.push((last as u32, choice));
            }
        }
    }

    /// The first step behind what was planned: no switch if it can be.
    fn fresh(&mut self, point: &Point<'_>) -> Next {
        let node = self.depth - 1;
        let awake = |choice: &&Choice| !self.sleeps(node, **choice);
        let same = point.choices.iter().filter(awake).find(|choice| Some(choice.actor) == point.last);
        let Some(&choice) = same.or_else(|| point.choices.iter().find(awake)) else {
            return Next::Abandon(Abandon::SleepBlocked);
        };
        if node < self.split_depth {
            for &other in point.choices.iter().filter(|other| **other != choice) {
                let origin = Origin { point: node as u32, digest: 0 };
                let leaf = self.forest.leaf(other, None, origin);
                self.nodes[node].planned = self.forest.append(self.nodes[node].planned, leaf);
            }
        }
        Next::Take(choice)
    }

    /// Plans runs in which `later` comes before step `first`, if none that is explored or planned covers them. The steps from `first` to `end`
    /// that do not depend on it come before.
    fn insert(&mut self, first: usize, end: usize, later: Choice, known: Option<Effect<'_>>) {
        if first < self.split_depth {
            return;
        }
        let mut between = std::mem::take(&mut self.between);
        between.clear();
        between.extend((first + 1..end).filter(|&step| !self.run.ordered(first, step)).map(|step| step as u32));
        if !self.is_explored(first, &between, later, known) {
            self.add_plan(first, &mut between, later, known);
        }
        self.between = between;
    }

    /// Does a step that sleeps cover the sequence?
    fn is_explored(&self, node: usize, between: &[u32], later: Choice, known: Option<Effect<'_>>) -> bool {
        self.asleep(node)
            .iter()
            .any(|asleep| self.begins(asleep.choice, Some(self.effect_asleep(asleep)), between, Some(later), known))
    }

    /// Is `step` a weak initial of the sequence `between`, `later`: could it come first in it, or before it? No if that is not known.
    fn begins(
        &self,
        step: Choice,
        effect: Option<Effect<'_>>,
        between: &[u32],
        later: Option<Choice>,
        known: Option<Effect<'_>>,
    ) -> bool {
        for (position, &event) in between.iter().enumerate() {
            let other = self.run.event(event as usize);
            if other.choice.actor == step.actor {
                let initial = |before: &u32| !self.run.ordered(*before as usize, event as usize);
                return other.choice == step && between[..position].iter().all(initial);
            }
        }
        let Some(effect) = effect else { return Some(step) == later && between.is_empty() };
        if between.iter().any(|&event| effect.conflicts(&self.run.effect(event as usize))) {
            return false;
        }
        match later {
            None => true,
            Some(later) if step.actor == later.actor => step == later,
            Some(_) => known.is_some_and(|known| !effect.conflicts(&known)),
        }
    }

    /// Inserts the sequence `between`, `later` into the wake-up trees of a node.
    fn add_plan(&mut self, node: usize, between: &mut Vec<u32>, last: Choice, known: Option<Effect<'_>>) {
        let digest = self.digest(between, last);
        if between.is_empty() && !self.enabled(node).contains(&last) {
            return;
        }
        if self.nodes[node].rejected.contains(&digest) {
            return;
        }
        let mut later = Some(last);
        let mut parent = NONE;
        let mut tree = self.nodes[node].planned;
        while tree != NONE {
            let planned = self.forest.get(tree);
            let Tree { choice, behind, next, .. } = *planned;
            if !self.begins(choice, planned.effect(), between, later, known) {
                tree = next;
                continue;
            }
            match between.iter().position(|&event| self.run.event(event as usize).choice.actor == choice.actor) {
                Some(position) => drop(between.remove(position)),
                None => later = later.filter(|later| later.actor != choice.actor),
            }
            // A leaf covers all that begins so. Of one whose last step is not known, or that stands beside such a one, too much may sleep
            // behind it: say what is to follow.
            let covers = behind == NONE && planned.effect().is_some() && !self.doubtful;
            if covers || (between.is_empty() && later.is_none()) {
                return;
            }
            (parent, tree) = (tree, behind);
        }
        let origin = Origin { point: node as u32, digest };
        let steps = between.iter().map(|&event| {
            let event = event as usize;
            (self.run.event(event).choice, Some(self.run.effect(event)))
        });
        self.doubtful |= later.is_some() && known.is_none();
        for (choice, effect) in steps.chain(later.map(|later| (later, known))) {
            let leaf = self.forest.leaf(choice, effect, origin);
            if parent == NONE {
                self.nodes[node].planned = self.forest.append(self.nodes[node].planned, leaf);
            } else {
                self.forest.append_behind(parent, leaf);
            }
            parent = leaf;
        }
    }

    fn digest(&self, between: &[u32], later: Choice) -> u64 {
        let mut hash = Mixer::default();
        for step in between.iter().map(|&event| self.run.event(event as usize).choice).chain([later]) {
            hash.add(u64::from(step.actor.0) << 16 | u64::from(step.branch));
        }
        hash.finish() as u64
    }

    /// Notes each race between the step that was just taken, not yet part of the run, and one before.
    fn note_races(&mut self, step: &Step<'_>) {
        let Step { choice, touches, stability, ends_run } = *step;
        let effect = Effect { touches, broad: ends_run || stability == Stability::Varies };
        let end = self.run.len();
        let mut clock = std::mem::take(&mut self.clock);
        let mut races = std::mem::take(&mut self.races);
        self.run.start(choice.actor, &mut clock);
        let arrived = self.arrived(choice.actor);
        if effect.broad {
            for before in (0..end).rev() {
                let other = self.run.event(before);
                let new = other.index > clock[other.choice.actor.0 as usize];
                if new && self.reversible(&self.run, before, end, choice, &effect, arrived) {
                    join(&mut clock, self.run.clock(before));
                    races.push((before as u32, end as u32));
                }
            }
        } else {
            self.run.walk(touches, &mut clock, |run, before, clock| {
                if self.reversible(run, before, end, choice, &effect, arrived) {
                    join(clock, run.clock(before));
                    races.push((before as u32, end as u32));
                }
            });
        }
        self.clock = clock;
        self.races = races;
    }

    /// Plans the reversal of the run's races.
    fn reverse_races(&mut self) {
        let races = std::mem::take(&mut self.races);
        let most = if seeded::active(Fault::OneRaceReversed) { 1 } else { races.len() };
        for &(first, second) in races.iter().take(most) {
            let event = *self.run.event(second as usize);
            let touches: SmallVec<[Touch; 4]> = SmallVec::from_slice(self.run.touches(second as usize));
            let known = match event.stability {
                _ if event.ends_run && event.stability != Stability::Varies => None,
                Stability::Held => None,
                stability => Some(Effect { touches: &touches, broad: stability == Stability::Varies }),
            };
            self.insert(first as usize, self.run.len(), event.choice, known);
        }
        self.races = races;
    }

    /// Since which step the actor has stood where it stands.
    fn arrived(&self, actor: Actor) -> usize {
        self.run.last_of(actor).map_or(0, |last| last as usize + 1)
    }

    /// Could `choice`, which came at `end`, have come before step `first`? No only if that is certain.
    fn reversible(
        &self,
        run: &Causality,
        first: usize,
        end: usize,
        choice: Choice,
        effect: &Effect<'_>,
        arrived: usize,
    ) -> bool {
        let before = run.effect(first);
        if !before.broad && !effect.broad && hands_over(before.touches, effect.touches) {
            return false;
        }
        if first < arrived || self.enabled(first).contains(&choice) {
            return true;
        }
        // It was waiting then: something else must have let it go on.
        (first + 1..end).any(|step| !run.ordered(first, step) && run.effect(step).conflicts(effect))
    }

    /// Plans what the run's end calls for: choices forgone, and steps that someone still waits for.
    fn reverse_unseen(&mut self, waiting: &[Waiting]) {
        let end = self.run.len();
        for entry in 0..self.forgone.len() {
            let (first, choice) = self.forgone[entry];
            if !self.comes_up_again(first as usize, choice, waiting) {
                self.insert(first as usize, end, choice, None);
            }
        }
        for wait in waiting {
            let actor = wait.choice.actor;
            let touches = [wait.at];
            let effect = Effect { touches: &touches, broad: false };
            let mut clock = std::mem::take(&mut self.clock);
            self.run.start(actor, &mut clock);
            let arrived = self.arrived(actor);
            let mut met = std::mem::take(&mut self.met);
            met.clear();
            self.run.walk(&touches, &mut clock, |run, before, clock| {
                if self.reversible(run, before, end, wait.choice, &effect, arrived) {
                    join(clock, run.clock(before));
                    met.push(before as u32);
                }
            });
            for &before in &met {
                let known = wait.fixed.then_some(effect);
                self.insert(before as usize, end, wait.choice, known);
            }
            self.clock = clock;
            self.met = met;
        }
    }

    /// Was a choice that step `first` took away the actor's next step all the same, or does the actor still wait for it?
    fn comes_up_again(&self, first: usize, choice: Choice, waiting: &[Waiting]) -> bool {
        if choice.actor == self.run.event(first).choice.actor {
            return false;
        }
        let mut later = (first + 1..self.run.len()).map(|step| self.run.event(step));
        match later.find(|event| event.choice.actor == choice.actor) {
            Some(event) => event.choice == choice,
            None => waiting.iter().any(|wait| wait.choice == choice),
        }
    }

    /// Takes back the last step of the run: it sleeps now, or leads nowhere.
    fn take_back(&mut self) {
        let last = self.run.len() - 1;
        let event = *self.run.event(last);
        if self.nodes[last].explored {
            let start = self.sleep_touches.len() as u32;
            self.sleep_touches.extend_from_slice(self.run.touches(last));
            let touches = (start, self.sleep_touches.len() as u32);
            self.sleep.push(Asleep { choice: event.choice, broad: event.is_broad(), touches });
            let node = &mut self.nodes[last];
            node.sleep.1 = self.sleep.len() as u32;
            node.sleep_touches_end = self.sleep_touches.len() as u32;
            (node.any_explored, node.explored) = (true, false);
        }
        self.run.truncate(last);
        while self.races.last().is_some_and(|(_, second)| *second as usize >= last) {
            self.races.pop();
        }
        while self.forgone.last().is_some_and(|(step, _)| *step as usize >= last) {
            self.forgone.pop();
        }
    }

    /// Cuts the stacks back to the node that is now the last.
    fn cut_stacks(&mut self) {
        let (enabled, sleep, touches) = match self.depth.checked_sub(1) {
            Some(last) => {
                let node = &self.nodes[last];
                (node.enabled.1, node.sleep.1, node.sleep_touches_end)
            }
            None => (0, 0, 0),
        };
        self.enabled.truncate(enabled as usize);
        self.sleep.truncate(sleep as usize);
        self.sleep_touches.truncate(touches as usize);
    }

    fn mark_explored(&mut self) {
        if let Some(last) = self.run.len().checked_sub(1) {
            self.nodes[last].explored = true;
        }
    }

    /// The first step of the node's wake-up trees that can be taken.
    fn planned(&mut self, choices: &[Choice]) -> Next {
        let number = self.depth - 1;
        let mut why = Abandon::Redundant;
        loop {
            let tree = self.nodes[number].planned;
            if tree == NONE {
                return Next::Abandon(why);
            }
            let Tree { choice, behind, next, origin, .. } = *self.forest.get(tree);
            self.nodes[number].planned = next;
            let possible = choices.contains(&choice);
            if possible && !self.sleeps(number, choice) {
                self.forest.release(tree);
                self.coming = Some((behind, origin));
                return Next::Take(choice);
            }
            if !possible {
                why = Abandon::Infeasible;
            }
            self.forest.discard(tree, &mut self.dropped);
            self.reject_dropped();
        }
    }

    /// Remembers that what was dropped need not be tried again.
    fn reject_dropped(&mut self) {
        while let Some(origin) = self.dropped.pop() {
            self.nodes[origin.point as usize].rejected.insert(origin.digest);
        }
    }

    /// Goes on at a node that was just opened.
    fn arrive(&mut self, point: &Point<'_>) -> Next {
        let number = self.depth - 1;
        if number == self.split_depth {
            self.mine = self.parts.take(self.part);
            self.part += 1;
            if !self.mine {
                self.mark_explored();
                return Next::Abandon(Abandon::NotMine);
            }
        }
        if self.nodes[number].planned != NONE {
            return self.planned(point.choices);
        }
        self.coming = None;
        let next = self.fresh(point);
        if next == Next::Abandon(Abandon::SleepBlocked) {
            self.mark_explored();
        }
        next
    }
}

impl<P: Parts> Policy for Dpor<P> {
    fn begin(&mut self) -> Option<usize> {
        if !self.started {
            self.started = true;
            return Some(0);
        }
        loop {
            let number = self.depth.checked_sub(1)?;
            if self.run.len() == self.depth {
                // Deeper nodes are gone; their leftovers on the stacks go first.
                self.cut_stacks();
                self.take_back();
            }
            self.cut_stacks();
            if self.nodes[number].planned != NONE {
                self.coming = None;
                return Some(number);
            }
            let any = self.nodes[number].any_explored;
            self.depth = number;
            if any && let Some(before) = number.checked_sub(1) {
                self.nodes[before].explored = true;
            }
        }
    }

    fn next(&mut self, point: &Point<'_>) -> Next {
        if self.depth > point.step {
            return self.planned(point.choices);
        }
        self.note_forgone(point.choices);
        self.open(point.choices);
        self.arrive(point)
    }

    fn performed(&mut self, step: &Step<'_>) {
        let choice = step.choice;
        let number = self.run.len();
        for other in self.nodes[number].enabled.0..self.nodes[number].enabled.1 {
            let other = self.enabled[other as usize];
            if other.actor == choice.actor && other != choice {
                self.forgone.push((number as u32, other));
            }
        }
        self.note_races(step);
        self.run.push(step);
    }

    fn end(&mut self, end: RunEnd, waiting: &[Waiting]) -> bool {
        let mut counts = true;
        if matches!(end, RunEnd::Over | RunEnd::Cut) {
            if self.run.len() <= self.split_depth && self.depth <= self.split_depth {
                counts = self.parts.take(self.part);
                self.part += 1;
            }
            if end == RunEnd::Over {
                self.note_forgone(&[]);
            }
            self.mark_explored();
        }
        if matches!(end, RunEnd::Over | RunEnd::Cut | RunEnd::Abandoned(Abandon::Infeasible | Abandon::SleepBlocked)) {
            self.reverse_races();
            self.reverse_unseen(waiting);
        }
        counts
    }
}
