//! A call of a helper: may it be called here, do the arguments fit, what does it give and change
//! (`check_helper_call`, `kernel/bpf/verifier.c`, Linux 6.12). The arguments are checked in [`super::arguments`]; what a
//! helper gives is defined in `result`.

mod result;

use super::arguments::{Call, Released, helper_id as id};
use super::callback::Callback;
use super::env::{Check, Verifier, reject, unsupported};
use super::maps::MapInfo;
use super::rule::{Errno, Rule};
use super::value::{DynptrKind, Number, Target, Value};
use crate::btf::fields::FieldKind;
use crate::isa::{CallTarget, Register};
use crate::kernel::limits::REGISTER_ARGUMENTS;
use crate::kernel::{AllowedCheck, AttachType, HelperProto, MapType, ProgramType};
use crate::seeded::{self, Fault};

/// Largest error number that a helper gives back, negative (`MAX_ERRNO`).
const MAX_ERRNO: i64 = 4095;

/// Helpers that give back a socket with a reference.
const ACQUIRING: [u32; 5] = [84, 85, 99, 131, id::KPTR_XCHG];
/// Helpers that turn one kind of socket pointer into another.
const POINTER_CASTS: [u32; 8] = [95, 96, 136, 137, 138, 139, 140, 196];

/// What a call does that the control-flow check must know.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallEffects {
    /// Calls a callback before it returns.
    pub sync_callback: bool,
    /// Registers a callback that runs later.
    pub async_callback: bool,
    /// Gives an iterator's next element.
    pub iterator_next: bool,
    /// May change the packet.
    pub changes_packet: bool,
}

impl Verifier<'_> {
    /// The effects of a call on the control flow.
    #[must_use]
    pub fn call_effects(&self, target: CallTarget) -> CallEffects {
        match target {
            CallTarget::Helper(helper) => {
                let helper = helper as u32;
                CallEffects {
                    sync_callback: matches!(
                        helper,
                        id::FOR_EACH_MAP_ELEM | id::FIND_VMA | id::LOOP | id::USER_RINGBUF_DRAIN
                    ),
                    async_callback: helper == id::TIMER_SET_CALLBACK,
                    iterator_next: false,
                    changes_packet: self.profile.helper_changes_packet(helper),
                }
            }
            CallTarget::Kfunc(index) => self.kfunc_effects(index),
            CallTarget::Subprogram(_) => CallEffects::default(),
        }
    }

    /// A helper's name, `unknown` for a number without one (`func_id_name`).
    #[must_use]
    pub fn helper_name(&self, helper: u32) -> String {
        if helper == 0 {
            return "bpf_unspec".to_owned();
        }
        self.profile.helper_name(helper).unwrap_or("unknown").to_owned()
    }

    /// A call while a lock is held: only what belongs to the lock.
    pub fn check_call_under_lock(&self, target: CallTarget) -> Check {
        if self.state.obligations.lock.is_none() {
            return Ok(());
        }
        let allowed = match target {
            CallTarget::Helper(helper) => helper as u32 == id::SPIN_UNLOCK,
            CallTarget::Kfunc(index) => self.is_graph_kfunc(index),
            CallTarget::Subprogram(_) => true,
        };
        if allowed { Ok(()) } else { reject(Rule::CallUnderLock) }
    }

    /// A call of a helper.
    pub fn check_helper_call(&mut self, number: i32) -> Check {
        let helper = number as u32;
        let proto = self.helper_proto(number)?;
        self.check_may_call(helper, proto)?;
        let mut call = Call { id: helper, packet_allowed: proto.pkt_access, ..Call::default() };
        for index in 0..REGISTER_ARGUMENTS {
            self.check_argument(index, &mut call, proto)?;
        }
        self.note_helper_map(&call)?;
        self.write_helper_memory(&call)?;
        self.release_argument(&call)?;
        self.check_special(&call)?;
        let percpu = self.percpu_result(&call)?;
        self.forget_caller_saved();
        self.define_result(&call, proto, percpu)?;
        self.refine_result(&call, proto);
        self.check_map_allows(&call)?;
        self.check_function_address(&call)?;
        if self.profile.helper_changes_packet(helper) || writes_skb(&call) {
            self.forget_packet_pointers();
        }
        Ok(())
    }

    fn helper_proto(&self, number: i32) -> Check<&'static HelperProto> {
        let helper = number as u32;
        if number < 0 || helper > self.profile.last_helper() {
            return reject(Rule::InvalidHelper { name: self.helper_name(helper), id: number });
        }
        let Some(program) = self.program_type() else {
            return unsupported(format!(
                "a call of {} in a program whose section name says no type",
                self.helper_name(helper)
            ));
        };
        match self.profile.helper_for(
            program,
            self.attach_type(),
            &self.program.section,
            self.options.capabilities,
            helper,
        ) {
            Some(proto) => Ok(proto),
            None => reject(Rule::HelperNotAvailable { name: self.helper_name(helper), id: number }),
        }
    }

    fn check_may_call(&self, helper: u32, proto: &HelperProto) -> Check {
        if proto.gpl_only && !self.is_gpl() {
            return reject(Rule::HelperNeedsGpl);
        }
        if proto.allowed.is_some_and(|check| !self.attach_point_allows(check)) {
            return reject(Rule::HelperNotAllowedInProbe);
        }
        if !proto.might_sleep {
            return Ok(());
        }
        let (name, id) = (self.helper_name(helper), helper as i32);
        if !self.in_sleepable() {
            return reject(Rule::HelperMightSleep);
        }
        if self.state.obligations.rcu {
            return reject(Rule::SleepableHelperInRcu { name, id });
        }
        if self.state.obligations.preempt > 0 {
            return reject(Rule::SleepableHelperWithoutPreemption { name, id });
        }
        Ok(())
    }

    /// Does the place that the program is attached to allow the helper (`bpf_d_path_allowed`,
    /// `bpf_ima_inode_hash_allowed`, `bpf_sk_storage_tracing_allowed`)?
    fn attach_point_allows(&self, check: AllowedCheck) -> bool {
        let target = &self.program.section.target;
        let is_lsm = self.program_type() == Some(ProgramType::Lsm);
        let attach = self.attach_type();
        match check {
            AllowedCheck::SleepableLsmHook => self.hook_is_in("sleepable_lsm_hooks"),
            AllowedCheck::DPath if attach == Some(AttachType::TraceIter) => true,
            AllowedCheck::DPath if is_lsm => self.hook_is_in("sleepable_lsm_hooks"),
            AllowedCheck::DPath => {
                let special = self.profile.tables().special();
                let by_function =
                    matches!(attach, Some(AttachType::TraceFentry | AttachType::TraceFexit | AttachType::ModifyReturn));
                by_function && special.in_set("btf_allowlist_d_path", target)
            }
            AllowedCheck::SkStorageTracing => match attach {
                Some(AttachType::TraceIter | AttachType::TraceRawTp) => true,
                Some(AttachType::TraceFentry | AttachType::TraceFexit) => !target.starts_with("bpf_sk_storage"),
                _ => false,
            },
        }
    }

    /// `record_func_map`.
    fn note_helper_map(&mut self, call: &Call) -> Check {
        let uses_map = matches!(
            call.id,
            id::TAIL_CALL
                | id::MAP_LOOKUP_ELEM
                | id::MAP_UPDATE_ELEM
                | id::MAP_DELETE_ELEM
                | id::MAP_PUSH_ELEM
                | id::MAP_POP_ELEM
                | id::MAP_PEEK_ELEM
                | id::FOR_EACH_MAP_ELEM
        );
        if !uses_map {
            return Ok(());
        }
        let Some(map_ref) = call.map else { return unsupported("a map helper without a map") };
        let map = self.map(map_ref)?;
        let writes =
            matches!(call.id, id::MAP_DELETE_ELEM | id::MAP_UPDATE_ELEM | id::MAP_PUSH_ELEM | id::MAP_POP_ELEM);
        if writes && !map.programs_may_write() {
            return reject(Rule::WriteIntoMapForbidden);
        }
        let facts = &mut self.facts[self.insn].helper_map;
        *facts = match *facts {
            None => Some(Some(map.index)),
            Some(Some(index)) if index == map.index => Some(Some(index)),
            Some(_) => Some(None),
        };
        self.note_tail_call_index(call, map)
    }

    /// A tail call's index that is known is compiled into the call, so it must be exact (`record_func_key`).
    fn note_tail_call_index(&mut self, call: &Call, map: &MapInfo) -> Check {
        if call.id != id::TAIL_CALL {
            return Ok(());
        }
        if map.map_type != MapType::ProgArray {
            return reject(Rule::TailCallThroughOtherMap);
        }
        match self.value(Register::R3) {
            Value::Scalar(Number { bounds, .. })
                if bounds.is_const() && bounds.var_off.value < u64::from(map.max_entries) =>
            {
                self.mark_precise(Register::R3)
            }
            _ => Ok(()),
        }
    }

    /// What a helper fills on the stack is written, byte for byte.
    fn write_helper_memory(&mut self, call: &Call) -> Check {
        let Some((register, size)) = call.written else { return Ok(()) };
        self.check_stores(register, 1, size)
    }

    fn release_argument(&mut self, call: &Call) -> Check {
        let register = match call.released {
            None => return Ok(()),
            Some(Released::Dynptr(register)) => return self.release_dynptr(register, call.id),
            Some(Released::Object(register)) => register,
        };
        let released = if call.id == id::KPTR_XCHG && call.reference != 0 {
            self.note_move(call.reference);
            self.publish(call.reference)
        } else if call.reference != 0 {
            self.release_reference(call.reference)
        } else {
            self.value(register).is_null()
        };
        if released {
            return Ok(());
        }
        reject(Rule::HelperReferenceNotAcquired {
            name: self.helper_name(call.id),
            id: call.id as i32,
            errno: Errno::Invalid,
        })
    }

    /// Releases a reference: all registers that carry it hold stale addresses (`release_reference`).
    pub fn release_reference(&mut self, reference: u32) -> bool {
        let callback = self.callback_frame();
        if !self.state.obligations.release(reference, callback) {
            return seeded::active(Fault::ReleaseTwice);
        }
        if seeded::active(Fault::KeepAliasAfterRelease) || seeded::active(Fault::ReleaseTwice) {
            return true;
        }
        let stale = self.stale();
        self.state.for_each_value(false, |value| {
            if value.reference() == reference {
                *value = stale;
            }
        });
        true
    }

    fn check_special(&mut self, call: &Call) -> Check {
        match call.id {
            id::TAIL_CALL => self.check_tail_call(),
            id::GET_LOCAL_STORAGE => {
                if !self.value(Register::R2).is_null() {
                    return reject(Rule::LocalStorageFlags);
                }
                self.mark_precise(Register::R2)
            }
            id::FOR_EACH_MAP_ELEM => self.push_callback(call, Callback::MapElement),
            id::LOOP => self.check_loop(call),
            id::SNPRINTF => self.check_snprintf(),
            id::USER_RINGBUF_DRAIN => self.push_callback(call, Callback::UserRingbuf),
            id::SET_RETVAL if self.attach_type() == Some(AttachType::LsmCgroup) && self.hook_is_void()? => {
                reject(Rule::SetVoidHookResult)
            }
            id::DYNPTR_FROM_MEM => self.check_dynptr_memory(),
            id::TIMER_SET_CALLBACK => self.push_callback(call, Callback::Timer),
            id::FIND_VMA => self.push_callback(call, Callback::Area),
            _ => Ok(()),
        }
    }

    /// `bpf_dynptr_from_mem` takes the value of a map only.
    fn check_dynptr_memory(&self) -> Check {
        let value = self.value(Register::R1);
        match value.as_pointer() {
            Some(pointer) if matches!(pointer.target, Target::MapValue(_)) && !pointer.attributes.nullable => Ok(()),
            _ => reject(Rule::DynptrOverUnsupported { pointer: value.kernel_name() }),
        }
    }

    fn check_tail_call(&mut self) -> Check {
        if self.state.obligations.lock.is_some() {
            return reject(Rule::TailCallUnderLock);
        }
        if self.say_leaks(false) {
            return reject(Rule::TailCallLeaks);
        }
        if self.state.obligations.rcu {
            return reject(Rule::TailCallInRcu);
        }
        if self.state.obligations.preempt > 0 {
            return reject(Rule::TailCallWithoutPreemption);
        }
        Ok(())
    }

    fn check_loop(&mut self, call: &Call) -> Check {
        self.note_loop(call)?;
        if self.value(Register::R1).is_scalar() {
            self.mark_precise(Register::R1)?;
        }
        let rounds = self.number(Register::R1)?.bounds.umax;
        if u64::from(self.frame().callback_depth) < rounds && !seeded::active(Fault::SkipCallback) {
            return self.push_callback(call, Callback::Loop);
        }
        self.state.frame_mut().callback_depth = 0;
        if self.log.detailed() {
            let frame = self.state.current();
            self.log.line(&format!("frame{frame} bpf_loop iteration limit reached"));
        }
        Ok(())
    }

    /// The kernel may put a `bpf_loop` in line if its flags are always zero and its callback is always the same. While it
    /// may, a zero in the flags must be exact (`update_loop_inline_state`).
    fn note_loop(&mut self, call: &Call) -> Check {
        let callback = call.callback.map(|callback| callback as u32);
        let before = self.facts[self.insn].inlined_loop;
        if before == Some(None) {
            return Ok(());
        }
        let zero = self.value(Register::R4).is_null();
        if zero {
            self.mark_precise(Register::R4)?;
        }
        let same = before.is_none_or(|before| before == callback);
        self.facts[self.insn].inlined_loop = Some(callback.filter(|_| zero && same));
        Ok(())
    }

    /// A lock is taken or given back (`process_spin_lock`).
    pub fn check_lock_argument(&mut self, register: Register, call: &Call) -> Check {
        if self.in_tree_callback() {
            return reject(Rule::LockInTreeCallback);
        }
        let pointer = self.pointer(register)?;
        let Some(offset) = pointer.known_offset() else { return reject(Rule::LockAtVariableOffset { register }) };
        let (place, name) = match pointer.map() {
            Some(map_ref) => {
                let map = self.map(map_ref)?;
                if !map.has_btf {
                    return reject(Rule::LockWithoutBtf { map: map.name.clone() });
                }
                ("map", map.name.clone())
            }
            None => ("local", "kptr".to_owned()),
        };
        let lock = self.fields_of(&pointer).and_then(|fields| fields.find(FieldKind::SpinLock)).copied();
        let Some(lock) = lock else { return reject(Rule::NoLock { place, name }) };
        if i64::from(lock.offset) != offset {
            return reject(Rule::NotAtLock { offset, lock: lock.offset });
        }
        let this = self.lock_beside(&pointer);
        let held = &mut self.state.obligations.lock;
        if call.id == id::SPIN_LOCK {
            if held.is_some() {
                return reject(Rule::TwoLocks);
            }
            *held = Some(this);
            return Ok(());
        }
        match *held {
            None => reject(Rule::UnlockWithoutLock),
            Some(other) if other != this && !seeded::active(Fault::UnlockAnother) => reject(Rule::UnlockOfAnother),
            Some(_) => {
                *held = None;
                if !seeded::active(Fault::KeepNodeAfterUnlock) {
                    self.invalidate_non_owning();
                }
                Ok(())
            }
        }
    }

    /// Only programs that are attached to a function can ask for its address (`check_get_func_ip`).
    fn check_function_address(&self, call: &Call) -> Check {
        if call.id != id::GET_FUNC_IP {
            return Ok(());
        }
        let id = call.id as i32;
        match (self.program_type(), self.attach_type()) {
            (Some(ProgramType::Kprobe), _)
            | (
                Some(ProgramType::Tracing),
                Some(AttachType::TraceFentry | AttachType::TraceFexit | AttachType::ModifyReturn),
            ) => Ok(()),
            (Some(ProgramType::Tracing), _) => reject(Rule::FunctionAddressNotTraced { id }),
            (program, _) => {
                let program = program.map_or(0, ProgramType::number);
                reject(Rule::FunctionAddressNotForType { id, program })
            }
        }
    }

    /// The map's type and the helper go together (`check_map_func_compatibility`).
    fn check_map_allows(&mut self, call: &Call) -> Check {
        let Some(map_ref) = call.map else { return Ok(()) };
        let map = self.map(map_ref)?;
        if self.profile.map_allows_helper(map.map_type, call.id) {
            return Ok(());
        }
        let program = self.program_type().unwrap_or(ProgramType::Unspec);
        match self.profile.may_update_sockmap(map.map_type, call.id, program, self.attach_type()) {
            Some(true) => return Ok(()),
            Some(false) => self.say_text("cannot update sockmap in this context"),
            None => {}
        }
        reject(Rule::MapTypeNotForHelper {
            map_type: map.map_type.number(),
            name: self.helper_name(call.id),
            id: call.id as i32,
        })
    }
}

/// A write through a dynptr may move the socket buffer that it is over.
fn writes_skb(call: &Call) -> bool {
    call.id == id::DYNPTR_WRITE && call.dynptr.is_some_and(|dynptr| dynptr.kind == DynptrKind::Skb)
}
