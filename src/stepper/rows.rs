//! What can be done next, as a list to choose from: a row for each CPU, and for each step that something else can take.

use crate::explore::simulation::ActorKind;
use crate::explore::system::{Actor, Choice};
use crate::machine::{CallbackKind, Machine, Place, RegionId, Way};
use crate::report::place::Words;

use super::objects::Labels;
use super::session::Session;

/// A place in one short line: the line's number and its text, without the file.
#[must_use]
pub fn brief(machine: &Machine, place: Place) -> String {
    let program = machine.programs().get(place.program as usize);
    match program.and_then(|program| program.source().line_at(place.insn as usize)) {
        Some(line) => format!("{}: {}", line.line, line.text.trim()),
        None => Words::new(machine).source(place),
    }
}

/// One thing to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The step.
    pub choice: Choice,
    /// Whose it is.
    pub actor: String,
    /// What it would do, or why nothing can be done.
    pub text: String,
    /// Can it be taken now?
    pub ready: bool,
}

impl Session {
    /// All that there is to choose from, in the order of the actors.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let possible = self.possible();
        let mut rows = Vec::new();
        for actor in self.actors() {
            let branches: Vec<Choice> = possible.iter().copied().filter(|choice| choice.actor == actor).collect();
            let is_task = matches!(self.actor_kind(actor), ActorKind::Task { .. });
            let begun = self.unshown(actor) > 0;
            if begun || (branches.is_empty() && (is_task || self.simulation.machine_task(actor).is_some())) {
                let choice = Choice { actor, branch: 0 };
                let text = if begun { self.place_text(actor) } else { self.idle_text(actor) };
                rows.push(Row { choice, actor: self.actor_name(actor).to_owned(), text, ready: begun });
                continue;
            }
            rows.extend(branches.iter().map(|&choice| Row {
                choice,
                actor: self.actor_name(actor).to_owned(),
                text: self.choice_text(choice, branches.len()),
                ready: true,
            }));
        }
        rows
    }

    /// The row that is chosen: its index, and all of them.
    #[must_use]
    pub fn chosen_row(&self) -> (usize, Vec<Row>) {
        let rows = self.rows();
        let chosen = self.selected();
        let exact = rows.iter().position(|row| row.choice == chosen);
        let index = exact.or_else(|| rows.iter().position(|row| row.choice.actor == chosen.actor));
        (index.unwrap_or(0), rows)
    }

    /// Chooses the row so many further down, or up; goes round at the ends.
    pub fn select(&mut self, by: isize) {
        let (index, rows) = self.chosen_row();
        let count = rows.len() as isize;
        if count > 0 {
            let index = (index as isize + by).rem_euclid(count) as usize;
            self.selected = rows[index].choice;
        }
    }

    /// Chooses the row of that number, if there is one.
    pub fn select_row(&mut self, index: usize) {
        if let Some(row) = self.rows().get(index) {
            self.selected = row.choice;
        }
    }

    fn idle_text(&self, actor: Actor) -> String {
        if self.has_failed(actor) {
            return "could not go on".to_owned();
        }
        let returned = self.simulation.returned_by(actor);
        let is_task = matches!(self.actor_kind(actor), ActorKind::Task { .. });
        if is_task && self.simulation.program_of(actor).is_none() {
            let returned: Vec<_> = returned.iter().map(i32::to_string).collect();
            return format!("is done: returned {}", returned.join(", "));
        }
        if self.over().is_some() {
            return "did not come to its end".to_owned();
        }
        let Some(task) = self.simulation.machine_task(actor) else { return "is idle".to_owned() };
        let machine = self.machine();
        if let Some((region, offset)) = machine.waits_at(task) {
            let place = Words::new(machine).field((region, offset));
            return format!("waits for {place}");
        }
        if machine.waits_for_stores(task) {
            return format!("waits until the stores of CPU {} are seen", machine.cpu_of(task));
        }
        match self.about_to_fail() {
            Some(_) => self.place_text(actor),
            None => format!("waits for another one on CPU {}", machine.cpu_of(task)),
        }
    }

    /// Where an actor is shown to be.
    fn place_text(&self, actor: Actor) -> String {
        self.state(actor).map_or_else(String::new, |state| brief(self.machine(), state.place))
    }

    fn choice_text(&self, choice: Choice, branches: usize) -> String {
        match self.actor_kind(choice.actor) {
            ActorKind::Task { .. } => self.task_text(choice, branches),
            ActorKind::StoreBuffer { cpu } => {
                format!("now seen: {}", brief(self.machine(), self.machine().oldest_store(cpu).place))
            }
            ActorKind::Callback { .. } if self.simulation.machine_task(choice.actor).is_some() => {
                self.task_text(choice, branches)
            }
            ActorKind::Callback { kind, .. } => {
                let what = if kind == CallbackKind::Timer { "timer" } else { "work item" };
                let names = self.simulation.callback_names(choice.actor);
                let name = names.get(usize::from(choice.branch)).map_or("", String::as_str);
                format!("runs the {what}'s callback {name}")
            }
            ActorKind::Others => format!("takes what the maps hold (way {})", choice.branch),
            ActorKind::GracePeriod => self.grace_text(),
        }
    }

    fn grace_text(&self) -> String {
        let machine = self.machine();
        let labels = Labels::new(machine);
        let ripe = machine.rcu().deferred().iter().filter(|free| machine.rcu().is_ripe(free));
        let mut names: Vec<RegionId> = ripe.map(|free| free.region).collect();
        names.dedup();
        let names: Vec<_> = names.into_iter().map(|region| labels.region(region)).collect();
        format!("a grace period ends: frees {}", names.join(", "))
    }

    fn task_text(&self, choice: Choice, branches: usize) -> String {
        let running = self.simulation.machine_task(choice.actor).filter(|&task| self.machine().is_running(task));
        let Some(task) = running else {
            let program = self.simulation.program_of(choice.actor).unwrap_or("?");
            return format!("starts {program}");
        };
        let source = brief(self.machine(), self.machine().moment(task).place);
        if branches < 2 {
            return source;
        }
        let way = match self.machine().way(task, choice.branch) {
            Some(Way::UsedMemory) => "with freed memory, whose grace period is over".to_owned(),
            Some(Way::FreshMemory) => "with fresh memory".to_owned(),
            Some(Way::NoMemory) => "and there is no memory".to_owned(),
            Some(Way::Other(number)) => format!("way {number}"),
            None => format!("way {}", choice.branch),
        };
        format!("{way}: {source}")
    }
}
