//! A call of a kernel function: what its prototype and flags say, the arguments, what it gives and changes
//! (`check_kfunc_call`, `kernel/bpf/verifier.c`, Linux 6.12). The arguments are checked in
//! [`super::kfunc_arguments`]; kfuncs with rules of their own are named in [`Special`].

use super::arguments::Call;
use super::callback::Callback;
use super::env::{Check, Stop, Verifier, reject, unsupported};
use super::helper::CallEffects;
use super::kfunc_arguments::Told;
use super::memory::Mode;
use super::obligations::Held;
use super::rule::{Errno, Rule};
use super::state::{Live, Place};
use super::value::{Attributes, Pointer, Target, Trust, TypeRef, TypeSpace, Value};
use crate::btf::{Parameter, Type, TypeId, essential_name};
use crate::isa::Register;
use crate::kernel::KfuncFlags;
use crate::kernel::limits::{PERCPU_OBJECT_BYTES, REGISTER_ARGUMENTS};
use crate::seeded::{self, Fault};

/// Kfuncs that the verifier knows by name (`special_kfunc_list`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Special {
    ObjNew,
    ObjDrop,
    RefcountAcquire,
    ListPushFront,
    ListPushBack,
    ListPopFront,
    ListPopBack,
    CastToKernelContext,
    ReadOnlyCast,
    RcuReadLock,
    RcuReadUnlock,
    RbtreeRemove,
    RbtreeAdd,
    RbtreeFirst,
    DynptrFromSkb,
    DynptrFromXdp,
    DynptrSlice,
    DynptrSliceReadWrite,
    DynptrClone,
    PercpuObjNew,
    PercpuObjDrop,
    Throw,
    WorkQueueSetCallback,
    PreemptDisable,
    PreemptEnable,
    CssTaskIterNew,
    SessionCookie,
}

const SPECIAL: [(&str, Special); 27] = [
    ("bpf_obj_new_impl", Special::ObjNew),
    ("bpf_obj_drop_impl", Special::ObjDrop),
    ("bpf_refcount_acquire_impl", Special::RefcountAcquire),
    ("bpf_list_push_front_impl", Special::ListPushFront),
    ("bpf_list_push_back_impl", Special::ListPushBack),
    ("bpf_list_pop_front", Special::ListPopFront),
    ("bpf_list_pop_back", Special::ListPopBack),
    ("bpf_cast_to_kern_ctx", Special::CastToKernelContext),
    ("bpf_rdonly_cast", Special::ReadOnlyCast),
    ("bpf_rcu_read_lock", Special::RcuReadLock),
    ("bpf_rcu_read_unlock", Special::RcuReadUnlock),
    ("bpf_rbtree_remove", Special::RbtreeRemove),
    ("bpf_rbtree_add_impl", Special::RbtreeAdd),
    ("bpf_rbtree_first", Special::RbtreeFirst),
    ("bpf_dynptr_from_skb", Special::DynptrFromSkb),
    ("bpf_dynptr_from_xdp", Special::DynptrFromXdp),
    ("bpf_dynptr_slice", Special::DynptrSlice),
    ("bpf_dynptr_slice_rdwr", Special::DynptrSliceReadWrite),
    ("bpf_dynptr_clone", Special::DynptrClone),
    ("bpf_percpu_obj_new_impl", Special::PercpuObjNew),
    ("bpf_percpu_obj_drop_impl", Special::PercpuObjDrop),
    ("bpf_throw", Special::Throw),
    ("bpf_wq_set_callback_impl", Special::WorkQueueSetCallback),
    ("bpf_preempt_disable", Special::PreemptDisable),
    ("bpf_preempt_enable", Special::PreemptEnable),
    ("bpf_iter_css_task_new", Special::CssTaskIterNew),
    ("bpf_session_cookie", Special::SessionCookie),
];

/// Helper number that libbpf calls in place of a weak kfunc that the kernel lacks, plus the extern's number.
const MISSING_KFUNC: i32 = 2_002_000_000;

/// A kernel function, as a call of it is checked.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name, flavour suffix removed.
    pub name: String,
    /// Its BTF id.
    pub id: TypeId,
    /// Its flags.
    pub flags: KfuncFlags,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// What it returns.
    pub returns: TypeId,
    /// If the verifier knows it by name.
    pub special: Option<Special>,
}

impl Function {
    /// What the kernel says when its callback cannot be verified.
    #[must_use]
    pub fn callback_not_verified(&self, errno: Errno) -> Rule {
        Rule::CallbackNotVerified { name: self.name.clone(), id: self.id.0, errno }
    }

    /// Has it that flag?
    #[must_use]
    pub fn is(&self, flag: KfuncFlags) -> bool {
        self.flags.contains(flag)
    }

    fn is_graph(&self) -> bool {
        self.special.is_some_and(|special| special.graph().is_some() || special == Special::RefcountAcquire)
    }
}

impl Verifier<'_> {
    /// A kfunc's effects on the control flow.
    #[must_use]
    pub fn kfunc_effects(&self, index: u32) -> CallEffects {
        let Ok(Ok(function)) = self.kfunc(index) else { return CallEffects::default() };
        CallEffects {
            sync_callback: function.special == Some(Special::RbtreeAdd),
            async_callback: function.special == Some(Special::WorkQueueSetCallback),
            iterator_next: function.is(KfuncFlags::ITER_NEXT),
            changes_packet: false,
        }
    }

    /// The registers that a call overwrites, as a mask, and whether the kernel inlines the call.
    #[must_use]
    pub fn kfunc_clobbers(&self, index: u32) -> Option<(u32, bool)> {
        let function = self.kfunc(index).ok()?.ok()?;
        let result = u32::from(function.returns != TypeId::VOID);
        let arguments = ((1u32 << function.parameters.len().min(REGISTER_ARGUMENTS)) - 1) << 1;
        let inlined = matches!(function.special, Some(Special::CastToKernelContext | Special::ReadOnlyCast));
        Some((result | arguments, inlined))
    }

    /// Does the kfunc throw an exception?
    #[must_use]
    pub fn throws(&self, index: u32) -> bool {
        self.object.externs.get(index as usize).is_some_and(|external| external.name == "bpf_throw")
    }

    /// Does the kfunc belong to lists and trees, so that it may be called under their lock?
    #[must_use]
    pub fn is_graph_kfunc(&self, index: u32) -> bool {
        matches!(self.kfunc(index), Ok(Ok(function)) if function.is_graph())
    }

    /// If the verifier knows the kfunc by name, which it is.
    #[must_use]
    pub fn special_kfunc(&self, index: u32) -> Option<Special> {
        self.kfunc(index).ok()?.ok()?.special
    }

    /// The kfunc behind an extern. The inner error is that programs of this type may not call it.
    fn kfunc(&self, index: u32) -> Check<Result<Function, String>> {
        let Some(external) = self.object.externs.get(index as usize) else {
            return unsupported(format!("a call of extern number {index}, which does not exist"));
        };
        let name = essential_name(&external.name);
        let btf = &self.profile.btf;
        let Some(id) = self.kernel_function(external)? else {
            // libbpf puts a call of a helper that does not exist in its place.
            let id = MISSING_KFUNC + external.number as i32;
            return reject(Rule::InvalidHelper { name: "unknown".to_owned(), id });
        };
        let Type::Function { prototype, .. } = btf.ty(id) else { return unsupported("a kfunc that is no function") };
        let Type::FunctionPrototype { returns, parameters } = btf.ty(*prototype) else {
            return unsupported(format!("kfunc {name} without a prototype"));
        };
        let Some(program) = self.program_type() else {
            return unsupported(format!("a call of {name} in a program whose section name says no type"));
        };
        let Some(entry) = self.profile.kfunc_for(name, program, self.attach_type(), &self.program.section) else {
            return Ok(Err(name.to_owned()));
        };
        Ok(Ok(Function {
            name: name.to_owned(),
            id,
            flags: entry.flags,
            parameters: parameters.clone(),
            returns: *returns,
            special: SPECIAL.iter().find(|(known, _)| *known == name).map(|&(_, special)| special),
        }))
    }

    /// The name and id that the log prints for a kfunc call.
    #[must_use]
    pub fn kfunc_label(&self, index: u32) -> Option<(String, u32)> {
        let external = self.object.externs.get(index as usize)?;
        let name = essential_name(&external.name);
        let id = self.profile.btf.find_function(name)?;
        Some((name.to_owned(), id.0))
    }

    /// A call of a kfunc. `true`: it throws, and the path ends.
    pub fn check_kfunc_call(&mut self, index: u32) -> Check<bool> {
        let function = match self.kfunc(index)? {
            Ok(function) => function,
            Err(name) => return reject(Rule::KfuncNotAllowed { name }),
        };
        self.facts[self.insn].iterator_next = function.is(KfuncFlags::ITER_NEXT);
        let sleepable = function.is(KfuncFlags::SLEEPABLE);
        if sleepable && !self.in_sleepable() {
            return reject(Rule::KfuncMightSleep { name: function.name });
        }
        let told = self.check_kfunc_arguments(&function)?;
        if function.special == Some(Special::RbtreeAdd) {
            self.push_tree_order(&function, &told)?;
        }
        if function.special == Some(Special::WorkQueueSetCallback) {
            self.push_work_queue_callback(&function, &told)?;
        }
        self.change_sections(&function, sleepable)?;
        if let Some(register) = told.released {
            let reference = self.value(register).reference();
            if !self.release_reference(reference) {
                return reject(Rule::KfuncReferenceNotAcquired { name: function.name, id: function.id.0 });
            }
        }
        if function.special.is_some_and(Special::links_node) {
            self.link_node(&function)?;
        }
        if function.special == Some(Special::Throw) {
            // The program's own callback decides on the result; without one the exception's number is it.
            if self.exception_callback.is_none() {
                self.check_result(Register::R1, "R1")?;
            }
            return Ok(true);
        }
        self.forget_after_kfunc();
        self.define_kfunc_result(&function, &told)?;
        if function.is(KfuncFlags::ITER_NEXT) {
            self.next_element(&told)?;
        }
        Ok(false)
    }

    fn push_work_queue_callback(&mut self, function: &Function, told: &Told) -> Check {
        let call = Call { map: told.map, callback: told.callback, callback_may_sleep: true, ..Call::default() };
        self.push_kfunc_callback(function, &call, Callback::Timer)
    }

    /// Puts a kfunc's call of its callback aside; what is wrong with that comes before the kfunc's own complaint.
    pub fn push_kfunc_callback(&mut self, function: &Function, call: &Call, kind: Callback) -> Check {
        match self.push_callback(call, kind) {
            Err(Stop::Reject(rule)) => {
                self.say(&rule);
                reject(function.callback_not_verified(rule.errno()))
            }
            other => other,
        }
    }

    /// RCU and preemption sections that the call enters, leaves, or may not be in.
    fn change_sections(&mut self, function: &Function, sleepable: bool) -> Check {
        let name = || function.name.clone();
        let special = function.special;
        let obligations = &mut self.state.obligations;
        match (special, obligations.rcu) {
            (Some(Special::RcuReadLock), true) => return reject(Rule::NestedRcuLock { name: name() }),
            (Some(Special::RcuReadLock), false) => obligations.rcu = true,
            (Some(Special::RcuReadUnlock), true) => self.end_rcu_section(),
            (Some(Special::RcuReadUnlock), false) => return reject(Rule::UnmatchedRcuUnlock { name: name() }),
            (_, true) if sleepable => return reject(Rule::SleepableKfuncInRcu { name: name() }),
            _ => {}
        }
        let preempt = &mut self.state.obligations.preempt;
        match special {
            Some(Special::PreemptDisable) => *preempt += 1,
            Some(Special::PreemptEnable) if *preempt > 0 => *preempt -= 1,
            Some(Special::PreemptEnable) => return reject(Rule::UnmatchedPreemptEnable { name: name() }),
            _ if *preempt > 0 && sleepable => {
                return reject(Rule::SleepableKfuncWithoutPreemption { name: name() });
            }
            _ => {}
        }
        Ok(())
    }

    /// The kernel forgets `r0` to `r5` but marks only the result and the arguments as written or read.
    fn forget_after_kfunc(&mut self) {
        self.state.set(Register::R0, Value::Uninitialised);
        if seeded::active(Fault::KfuncKeepsArguments) {
            return;
        }
        for register in Register::caller_saved() {
            self.state.set(register, Value::Uninitialised);
        }
    }

    /// Marks the parameters' registers as read, whole or half (`mark_btf_func_reg_size`).
    pub fn read_kfunc_registers(&mut self, function: &Function) {
        for (index, parameter) in function.parameters.iter().enumerate() {
            let Some(register) = Register::argument(index) else { return };
            let size = self.profile.btf.size_of(parameter.type_id).unwrap_or(8);
            let flag = if size == 8 { Live::READ64 } else { Live::READ32 };
            let frame = self.state.frame();
            let (live, parent) = (frame.marks.of(Place::of(register)), frame.registers[register.index()].parent);
            self.explored.mark_read(live, parent, flag);
            self.log.touch_register(register);
        }
    }

    fn define_kfunc_result(&mut self, function: &Function, told: &Told) -> Check {
        let btf = self.profile.btf.clone();
        let returns = btf.resolve(function.returns);
        match btf.ty(returns) {
            Type::Void => {}
            Type::Int { .. } | Type::Enum { .. } => self.define(Register::R0, Value::unknown()),
            Type::Pointer { target } => self.define_kfunc_pointer(function, told, *target)?,
            other => {
                return unsupported(format!(
                    "kfunc {} that returns {}",
                    function.name,
                    super::subprogram::kind_name(other)
                ));
            }
        }
        self.read_kfunc_registers(function);
        Ok(())
    }

    fn define_kfunc_pointer(&mut self, function: &Function, told: &Told, target: TypeId) -> Check {
        let may_be_null =
            function.is(KfuncFlags::RET_NULL) && !(function.special == Some(Special::RefcountAcquire) && told.owning);
        let allocates = matches!(function.special, Some(Special::ObjNew | Special::PercpuObjNew));
        let may_be_null = may_be_null && !(allocates && seeded::active(Fault::ForgetNullOfNew));
        let Some(mut pointer) = self.kfunc_pointer(function, told, target)? else {
            self.define(Register::R0, Value::unknown());
            return Ok(());
        };
        if may_be_null {
            pointer.attributes.nullable = true;
            pointer.id = self.new_id();
        }
        if function.is(KfuncFlags::ACQUIRE) {
            let held = match pointer.object() {
                Some(ty) if pointer.attributes.percpu => Held::PercpuObject(ty),
                Some(ty) => Held::Object(ty),
                None => Held::Other,
            };
            let id = self.acquire_reference(held);
            if may_be_null {
                pointer.id = id;
            }
            pointer.reference = id;
        } else if function.special == Some(Special::RbtreeFirst) {
            pointer = self.without_owning(pointer);
        }
        if pointer.id == 0 && self.may_point_to_lock(&pointer) {
            pointer.id = self.new_id();
        }
        self.define(Register::R0, Value::Pointer(pointer));
        Ok(())
    }

    /// The pointer that a kfunc returns; `None` for `void *`, which is a number to programs.
    fn kfunc_pointer(&mut self, function: &Function, told: &Told, target: TypeId) -> Check<Option<Pointer>> {
        let allocated = Attributes { allocated: true, ..Attributes::default() };
        if let Some(node) = self.returned_node(function, told)? {
            return Ok(Some(node));
        }
        match function.special {
            Some(Special::ObjNew | Special::PercpuObjNew) => {
                let percpu = function.special == Some(Special::PercpuObjNew);
                let ty = self.allocated_type(told, percpu)?;
                let attributes = Attributes { percpu, ..allocated };
                return Ok(Some(Pointer::to(Target::Object(ty)).with(attributes)));
            }
            Some(Special::RefcountAcquire) => {
                let Some(ty) = told.object else { return unsupported("bpf_refcount_acquire of no object") };
                return Ok(Some(Pointer::to(Target::Object(ty)).with(allocated)));
            }
            Some(Special::CastToKernelContext) => {
                let Some(ty) = told.object else { return unsupported("the kernel's context of no context") };
                let attributes = Attributes { trust: Trust::Trusted, ..Attributes::default() };
                return Ok(Some(Pointer::to(Target::Object(ty)).with(attributes)));
            }
            Some(Special::ReadOnlyCast) => return self.read_only_cast(told).map(Some),
            Some(Special::DynptrSlice | Special::DynptrSliceReadWrite) => {
                return self.dynptr_slice(told, function.special == Some(Special::DynptrSlice)).map(Some);
            }
            _ => {}
        }
        let btf = &self.profile.btf;
        let pointee = btf.resolve(target);
        if btf.ty(pointee) == &Type::Void {
            return Ok(None);
        }
        if btf.ty(pointee).composite().is_some() {
            let ty = TypeRef { space: TypeSpace::Kernel, id: pointee };
            let trust = match told.iterator {
                Some(iterator) if iterator.trust == Trust::Rcu => Trust::Rcu,
                Some(_) if function.is(KfuncFlags::ITER_NEXT) => Trust::Trusted,
                _ => Trust::Plain,
            };
            let attributes = Attributes { trust, ..Attributes::default() };
            return Ok(Some(Pointer::to(Target::Object(ty)).with(attributes)));
        }
        let (size, read_only) = match told.buffer_size {
            _ if function.special == Some(Special::SessionCookie) => (btf.size_of(pointee), false),
            Some((size, read_only)) => (Some(size), read_only),
            None => (btf.size_of(pointee), true),
        };
        let Some(size) = size.filter(|&size| size != 0) else {
            return reject(Rule::KfuncReturnUnsupported {
                name: function.name.clone(),
                kind: super::subprogram::kind_name(btf.ty(pointee)),
                target: btf.ty(pointee).name().to_owned(),
            });
        };
        let attributes = Attributes { read_only, ..Attributes::default() };
        let memory = Pointer::to(Target::Memory { size, dynptr: 0 }).with(attributes);
        // Memory of an iterator's element must not be used once the iterator is destroyed.
        let reference = told.iterator.map_or(told.reference, |iterator| iterator.reference);
        Ok(Some(Pointer { reference, ..memory }))
    }

    /// The struct of the program that `bpf_obj_new` or `bpf_percpu_obj_new` allocates.
    fn allocated_type(&mut self, told: &Told, percpu: bool) -> Check<TypeRef> {
        let Some(number) = told.constant else { return unsupported("an allocation without a type id") };
        let Ok(id) = u32::try_from(number) else { return reject(Rule::TypeIdOutOfRange) };
        let Some(btf) = self.program_types().cloned() else { return reject(Rule::AllocationNeedsBtf) };
        let id = TypeId(id);
        let Some(Type::Struct(composite)) = btf.get(id) else { return reject(Rule::AllocationOfNoStruct) };
        let ty = TypeRef { space: TypeSpace::Program, id };
        if percpu {
            if composite.size > PERCPU_OBJECT_BYTES {
                return reject(Rule::PercpuObjectTooLarge { size: composite.size, limit: PERCPU_OBJECT_BYTES });
            }
            if !btf.is_struct_of_scalars(id) {
                return reject(Rule::PercpuObjectNotScalars);
            }
            if self.local_fields(ty).is_some() {
                return reject(Rule::PercpuObjectSpecialFields);
            }
        }
        Ok(ty)
    }

    /// A slice of a dynptr, of the constant size that was passed.
    fn dynptr_slice(&self, told: &Told, read_only: bool) -> Check<Pointer> {
        let (Some(size), Some(dynptr)) = (told.constant, told.dynptr) else {
            return unsupported("a slice of no dynptr, or of no constant size");
        };
        if !read_only && !self.may_access_packet(Mode::Write, None) {
            return reject(Rule::PacketWriteNotAllowed);
        }
        let attributes = Attributes { read_only, slice: Some(dynptr.kind), ..Attributes::default() };
        Ok(Pointer::to(Target::Memory { size: size as u32, dynptr: dynptr.id }).with(attributes))
    }

    fn read_only_cast(&self, told: &Told) -> Check<Pointer> {
        let id = told.constant.and_then(|number| u32::try_from(number).ok()).map(TypeId);
        let found = id.filter(|&id| matches!(self.profile.btf.get(id), Some(Type::Struct(_) | Type::Union(_))));
        let Some(id) = found else {
            if !self.profile.has_kernel_btf() {
                return unsupported("bpf_rdonly_cast without the kernel's BTF");
            }
            return reject(Rule::ReadOnlyCastOfNoStruct);
        };
        let attributes = Attributes { trust: Trust::Untrusted, ..Attributes::default() };
        Ok(Pointer::to(Target::Object(TypeRef { space: TypeSpace::Kernel, id })).with(attributes))
    }
}
