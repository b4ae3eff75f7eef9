//! In which stage of its life an object is, and who is concerned in it.
//!
//! The stages are those of the life of a per-CPU object, and every object goes through them: owned, published, borrowed
//! under RCU, waiting for a grace period, freed; or lost. Page and stepper both show what [`Machine::object_stage`] says.

use std::collections::BTreeSet;

use serde::Serialize;

use super::ownership::{Field, Holder};
use super::region::{Life, Region, RegionKind};
use super::stepper::Machine;
use super::story::RegionId;

/// A stage of an object's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// A program holds a reference and has to give it on.
    Owned,
    /// A kptr field, a list or a tree holds it.
    Published,
    /// A task that does not hold it points to it inside an RCU section, whoever holds it meanwhile.
    Borrowed,
    /// It was freed, and its memory waits for a grace period.
    Waiting,
    /// It is gone.
    Freed,
    /// Nothing leads to it any more, and it was not freed.
    Lost,
}

impl Stage {
    /// The stage in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Stage::Owned => "owned",
            Stage::Published => "published",
            Stage::Borrowed => "borrowed under RCU",
            Stage::Waiting => "waiting for a grace period",
            Stage::Freed => "freed",
            Stage::Lost => "lost",
        }
    }
}

/// An object's stage, and who is concerned in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectStage {
    /// The stage.
    pub stage: Stage,
    /// Who holds it, oldest reference first. A kptr field that a plain store has overwritten holds nothing: [`Holder::Lost`].
    pub holders: Vec<Holder>,
    /// Tasks that borrow it.
    pub borrowers: BTreeSet<u32>,
    /// Tasks whose sections hold back the grace period that it waits for.
    pub readers: BTreeSet<u32>,
}

impl Region {
    /// Is it something that is allocated, held by reference and given back: an object of the program's or the kernel's, or a
    /// record of a ring buffer?
    #[must_use]
    pub fn is_object(&self) -> bool {
        matches!(
            self.kind,
            RegionKind::Object { .. }
                | RegionKind::PerCpuObject { .. }
                | RegionKind::KernelObject { .. }
                | RegionKind::Record { .. }
        )
    }
}

/// The stage of an object with that life, those holders and so many borrowers; `None` for one that nobody holds and that needs
/// no holder.
fn stage(life: Life, holders: &[Holder], is_borrowed: bool) -> Option<Stage> {
    match (life, holders) {
        (Life::Freed, _) => Some(Stage::Freed),
        (Life::Waiting(_), _) => Some(Stage::Waiting),
        (Life::Live, []) => None,
        (Life::Live, all) if all.iter().all(|holder| *holder == Holder::Lost) => Some(Stage::Lost),
        (Life::Live, _) if is_borrowed => Some(Stage::Borrowed),
        (Life::Live, all) if all.iter().any(|holder| matches!(holder, Holder::Task(_))) => Some(Stage::Owned),
        (Life::Live, _) => Some(Stage::Published),
    }
}

impl Machine {
    /// The object that a region is, or is a CPU's copy of.
    #[must_use]
    pub fn object_of(&self, region: RegionId) -> Option<RegionId> {
        let described = self.memory.region(region);
        match described.kind {
            RegionKind::PerCpuCopy { of, .. } => Some(of),
            _ => described.is_object().then_some(region),
        }
    }

    /// The stage of an object; `None` for what nobody holds and the kernel keeps, such as a task of which no reference was taken.
    /// `points` says whether that task has a pointer to it, in a register or on its stack.
    #[must_use]
    pub fn object_stage(&self, object: RegionId, points: impl Fn(u32) -> bool) -> Option<ObjectStage> {
        let life = self.memory.region(object).life;
        let holders: Vec<Holder> =
            self.ledger.references(object).iter().map(|one| self.found(object, one.holder)).collect();
        let tasks = 0..self.task_count();
        let borrows = |&task: &u32| {
            let reader = self.rcu.reader(task);
            (reader.in_rcu() || reader.in_trace()) && !holders.contains(&Holder::Task(task)) && points(task)
        };
        let (borrowers, readers) = match life {
            Life::Live => (tasks.filter(borrows).collect(), BTreeSet::new()),
            Life::Waiting(waiting) => {
                (BTreeSet::new(), tasks.filter(|&task| self.rcu.reader(task).protects(waiting)).collect())
            }
            Life::Freed => Default::default(),
        };
        let stage = stage(life, &holders, !borrowers.is_empty())?;
        Some(ObjectStage { stage, holders, borrowers, readers })
    }

    /// Who is found to hold it where the ledger names that holder.
    fn found(&self, object: RegionId, holder: Holder) -> Holder {
        match holder {
            Holder::Field(field) if self.is_overwritten(object, field) => Holder::Lost,
            holder => holder,
        }
    }

    /// Does the field that holds the object in the ledger lead elsewhere, since a plain store has overwritten it?
    pub(super) fn is_overwritten(&self, object: RegionId, (container, offset): Field) -> bool {
        let bytes = self.memory.peek(container).get(offset as usize..).and_then(|bytes| bytes.first_chunk());
        let leads = |bytes: &[u8; 8]| self.memory.at(u64::from_le_bytes(*bytes)).map(|spot| spot.region);
        bytes.is_some_and(|bytes| leads(bytes) != Some(object))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::machine::rcu::{GracePeriod, Waiting};
    use crate::machine::{MachineOptions, Outcome};
    use crate::object::{LoadOptions, Object};

    const OBJECT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/percpu_counter.bpf.o"));

    /// The first example's machine of two CPUs, with one of its programs started on each of these.
    fn machine() -> Machine {
        let object = Object::parse("percpu_counter", OBJECT, &LoadOptions::default()).expect("it loads");
        let options = MachineOptions { cpus: 2, ..MachineOptions::default() };
        let mut machine = Machine::new(Arc::new(object), options).expect("it can be set up");
        machine.set_global("nr_cpus=2").expect("it is a global");
        machine
    }

    fn start(machine: &mut Machine, program: &str, task: u32) {
        let program = machine.load(program).expect("it is a program");
        machine.start(program, task).expect("the CPU is idle");
    }

    fn object(machine: &Machine) -> Option<RegionId> {
        let is_object = |region: &Region| matches!(region.kind, RegionKind::PerCpuObject { .. });
        machine.memory().regions().find(|(_, region)| is_object(region)).map(|(id, _)| id)
    }

    fn now(machine: &Machine) -> Option<ObjectStage> {
        let object = object(machine)?;
        let leads =
            |value: u64| machine.memory().at(value).and_then(|spot| machine.object_of(spot.region)) == Some(object);
        machine.object_stage(object, |task| {
            let registers = |number| machine.running(task).and_then(|running| running.register(number));
            (0..10).filter_map(registers).any(leads)
        })
    }

    /// Steps a task until its program ends, or the object is in that stage; the stages that it goes through.
    fn step(machine: &mut Machine, task: u32, until: Option<Stage>) -> Vec<Option<Stage>> {
        let mut stages = vec![now(machine).map(|now| now.stage)];
        while (until.is_none() || stages.last() != Some(&until)) && machine.is_running(task) {
            assert!(matches!(machine.step(task), Ok(Outcome::Ran | Outcome::Returned(_))));
            stages.push(now(machine).map(|now| now.stage));
            stages.dedup();
        }
        stages
    }

    #[test]
    fn an_object_goes_through_its_stages() {
        let mut machine = machine();
        start(&mut machine, "create", 0);
        let (owned, published, borrowed) = (Some(Stage::Owned), Some(Stage::Published), Some(Stage::Borrowed));
        // It looks at the object once more after it has published it.
        assert_eq!(step(&mut machine, 0, None), [None, owned, published, borrowed, published]);
        start(&mut machine, "count", 1);
        assert_eq!(step(&mut machine, 1, Some(Stage::Borrowed)), [published, borrowed]);
        assert_eq!(now(&machine).map(|now| now.borrowers), Some([1].into()));
        start(&mut machine, "destroy", 0);
        let taken = |machine: &Machine| now(machine).is_some_and(|now| now.holders == [Holder::Task(0)]);
        while !taken(&machine) {
            assert_eq!(now(&machine).map(|now| now.stage), Some(Stage::Borrowed), "its reader is still there");
            assert!(matches!(machine.step(0), Ok(Outcome::Ran)));
        }
        assert_eq!(step(&mut machine, 0, None), [Some(Stage::Borrowed), Some(Stage::Waiting)]);
        assert_eq!(now(&machine).map(|now| (now.holders, now.readers)), Some((vec![], [1].into())));
        machine.end_grace_period();
        assert_eq!(now(&machine).map(|now| now.stage), Some(Stage::Waiting), "the reader holds the grace period back");
        assert_eq!(step(&mut machine, 1, None), [Some(Stage::Waiting)]);
        assert_eq!(now(&machine).map(|now| now.readers), Some([].into()));
        machine.end_grace_period();
        assert_eq!(now(&machine).map(|now| now.stage), Some(Stage::Freed));
    }

    #[test]
    fn an_object_whose_field_is_overwritten_is_lost() {
        let mut machine = machine();
        start(&mut machine, "create", 0);
        step(&mut machine, 0, None);
        let Some([Holder::Field((container, offset))]) =
            now(&machine).map(|now| <[Holder; 1]>::try_from(now.holders).expect("one holder"))
        else {
            panic!("a field holds it")
        };
        machine.memory.poke(container, offset, &[0; 8]);
        let lost = now(&machine).expect("it was not freed");
        assert_eq!((lost.stage, lost.holders), (Stage::Lost, vec![Holder::Lost]));
    }

    #[test]
    fn who_holds_it_decides_while_it_lives() {
        let (task, field, graph) =
            (Holder::Task(0), Holder::Field((RegionId(1), 0)), Holder::Graph { root: (RegionId(1), 8), node: 0 });
        for (holders, is_borrowed, expected) in [
            (&[][..], false, None),
            (&[], true, None),
            (&[task], false, Some(Stage::Owned)),
            (&[field], false, Some(Stage::Published)),
            (&[graph], false, Some(Stage::Published)),
            (&[field, task], false, Some(Stage::Owned)),
            (&[field], true, Some(Stage::Borrowed)),
            (&[task], true, Some(Stage::Borrowed)),
            (&[Holder::Lost], false, Some(Stage::Lost)),
            (&[Holder::Lost, Holder::Lost], true, Some(Stage::Lost)),
            (&[Holder::Lost, field], false, Some(Stage::Published)),
        ] {
            assert_eq!(stage(Life::Live, holders, is_borrowed), expected, "{holders:?} {is_borrowed}");
            let waiting = Life::Waiting(Waiting { kind: GracePeriod::Rcu, since: 1 });
            assert_eq!(stage(waiting, holders, is_borrowed), Some(Stage::Waiting), "whoever held it");
            assert_eq!(stage(Life::Freed, holders, is_borrowed), Some(Stage::Freed), "whoever held it");
        }
    }
}
