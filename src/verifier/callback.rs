//! Callbacks: the function that a helper or kfunc calls, simulated as often as it takes to converge
//! (`push_callback_call`, `set_*_callback_state`, `kernel/bpf/verifier.c`, Linux 6.12).

use super::arguments::Call;
use super::env::{Check, Verifier, reject, unsupported};
use super::graph::node_of;
use super::rule::Rule;
use super::state::{Frame, FrameKind, Place, ReturnRange};
use super::value::{DynptrKind, MapRef, Pointer, Target, TypeRef, TypeSpace, Value};
use crate::btf::fields::GraphRoot;
use crate::isa::Register;
use crate::kernel::MapType;
use crate::kernel::limits::CALL_FRAMES;

/// Who calls back, which decides the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    /// `bpf_for_each_map_elem`: map, key, value, context.
    MapElement,
    /// `bpf_loop`: round, context.
    Loop,
    /// `bpf_rbtree_add`: two nodes of the tree with that root.
    TreeOrder(GraphRoot),
    /// `bpf_user_ringbuf_drain`: a dynptr over the sample, context.
    UserRingbuf,
    /// `bpf_find_vma`: task, area, context.
    Area,
    /// A timer's or a work queue's, which runs later: map, key, value.
    Timer,
}

impl Verifier<'_> {
    /// Puts a call of the callback aside, as a branch of its own.
    pub fn push_callback(&mut self, call: &Call, kind: Callback) -> Check {
        let Some(subprogram) = call.callback else { return unsupported("a callback that is not known") };
        // The kernel compares the caller's registers with the callback's parameters; only the log tells.
        let _ = self.match_prototype(subprogram)?;
        self.subprograms[subprogram].is_callback = true;
        if kind == Callback::Timer {
            return self.push_later_callback(call, subprogram);
        }
        let start = self.subprograms[subprogram].start;
        let mut frame = Frame::new(self.state.frames.len() as u8, subprogram as u32, Some(self.insn as u32));
        self.set_arguments(&mut frame, kind, call)?;
        let pushed = self.push_branch(start)?;
        let frames = self.state.frames.len();
        if frames >= CALL_FRAMES {
            return reject(Rule::CallTooDeep { frames: frames + 1 });
        }
        let caller = self.state.current();
        let state = self.pushed(pushed);
        state.push_frame(frame);
        state.callback_unroll_depth += 1;
        state.frames[caller].callback_depth += 1;
        self.state.frame_mut().callback_depth = 0;
        self.log.touch_all();
        Ok(())
    }

    /// A callback that runs later, on a stack of its own. A work queue's may sleep.
    fn push_later_callback(&mut self, call: &Call, subprogram: usize) -> Check {
        self.subprograms[subprogram].is_async_callback = true;
        let Some(map_ref) = call.map else { return unsupported("a timer or work queue outside a map") };
        let mut frame = Frame::new(0, subprogram as u32, None);
        frame.kind = FrameKind::AsyncCallback(ReturnRange { min: 0, max: 1 });
        frame.async_entry = self.frame().async_entry + 1;
        let arguments = [Target::ConstMap(map_ref), Target::MapKey(map_ref), Target::MapValue(map_ref)];
        for (index, target) in arguments.into_iter().enumerate() {
            frame.registers[index + 1].value = Value::Pointer(Pointer::to(target));
        }
        let start = self.subprograms[subprogram].start;
        self.push_async_callback(frame, start, call.callback_may_sleep)
    }

    fn set_arguments(&mut self, frame: &mut Frame, kind: Callback, call: &Call) -> Check {
        frame.kind = FrameKind::Callback(ReturnRange { min: 0, max: 1 });
        let sample = (kind == Callback::UserRingbuf).then(|| self.new_id());
        let caller = self.frame();
        let mut give = |to: Register, value: Value| frame.registers[to.index()].value = value;
        match kind {
            Callback::Loop => {
                give(Register::R1, Value::unknown());
                give(Register::R2, self.value(Register::R3));
                frame.registers[2].parent = caller.registers[3].parent;
                frame.marks.set(Place::Register(2), caller.marks.of(Place::Register(3)));
            }
            Callback::TreeOrder(root) => {
                let node = Value::Pointer(self.without_owning(node_of(&root)));
                give(Register::R1, node);
                give(Register::R2, node);
            }
            Callback::UserRingbuf => {
                let sample = Pointer { id: sample.unwrap_or(0), ..Pointer::to(Target::ConstDynptr(DynptrKind::Local)) };
                give(Register::R1, Value::Pointer(sample));
                give(Register::R2, self.value(Register::R3));
                frame.registers[2].parent = caller.registers[3].parent;
                frame.marks.set(Place::Register(2), caller.marks.of(Place::Register(3)));
            }
            Callback::Area => {
                let Some(id) = self.profile.btf.find_struct("vm_area_struct") else {
                    return unsupported("struct vm_area_struct, which is not known without the kernel's BTF");
                };
                give(Register::R1, self.value(Register::R1));
                let area = Target::Object(TypeRef { space: TypeSpace::Kernel, id });
                give(Register::R2, Value::Pointer(Pointer::to(area)));
                give(Register::R3, self.value(Register::R4));
                frame.registers[1].parent = caller.registers[1].parent;
                frame.marks.set(Place::Register(1), caller.marks.of(Place::Register(1)));
                frame.registers[3].parent = caller.registers[4].parent;
                frame.marks.set(Place::Register(3), caller.marks.of(Place::Register(4)));
            }
            Callback::Timer => return unsupported("a callback that runs later, called at once"),
            Callback::MapElement => {
                let map_ref = self.element_map(call)?;
                give(Register::R1, self.value(Register::R1));
                give(Register::R2, Value::Pointer(Pointer::to(Target::MapKey(map_ref))));
                give(Register::R3, Value::Pointer(Pointer::to(Target::MapValue(map_ref))));
                give(Register::R4, self.value(Register::R3));
                frame.registers[1].parent = caller.registers[1].parent;
                frame.marks.set(Place::Register(1), caller.marks.of(Place::Register(1)));
                frame.registers[4].parent = caller.registers[3].parent;
                frame.marks.set(Place::Register(4), caller.marks.of(Place::Register(3)));
            }
        }
        Ok(())
    }

    fn element_map(&self, call: &Call) -> Check<MapRef> {
        let Some(map_ref) = call.map else { return unsupported("a loop over no map") };
        let map = self.map(map_ref)?;
        match map.map_type {
            MapType::Hash
            | MapType::Array
            | MapType::PercpuHash
            | MapType::PercpuArray
            | MapType::LruHash
            | MapType::LruPercpuHash => Ok(map_ref),
            _ => reject(Rule::CallbackNotForMap),
        }
    }
}
