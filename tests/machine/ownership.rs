//! Ownership of objects, across slots and CPUs, against a model that knows nothing of memory.

use kptrsim::isa::RawInsn;
use kptrsim::machine::ownership::Holder;
use kptrsim::machine::{End, FaultKind, Machine};
use proptest::prelude::*;

use super::build::*;

/// `r6 = &array[slot].pc`.
fn field(slot: u32) -> Vec<RawInsn> {
    let mut program = vec![insn(0x62, 10, 0, -4, slot as i32), copy(2, 10), add(2, -4)];
    program.extend(map(1, ARRAY));
    program.extend([helper(1), copy(6, 0), add(6, 8)]);
    program
}

/// Puts a new object into a slot and drops what was there.
fn replace(slot: u32) -> Vec<RawInsn> {
    let mut program = field(slot);
    program.extend([mov(1, VAL), mov(2, 0), kfunc("bpf_percpu_obj_new_impl")]);
    program.extend([copy(1, 6), copy(2, 0), helper(194)]);
    program.extend([if_equal(0, 0, 3), copy(1, 0), mov(2, 0), kfunc("bpf_percpu_obj_drop_impl"), mov(0, 0), exit()]);
    program
}

/// Takes what is in a slot out and drops it; returns whether there was something.
fn take(slot: u32) -> Vec<RawInsn> {
    let mut program = field(slot);
    program.extend([copy(1, 6), mov(2, 0), helper(194)]);
    program.extend([if_equal(0, 0, 4), copy(1, 0), mov(2, 0), kfunc("bpf_percpu_obj_drop_impl"), mov(0, 1), exit()]);
    program
}

/// Takes what is in a slot out and forgets it.
fn leak(slot: u32) -> Vec<RawInsn> {
    let mut program = field(slot);
    program.extend([copy(1, 6), mov(2, 0), helper(194), mov(0, 0), exit()]);
    program
}

/// Moves what is in one slot to another and drops what was there.
fn shift(from: u32, to: u32) -> Vec<RawInsn> {
    let mut program = field(from);
    program.extend([copy(1, 6), mov(2, 0), helper(194), copy(7, 0)]);
    program.extend(field(to));
    program.extend([copy(1, 6), copy(2, 7), helper(194)]);
    program.extend([if_equal(0, 0, 3), copy(1, 0), mov(2, 0), kfunc("bpf_percpu_obj_drop_impl"), mov(0, 0), exit()]);
    program
}

/// Takes a slot's object out and drops it twice.
fn drop_twice(slot: u32) -> Vec<RawInsn> {
    let mut program = field(slot);
    program.extend([copy(1, 6), mov(2, 0), helper(194), if_equal(0, 0, 6), copy(7, 0)]);
    program.extend([copy(1, 7), kfunc("bpf_percpu_obj_drop_impl"), copy(1, 7), kfunc("bpf_percpu_obj_drop_impl")]);
    program.extend([mov(0, 0), mov(0, 0), exit()]);
    program
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Replace(u32),
    Take(u32),
    Leak(u32),
    Shift(u32, u32),
    GracePeriod,
}

fn action() -> impl Strategy<Value = (Action, u32)> {
    let slot = || 0..SLOTS;
    let actions = prop_oneof![
        4 => slot().prop_map(Action::Replace),
        3 => slot().prop_map(Action::Take),
        1 => slot().prop_map(Action::Leak),
        3 => (slot(), slot()).prop_map(|(from, to)| Action::Shift(from, to)),
        1 => Just(Action::GracePeriod),
    ];
    (actions, 0u32..3)
}

fn programs() -> Vec<(&'static str, bool, Vec<RawInsn>)> {
    // Names are made once for the whole test run; there are few of them.
    let name = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let mut all = Vec::new();
    for slot in 0..SLOTS {
        all.push((name(format!("replace{slot}")), false, replace(slot)));
        all.push((name(format!("take{slot}")), false, take(slot)));
        all.push((name(format!("leak{slot}")), false, leak(slot)));
        for to in 0..SLOTS {
            all.push((name(format!("shift{slot}{to}")), false, shift(slot, to)));
        }
    }
    all
}

/// What must be true: which slots hold something, how many were dropped and wait, how many leaked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Model {
    full: [bool; SLOTS as usize],
    waiting: usize,
    leaked: usize,
}

impl Model {
    fn apply(&mut self, action: Action) -> u64 {
        match action {
            Action::Replace(slot) => {
                self.waiting += usize::from(std::mem::replace(&mut self.full[slot as usize], true));
                0
            }
            Action::Take(slot) => {
                let was = std::mem::take(&mut self.full[slot as usize]);
                self.waiting += usize::from(was);
                u64::from(was)
            }
            Action::Leak(slot) => {
                self.leaked += usize::from(std::mem::take(&mut self.full[slot as usize]));
                0
            }
            Action::Shift(from, to) => {
                let moved = std::mem::take(&mut self.full[from as usize]);
                self.waiting += usize::from(std::mem::replace(&mut self.full[to as usize], moved));
                0
            }
            Action::GracePeriod => {
                self.waiting = 0;
                0
            }
        }
    }

    fn of(machine: &Machine) -> Model {
        let mut model = Model { waiting: machine.rcu().deferred().len(), ..Model::default() };
        for (_, references) in machine.ledger().iter() {
            for reference in references {
                match reference.holder {
                    Holder::Field((container, offset)) => {
                        assert_eq!(offset, 8, "the field pc");
                        let elements = machine.maps()[ARRAY as usize].elements();
                        let (key, _) = elements.iter().find(|&&(_, region)| region == container).expect("an element");
                        model.full[usize::from(key[0])] = true;
                    }
                    Holder::Lost => model.leaked += 1,
                    other => panic!("nothing runs, so nothing else can hold a reference: {other:?}"),
                }
            }
        }
        assert_eq!(machine.leaks().len(), model.leaked);
        model
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// After any sequence of whole programs on any CPUs the machine holds what the model says.
    #[test]
    fn the_ledger_follows_every_hand_over(actions in prop::collection::vec(action(), 1..40)) {
        let mut machine = machine(3, &programs());
        let mut model = Model::default();
        for (action, cpu) in actions {
            let wanted = model.apply(action);
            let name = match action {
                Action::Replace(slot) => format!("replace{slot}"),
                Action::Take(slot) => format!("take{slot}"),
                Action::Leak(slot) => format!("leak{slot}"),
                Action::Shift(from, to) => format!("shift{from}{to}"),
                Action::GracePeriod => {
                    machine.end_grace_period();
                    prop_assert_eq!(&Model::of(&machine), &model);
                    continue;
                }
            };
            prop_assert_eq!(value(&run(&mut machine, &name, cpu)), wanted);
            prop_assert_eq!(&Model::of(&machine), &model);
        }
    }
}

#[test]
fn a_second_drop_is_a_fault() {
    let mut machine = machine(1, &[("replace", false, replace(0)), ("twice", false, drop_twice(0))]);
    value(&run(&mut machine, "replace", 0));
    let end = run(&mut machine, "twice", 0);
    let End::Fault(fault) = &end else { panic!("{end:?}") };
    assert!(matches!(fault.kind, FaultKind::NotOwned(_)), "{:?}", fault.kind);
    let story = fault.story.as_ref().expect("the fault tells of the object");
    assert!(story.region.freed.is_some() && story.region.allocated.is_some());
}

#[test]
fn what_a_field_holds_is_not_the_programs_to_drop() {
    // p = e->pc; bpf_percpu_obj_drop(p)
    let mut alias = field(0);
    alias.extend([load(1, 6, 0), kfunc("bpf_percpu_obj_drop_impl"), mov(0, 0), exit()]);
    let mut machine = machine(1, &[("replace", false, replace(0)), ("alias", false, alias)]);
    value(&run(&mut machine, "replace", 0));
    let end = run(&mut machine, "alias", 0);
    assert!(matches!(fault(&end).0, FaultKind::NotOwned(_)), "{end:?}");
    assert_eq!(Model::of(&machine).full, [true, false, false, false]);
}

#[test]
fn an_exchange_checks_the_field() {
    // An object of bpf_obj_new into the field for per-CPU objects.
    let mut wrong = field(0);
    wrong.extend([mov(1, VAL), mov(2, 0), kfunc("bpf_obj_new_impl"), copy(1, 6), copy(2, 0), helper(194)]);
    wrong.extend([mov(0, 0), exit()]);
    let end = once(&wrong);
    assert!(matches!(fault(&end).0, FaultKind::BadArgument { callee: "bpf_kptr_xchg", .. }), "{end:?}");
    // A field that is no kptr.
    let mut scalar = field(0);
    scalar.extend([copy(1, 6), add(1, -8), mov(2, 0), helper(194), mov(0, 0), exit()]);
    assert!(matches!(fault(&once(&scalar)).0, FaultKind::BadArgument { .. }));
}

#[test]
fn a_plain_store_over_a_field_loses_what_it_held() {
    let mut overwrite = field(0);
    overwrite.extend([mov(1, 0), store(6, 0, 1), mov(0, 0), exit()]);
    let mut machine = machine(1, &[("replace", false, replace(0)), ("overwrite", false, overwrite)]);
    value(&run(&mut machine, "replace", 0));
    assert!(machine.overwritten().is_empty());
    value(&run(&mut machine, "overwrite", 0));
    assert_eq!(machine.overwritten().len(), 1);
}

#[test]
fn deleting_an_element_drops_what_its_fields_hold() {
    let key = |program: &mut Vec<RawInsn>| {
        program.extend([insn(0x7a, 10, 0, -8, 5), copy(2, 10), add(2, -8)]);
        program.extend(map(1, HASH));
    };
    // A zero value goes in, then an object into its field; deleting the element frees both.
    let mut fill = vec![mov(1, 0), store(10, -16, 1), store(10, -24, 1), store(10, -32, 1)];
    key(&mut fill);
    fill.extend([copy(3, 10), add(3, -32), mov(4, 0), helper(2)]);
    key(&mut fill);
    fill.extend([helper(1), copy(6, 0), mov(1, VAL), kfunc("bpf_percpu_obj_new_impl")]);
    fill.extend([copy(1, 6), add(1, 8), copy(2, 0), helper(194), mov(0, 0), exit()]);
    let mut delete = Vec::new();
    key(&mut delete);
    delete.extend([helper(3), exit()]);
    let mut machine = machine(2, &[("fill", false, fill), ("delete", false, delete)]);
    value(&run(&mut machine, "fill", 0));
    assert_eq!(machine.ledger().iter().count(), 1);
    assert_eq!(value(&run(&mut machine, "delete", 1)), 0);
    assert_eq!(machine.ledger().iter().count(), 0);
    assert_eq!(machine.rcu().deferred().len(), 1, "the object; the element stays its map's");
    assert_eq!(value(&run(&mut machine, "delete", 1)) as i64, -2, "there is no second one");
}
