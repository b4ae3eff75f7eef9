//! Ownership: per-CPU objects, nodes, RCU sections, locks, lists and trees.

use super::env::{Pointer, What};
use super::{Lowering, r};
use crate::isa::{AluOp, Insn, JumpOp, Operand, Size, Width};
use crate::soundness::program::assembler::{Label, Reference};
use crate::soundness::program::model::{Cpu, End, MutationKind, NodeEnd, Pick, Statement};
use crate::soundness::program::universe::{MapName, Structure};

/// Helpers by number.
const SPIN_LOCK: i32 = 93;
const SPIN_UNLOCK: i32 = 94;
const PER_CPU_PTR: i32 = 153;
const THIS_CPU_PTR: i32 = 154;
const KPTR_XCHG: i32 = 194;

/// An object that can be owned, and how it is made and given back.
#[derive(Clone, Copy)]
struct Owned {
    what: What,
    structure: Structure,
    /// The slot's member that can hold it.
    member: &'static str,
    new: &'static str,
    drop: &'static str,
}

const PERCPU: Owned = Owned {
    what: What::OwnedPercpu,
    structure: Structure::Counter,
    member: "live",
    new: "bpf_percpu_obj_new_impl",
    drop: "bpf_percpu_obj_drop_impl",
};

const NODE: Owned = Owned {
    what: What::OwnedNode,
    structure: Structure::Node,
    member: "node",
    new: "bpf_obj_new_impl",
    drop: "bpf_obj_drop_impl",
};

impl Lowering {
    /// Nothing becomes of a statement for whose pointer there is no place.
    pub(super) fn object_statement(&mut self, statement: &Statement) {
        if self.locked || !self.kind.owns_objects() || self.env.homes().is_empty() {
            return;
        }
        match statement {
            Statement::Rcu { body } => self.rcu_section(|lowering| lowering.block(body)),
            Statement::PercpuNew { home, body, end } => self.new_object(PERCPU, *home, body, NodeEnd::Object(*end)),
            Statement::NodeNew { home, body, end } => self.new_object(NODE, *home, body, *end),
            Statement::TakePercpu { slot, home, body, end } => {
                self.take(PERCPU, *slot, *home, body, NodeEnd::Object(*end));
            }
            Statement::TakeNode { slot, home, body, end } => self.take(NODE, *slot, *home, body, *end),
            Statement::BorrowPercpu { slot, home, body } => {
                self.borrow(PERCPU, What::BorrowedPercpu, *slot, *home, body);
            }
            Statement::BorrowNode { slot, home, body } => self.borrow(NODE, What::BorrowedNode, *slot, *home, body),
            Statement::Copy { object, cpu, home, body } => self.copy(*object, *cpu, *home, body),
            Statement::Acquire { node, home, body, end } => self.acquire(*node, *home, body, *end),
            Statement::Pop { graph, back, home, body, end } => self.pop(*graph, *back, *home, body, *end),
            Statement::Remove { graph, home, body, end } => self.remove(*graph, *home, body, *end),
            Statement::Locked { graph, body } => self.locked_section(*graph, body),
            _ => {}
        }
    }

    /// An RCU section, unless the program is in one or holds what would end with this one.
    fn rcu_section(&mut self, body: impl FnOnce(&mut Self)) {
        if self.rcu || self.env.pointers.iter().any(|pointer| pointer.what.needs_rcu()) {
            return body(self);
        }
        self.current.statement("RCU section".to_owned());
        if !self.spoils(MutationKind::SkipRcuLock) {
            self.kfunc("bpf_rcu_read_lock");
        }
        self.env.clobber();
        (self.rcu, self.owed) = (true, self.owed + 1);
        body(self);
        (self.rcu, self.owed) = (false, self.owed - 1);
        self.current.statement("end of RCU section".to_owned());
        if !self.spoils(MutationKind::SkipRcuUnlock) {
            self.kfunc("bpf_rcu_read_unlock");
        }
        self.env.clobber();
    }

    /// What loads a field of a map value must be in an RCU section for the pointer to be good for anything.
    fn in_rcu(&mut self, body: impl FnOnce(&mut Self)) {
        if self.kind.sleeps() { self.rcu_section(body) } else { body(self) }
    }

    fn slot_at_hand(&self, pick: Pick) -> Option<Pointer> {
        self.find(pick, |what| what == What::Value(MapName::Slots))
    }

    /// A graph that can be locked: an unlock takes away every node that the program only borrows.
    fn graph_at_hand(&self, pick: Pick) -> Option<Pointer> {
        if self.env.pointers.iter().any(|pointer| pointer.what == What::BorrowedNode) {
            return None;
        }
        self.find(pick, |what| what == What::Value(MapName::Graphs))
    }

    fn new_object(&mut self, owned: Owned, home: Pick, body: &[Statement], end: NodeEnd) {
        self.current.statement(format!("new {}", owned.structure.name()));
        let id = Insn::Alu { width: Width::W64, op: AluOp::Mov, dst: r(1), src: Operand::Immediate(0) };
        self.current.push_reference(id, Reference::TypeId(owned.structure));
        self.constant(2, 0);
        self.kfunc(owned.new);
        self.own(owned, home, body, end);
    }

    /// An object in `r0`, perhaps NULL, is the program's from here on.
    fn own(&mut self, owned: Owned, home: Pick, body: &[Statement], end: NodeEnd) {
        self.owed += 1;
        self.if_not_null(owned.what, home, body, |lowering, pointer| lowering.end(owned, pointer, end));
        self.owed -= 1;
    }

    fn end(&mut self, owned: Owned, pointer: Pointer, end: NodeEnd) {
        match end {
            NodeEnd::Object(End::Publish(slot)) => match self.slot_at_hand(slot) {
                Some(slot) => self.publish(owned, pointer, slot),
                None => self.give_back(owned, pointer),
            },
            NodeEnd::Push(graph, back) => match self.graph_at_hand(graph) {
                Some(graph) => self.push_node(pointer, graph, back),
                None => self.give_back(owned, pointer),
            },
            NodeEnd::Insert(graph) => match self.graph_at_hand(graph) {
                Some(graph) => self.insert_node(pointer, graph),
                None => self.give_back(owned, pointer),
            },
            NodeEnd::Object(End::Drop) => self.give_back(owned, pointer),
        }
    }

    /// How often a reference is released that should be once.
    pub(super) fn releases(&mut self) -> usize {
        match (self.spoils(MutationKind::SkipRelease), self.spoils(MutationKind::DoubleRelease)) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        }
    }

    fn give_back(&mut self, owned: Owned, pointer: Pointer) {
        self.current.statement(format!("drop {}", owned.structure.name()));
        for _ in 0..self.releases() {
            self.argument(1, pointer, 0);
            self.constant(2, 0);
            self.kfunc(owned.drop);
        }
        self.env.clobber();
    }

    fn publish(&mut self, owned: Owned, pointer: Pointer, slot: Pointer) {
        self.current.statement(format!("publish {}", owned.structure.name()));
        self.argument(2, pointer, 0);
        self.argument(1, slot, Structure::Slot.offset_of(owned.member));
        self.helper(KPTR_XCHG);
        self.give_back_old(owned);
    }

    /// Gives back what an exchange returned.
    fn give_back_old(&mut self, owned: Owned) {
        let none = self.current.label();
        if !self.spoils(MutationKind::DropNullCheck) {
            self.jump_if(JumpOp::Equal, 0, Operand::Immediate(0), none);
        }
        self.mov(1, 0);
        self.constant(2, 0);
        if !self.spoils(MutationKind::SkipRelease) {
            self.kfunc(owned.drop);
        }
        self.current.place(none);
    }

    fn take(&mut self, owned: Owned, slot: Pick, home: Pick, body: &[Statement], end: NodeEnd) {
        let Some(slot) = self.slot_at_hand(slot) else { return };
        self.current.statement(format!("take {} out of slot", owned.structure.name()));
        self.constant(2, 0);
        self.argument(1, slot, Structure::Slot.offset_of(owned.member));
        self.helper(KPTR_XCHG);
        self.own(owned, home, body, end);
    }

    fn borrow(&mut self, owned: Owned, what: What, slot: Pick, home: Pick, body: &[Statement]) {
        let Some(slot) = self.slot_at_hand(slot) else { return };
        self.in_rcu(|lowering| {
            lowering.current.statement(format!("borrow {}", owned.structure.name()));
            let base = lowering.pointer_in(slot, 1);
            let offset = Structure::Slot.offset_of(owned.member);
            lowering.push(Insn::Load { size: Size::B8, signed: false, dst: r(0), src: r(base), offset });
            lowering.env.clear_number(0);
            lowering.if_not_null(what, home, body, |_, _| {});
        });
    }

    fn copy(&mut self, object: Pick, cpu: Cpu, home: Pick, body: &[Statement]) {
        let Some(object) = self.find(object, |what| what == What::BorrowedPercpu) else { return };
        let source = match cpu {
            Cpu::This => None,
            Cpu::Number(source) => Some(self.operand(source)),
        };
        self.current.statement(match source {
            None => "this CPU's counter".to_owned(),
            Some(source) => format!("counter of CPU {source}"),
        });
        if let Some(source) = source {
            self.alu(AluOp::Mov, Width::W64, 2, source);
        }
        self.argument(1, object, 0);
        if source.is_some() {
            self.helper(PER_CPU_PTR);
            return self.if_not_null(What::Copy, home, body, |_, _| {});
        }
        self.helper(THIS_CPU_PTR);
        let Some(place) = self.home(home) else { return };
        self.keep(place, 0);
        let behind = self.current.label();
        self.within(Pointer { what: What::Copy, home: place }, behind, body, |_, _| {});
    }

    fn acquire(&mut self, node: Pick, home: Pick, body: &[Statement], end: NodeEnd) {
        let Some(node) = self.find(node, |what| matches!(what, What::OwnedNode | What::BorrowedNode)) else { return };
        self.current.statement("acquire node".to_owned());
        self.argument(1, node, 0);
        self.constant(2, 0);
        self.kfunc("bpf_refcount_acquire_impl");
        self.own(NODE, home, body, end);
    }

    fn lock(&mut self, graph: Pointer) {
        if !self.spoils(MutationKind::SkipLock) {
            self.argument(1, graph, Structure::Graph.offset_of("lock"));
            self.helper(SPIN_LOCK);
        }
        self.env.clobber();
    }

    fn unlock(&mut self, graph: Pointer) {
        let others: Vec<Pointer> =
            self.env.pointers.iter().copied().filter(|one| one.what == graph.what && one.home != graph.home).collect();
        let by_other = others.first().copied().filter(|_| self.spoils(MutationKind::UnlockOther));
        if !self.spoils(MutationKind::SkipUnlock) {
            self.argument(1, by_other.unwrap_or(graph), Structure::Graph.offset_of("lock"));
            self.helper(SPIN_UNLOCK);
        }
        self.env.clobber();
    }

    fn locked_section(&mut self, graph: Pick, body: &[Statement]) {
        let Some(graph) = self.graph_at_hand(graph) else { return };
        self.current.statement("lock".to_owned());
        self.lock(graph);
        (self.locked, self.owed) = (true, self.owed + 1);
        self.block(body);
        (self.locked, self.owed) = (false, self.owed - 1);
        self.current.statement("unlock".to_owned());
        self.unlock(graph);
    }

    fn push_node(&mut self, node: Pointer, graph: Pointer, back: bool) {
        self.current.statement(format!("push node to the {}", if back { "back" } else { "front" }));
        self.lock(graph);
        self.argument(1, graph, Structure::Graph.offset_of("list"));
        self.argument(2, node, Structure::Node.offset_of("list_node"));
        self.constant(3, 0);
        self.constant(4, 0);
        self.kfunc(if back { "bpf_list_push_back_impl" } else { "bpf_list_push_front_impl" });
        self.unlock(graph);
    }

    fn insert_node(&mut self, node: Pointer, graph: Pointer) {
        self.current.statement("insert node into the tree".to_owned());
        let node_offset = Structure::Node.offset_of("tree_node");
        let less = self.less(Structure::Node.offset_of("key") - node_offset);
        self.lock(graph);
        self.argument(1, graph, Structure::Graph.offset_of("tree"));
        self.argument(2, node, node_offset);
        self.function_address(3, less);
        self.constant(4, 0);
        self.constant(5, 0);
        self.kfunc("bpf_rbtree_add_impl");
        self.unlock(graph);
    }

    fn pop(&mut self, graph: Pick, back: bool, home: Pick, body: &[Statement], end: NodeEnd) {
        let Some(graph) = self.graph_at_hand(graph) else { return };
        self.current.statement(format!("pop node from the {}", if back { "back" } else { "front" }));
        self.lock(graph);
        self.argument(1, graph, Structure::Graph.offset_of("list"));
        self.kfunc(if back { "bpf_list_pop_back" } else { "bpf_list_pop_front" });
        let skip = self.current.label();
        self.taken_from_graph(graph, "list_node", skip, home, body, end);
    }

    fn remove(&mut self, graph: Pick, home: Pick, body: &[Statement], end: NodeEnd) {
        let Some(graph) = self.graph_at_hand(graph) else { return };
        self.current.statement("remove first node of the tree".to_owned());
        let (found, skip) = (self.current.label(), self.current.label());
        let root = Structure::Graph.offset_of("tree");
        self.lock(graph);
        self.argument(1, graph, root);
        self.kfunc("bpf_rbtree_first");
        self.jump_if(JumpOp::NotEqual, 0, Operand::Immediate(0), found);
        self.unlock(graph);
        self.goto(skip);
        self.current.place(found);
        self.mov(2, 0);
        self.argument(1, graph, root);
        self.kfunc("bpf_rbtree_remove");
        self.taken_from_graph(graph, "tree_node", skip, home, body, end);
    }

    /// `r0` is a node's member, perhaps NULL, under the lock: it is kept, the lock given back, the node used.
    fn taken_from_graph(
        &mut self,
        graph: Pointer,
        member: &str,
        skip: Label,
        home: Pick,
        body: &[Statement],
        end: NodeEnd,
    ) {
        let Some(place) = self.home(home) else { return };
        let pointer = Pointer { what: What::OwnedNode, home: place };
        self.keep(place, 0);
        self.unlock(graph);
        let register = self.pointer_in(pointer, 0);
        if !self.spoils(MutationKind::DropNullCheck) {
            self.jump_if(JumpOp::Equal, register, Operand::Immediate(0), skip);
        }
        let offset = i32::from(Structure::Node.offset_of(member));
        self.alu(AluOp::Add, Width::W64, register, Operand::Immediate(-offset));
        self.keep(place, register);
        self.owed += 1;
        self.within(pointer, skip, body, |lowering, pointer| lowering.end(NODE, pointer, end));
        self.owed -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soundness::program::universe::MemberKind;

    #[test]
    fn the_slot_can_hold_each_object() {
        for owned in [PERCPU, NODE] {
            let holds = |kind| match kind {
                MemberKind::PercpuKptr(to) | MemberKind::Kptr(to) => to == owned.structure,
                _ => false,
            };
            assert_eq!(Structure::Slot.find(holds).map(|member| member.name), Some(owned.member));
        }
    }
}
