//! Linked lists and red-black trees: heads, roots and nodes as kfunc arguments, who owns a node, and the callback
//! that keeps a tree in order (`__process_kf_arg_ptr_to_graph_root`, `__process_kf_arg_ptr_to_graph_node`,
//! `ref_convert_owning_non_owning`, `kernel/bpf/verifier.c`, Linux 6.12).
//!
//! A list or tree is touched only while the lock beside its root is held. What is pushed or added belongs to it from
//! then on: all pointers to the node become non-owning and live until the lock is given back. What is popped or
//! removed belongs to the program again.

use super::arguments::Call;
use super::callback::Callback;
use super::env::{Check, Verifier, reject, unsupported};
use super::kfunc::{Function, Special};
use super::kfunc_arguments::Told;
use super::maps::{Field, Fields};
use super::obligations::{ActiveLock, LockOwner};
use super::rule::{Errno, Rule};
use super::value::{Attributes, Pointer, Target, Trust, TypeRef, TypeSpace, Value};
use crate::btf::TypeId;
use crate::btf::fields::{FieldKind, GraphRoot};
use crate::isa::{CallTarget, Insn, Register};
use crate::seeded::{self, Fault};
use rustc_hash::FxHashMap;

/// The two kinds of graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Graph {
    /// A doubly linked list.
    List,
    /// A red-black tree.
    Tree,
}

/// Attributes of a pointer that owns the object that it points to, or that points into one.
const ALLOCATED: Attributes = Attributes {
    nullable: false,
    trust: Trust::Plain,
    read_only: false,
    allocated: true,
    percpu: false,
    user: false,
    ringbuf: false,
    non_owning: false,
    slice: None,
};

impl Graph {
    /// The kind of field that holds all nodes.
    #[must_use]
    pub fn root_kind(self) -> FieldKind {
        match self {
            Graph::List => FieldKind::ListHead,
            Graph::Tree => FieldKind::RbRoot,
        }
    }

    /// The kind of field that links an object.
    #[must_use]
    pub fn node_kind(self) -> FieldKind {
        match self {
            Graph::List => FieldKind::ListNode,
            Graph::Tree => FieldKind::RbNode,
        }
    }

    /// The type's name of the field that holds all nodes.
    #[must_use]
    pub fn root_name(self) -> &'static str {
        self.root_kind().struct_name().unwrap_or_default()
    }

    /// The type's name of the field that links an object.
    #[must_use]
    pub fn node_name(self) -> &'static str {
        self.node_kind().struct_name().unwrap_or_default()
    }
}

impl Special {
    /// The kind of graph that the kfunc works on (`is_bpf_list_api_kfunc`, `is_bpf_rbtree_api_kfunc`).
    #[must_use]
    pub fn graph(self) -> Option<Graph> {
        match self {
            Special::ListPushFront | Special::ListPushBack | Special::ListPopFront | Special::ListPopBack => {
                Some(Graph::List)
            }
            Special::RbtreeAdd | Special::RbtreeRemove | Special::RbtreeFirst => Some(Graph::Tree),
            _ => None,
        }
    }

    /// Does the kfunc give a node away to a graph?
    #[must_use]
    pub fn links_node(self) -> bool {
        matches!(self, Special::ListPushFront | Special::ListPushBack | Special::RbtreeAdd)
    }

    /// Does the kfunc return a node of a graph?
    fn returns_node(self) -> bool {
        matches!(self, Special::ListPopFront | Special::ListPopBack | Special::RbtreeRemove | Special::RbtreeFirst)
    }

    /// Is a node among its arguments (`check_kfunc_is_graph_node_api`)?
    fn takes_node(self) -> bool {
        self.links_node() || self == Special::RbtreeRemove
    }
}

impl Pointer {
    /// Does a list or tree own the object that it points to (`type_is_non_owning_ref`)?
    #[must_use]
    pub fn is_non_owning(&self) -> bool {
        self.is_allocated_object() && self.attributes.non_owning
    }
}

/// A pointer to the node of an object, as a list or tree hands it out (`mark_reg_graph_node`).
#[must_use]
pub fn node_of(root: &GraphRoot) -> Pointer {
    let object = TypeRef { space: TypeSpace::Program, id: root.value_type };
    Pointer { offset: root.node_offset as i32, ..Pointer::to(Target::Object(object)).with(ALLOCATED) }
}

/// A list or tree owns the object now. If objects of that type are counted, RCU keeps it alive for readers
/// (`ref_set_non_owning`).
fn disown(pointer: &mut Pointer, structs: &FxHashMap<TypeId, Fields>) {
    if pointer.attributes.non_owning {
        return;
    }
    pointer.attributes.non_owning = true;
    let fields = pointer.object().and_then(|object| structs.get(&object.id));
    if fields.is_some_and(|fields| fields.find(FieldKind::Refcount).is_some()) {
        pointer.attributes.trust = Trust::Rcu;
    }
}

impl Verifier<'_> {
    /// The lock that guards what a pointer points to, were it held.
    #[must_use]
    pub fn lock_beside(&self, pointer: &Pointer) -> ActiveLock {
        let owner = pointer.map().map_or(LockOwner::Object, |map| LockOwner::Map(map.index));
        ActiveLock { owner, id: pointer.id }
    }

    /// A list head or tree root: in a map's value or in an object, at its place, its lock held.
    pub fn check_root_argument(
        &mut self,
        function: &Function,
        index: usize,
        register: Register,
        graph: Graph,
        told: &mut Told,
    ) -> Check {
        let name = graph.root_name();
        let pointer = match self.value(register) {
            Value::Pointer(pointer) if is_map_value(&pointer) || is_owned_object(&pointer) => pointer,
            _ => return reject(Rule::ExpectedValueOrAllocated { index }),
        };
        if is_owned_object(&pointer) && pointer.reference == 0 {
            return reject(Rule::AllocatedNotReferenced);
        }
        if function.special.and_then(Special::graph) != Some(graph) {
            return reject(Rule::RootOfUnknownKfunc { field: name });
        }
        let Some(offset) = pointer.known_offset() else {
            return reject(Rule::GraphAtVariableOffset { register, field: name });
        };
        let offset = offset as u32;
        let fields = self.fields_of(&pointer);
        let Some(root) = fields.and_then(|fields| fields.of_kind_at(graph.root_kind(), offset)).copied() else {
            return reject(Rule::NoGraphField { field: name, offset });
        };
        let lock = fields.and_then(|fields| fields.find(FieldKind::SpinLock)).map(|lock| lock.offset);
        self.check_lock_beside(&pointer, lock, name)?;
        told.root = Some(root);
        Ok(())
    }

    /// `check_reg_allocation_locked`.
    fn check_lock_beside(&mut self, pointer: &Pointer, lock: Option<u32>, field: &'static str) -> Check {
        let Some(offset) = lock else { return unsupported("a list or tree without a lock beside it") };
        match self.state.obligations.lock {
            Some(held) if held == self.lock_beside(pointer) => return Ok(()),
            _ if seeded::active(Fault::GraphWithoutLock) => return Ok(()),
            Some(_) => self.say_text("held lock and object are not in the same allocation"),
            None => {}
        }
        reject(Rule::GraphLockNotHeld { offset, field })
    }

    /// A node: to be given away it must be owned, to be removed it must be in the tree.
    pub fn check_node_argument(
        &mut self,
        function: &Function,
        index: usize,
        register: Register,
        graph: Graph,
        told: &mut Told,
    ) -> Check {
        let value = self.value(register);
        if function.special == Some(Special::RbtreeRemove) {
            let linked = value.as_pointer().is_some_and(|pointer| pointer.is_non_owning() && pointer.reference == 0);
            if !linked {
                return reject(Rule::RemoveNeedsNonOwning);
            }
            if self.in_tree_callback() {
                return reject(Rule::RemoveInTreeCallback);
            }
        } else {
            if !value.as_pointer().is_some_and(is_owned_object) {
                return reject(Rule::ExpectedAllocated { index });
            }
            if value.reference() == 0 {
                return reject(Rule::AllocatedNotReferenced);
            }
        }
        let known = function.special.is_some_and(|special| special.takes_node() && special.graph() == Some(graph));
        if !known {
            return reject(Rule::NodeOfUnknownKfunc { field: graph.node_name() });
        }
        self.check_node_fits(register, graph, told)
    }

    /// The node is one that the root's graph holds: its struct, and its place in it.
    fn check_node_fits(&mut self, register: Register, graph: Graph, told: &mut Told) -> Check {
        let field = graph.node_name();
        let pointer = self.pointer(register)?;
        let Some(offset) = pointer.known_offset() else {
            return reject(Rule::GraphAtVariableOffset { register, field });
        };
        let offset = offset as u32;
        let found = self.fields_of(&pointer).and_then(|fields| fields.of_kind_at(graph.node_kind(), offset));
        if found.is_none() {
            return reject(Rule::NoGraphField { field, offset });
        }
        let (Some(root), Some(object)) = (told.root.and_then(|root| root.root), pointer.object()) else {
            return unsupported("a node without the list or tree that it goes to");
        };
        let wanted = TypeRef { space: TypeSpace::Program, id: root.value_type };
        if !self.types_match(object, 0, wanted, true, false) {
            return reject(Rule::NodeOfOtherGraph {
                root: graph.root_name(),
                field,
                wanted_offset: root.node_offset,
                wanted: self.type_name(wanted),
                offset,
                found: self.type_name(object),
            });
        }
        told.object = Some(object);
        if offset != root.node_offset {
            return reject(Rule::OtherNodeOfObject {
                offset,
                field,
                wanted_offset: root.node_offset,
                object: self.type_name(wanted),
            });
        }
        Ok(())
    }

    /// The callback that compares two nodes of a tree is a branch of its own.
    pub fn push_tree_order(&mut self, function: &Function, told: &Told) -> Check {
        // The kernel looks for the root again, by the fixed part of the offset alone.
        let pointer = self.pointer(Register::R1)?;
        let at_fixed = self
            .fields_of(&pointer)
            .and_then(|fields| fields.of_kind_at(FieldKind::RbRoot, pointer.offset as u32))
            .and_then(|field| field.root);
        let Some(root) = at_fixed else { return reject(function.callback_not_verified(Errno::Fault)) };
        let call = Call { callback: told.callback, ..Call::default() };
        self.push_kfunc_callback(function, &call, Callback::TreeOrder(root))
    }

    /// The object behind the second argument is given to the graph: its aliases stay usable, without owning it.
    pub fn link_node(&mut self, function: &Function) -> Check {
        let reference = self.value(Register::R2).reference();
        let (name, id) = (function.name.clone(), function.id.0);
        if self.state.obligations.entry(reference).is_none() {
            return reject(Rule::ConversionFailed { name, id });
        }
        self.note_move(reference);
        let structs = self.local_fields;
        self.state.for_each_value(false, |value| {
            if let Value::Pointer(pointer) = value
                && pointer.reference == reference
            {
                pointer.reference = 0;
                disown(pointer, structs);
            }
        });
        if self.release_reference(reference) {
            return Ok(());
        }
        reject(Rule::KfuncReferenceNotAcquired { name, id })
    }

    /// The node that the kfunc returns; `None` if it returns none.
    pub fn returned_node(&self, function: &Function, told: &Told) -> Check<Option<Pointer>> {
        if !function.special.is_some_and(Special::returns_node) {
            return Ok(None);
        }
        match told.root {
            Some(Field { root: Some(root), .. }) => Ok(Some(node_of(&root))),
            _ => unsupported("a node of no list or tree"),
        }
    }

    /// A node that still belongs to its tree.
    pub fn without_owning(&self, mut pointer: Pointer) -> Pointer {
        disown(&mut pointer, self.local_fields);
        pointer
    }

    /// Once the lock is gone, what a list or tree owns may be freed by others (`invalidate_non_owning_refs`).
    pub fn invalidate_non_owning(&mut self) {
        let stale = self.stale();
        self.state.for_each_value(false, |value| {
            if value.as_pointer().is_some_and(Pointer::is_non_owning) {
                *value = stale;
            }
        });
    }

    /// Does a callback run that keeps a tree in order, so that the tree's lock is held
    /// (`in_rbtree_lock_required_cb`)?
    #[must_use]
    pub fn in_tree_callback(&self) -> bool {
        self.state.frames.iter().filter(|frame| frame.in_callback()).any(|frame| {
            let called_by = frame.callsite.and_then(|callsite| self.insns.get(callsite as usize));
            match called_by {
                Some(Ok(Insn::Call(CallTarget::Kfunc(index)))) => {
                    self.special_kfunc(*index).and_then(Special::graph) == Some(Graph::Tree)
                }
                _ => false,
            }
        })
    }
}

fn is_map_value(pointer: &Pointer) -> bool {
    matches!(pointer.target, Target::MapValue(_)) && pointer.attributes == Attributes::default()
}

/// A plain pointer to an object that the program allocated; whether it carries a reference is another question.
fn is_owned_object(pointer: &Pointer) -> bool {
    pointer.object().is_some() && pointer.attributes == ALLOCATED
}
