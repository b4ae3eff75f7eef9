//! The arguments of a kfunc, each checked by its C type and the suffix of its name (`check_kfunc_args`,
//! `kernel/bpf/verifier.c`, Linux 6.12).

use super::arguments::Call;
use super::context_type::is_projection;
use super::dynptr::{DynptrUse, HeldDynptr};
use super::env::{Check, Stop, Verifier, reject, unsupported};
use super::graph::Graph;
use super::iterator::HeldIterator;
use super::kfunc::{Function, Special};
use super::maps::Field;
use super::memory::Mode;
use super::rule::Rule;
use super::stack::Fill;
use super::subprogram::kind_name;
use super::value::{Attributes, DynptrKind, MapRef, Number, Pointer, Target, Trust, TypeRef, TypeSpace, Value};
use crate::btf::fields::FieldKind;
use crate::btf::{Parameter, Type, TypeId};
use crate::isa::Register;
use crate::kernel::limits::REGISTER_ARGUMENTS;
use crate::kernel::{ArgKind, KfuncFlags, ProgramType};

/// What the arguments of a kfunc told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The register whose object is released.
    pub released: Option<Register>,
    /// The reference that an argument carries.
    pub reference: u32,
    /// The constant that was passed.
    pub constant: Option<u64>,
    /// Size of the buffer that is returned, and whether it is read-only.
    pub buffer_size: Option<(u32, bool)>,
    /// The type of the object that was passed.
    pub object: Option<TypeRef>,
    /// Was the object passed by its owner?
    pub owning: bool,
    /// The list head or tree root that was passed.
    pub root: Option<Field>,
    /// The function that was passed.
    pub callback: Option<usize>,
    /// The iterator that was passed.
    pub iterator: Option<HeldIterator>,
    /// The last dynptr that was passed, made before.
    pub dynptr: Option<HeldDynptr>,
    /// The map that was passed, or that the work queue lies in.
    pub map: Option<MapRef>,
}

/// What a pointer parameter takes (`enum kfunc_ptr_arg_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Null,
    Context,
    Allocated,
    RefcountedKptr,
    Dynptr,
    Iterator,
    ConstString,
    Map,
    Object,
    Memory,
    MemoryAndSize,
    WorkQueue,
    Callback,
    Root(Graph),
    Node(Graph),
}

impl Verifier<'_> {
    /// Checks all arguments.
    pub fn check_kfunc_arguments(&mut self, function: &Function) -> Check<Told> {
        let mut told = Told::default();
        let count = function.parameters.len();
        if count > REGISTER_ARGUMENTS {
            return reject(Rule::TooManyKfuncArguments { name: function.name.clone(), count });
        }
        let mut index = 0;
        while index < count {
            let consumed = self.check_kfunc_argument(function, index, &mut told)?;
            index += consumed;
        }
        if function.is(KfuncFlags::RELEASE) && told.released.is_none() {
            return reject(Rule::ReleaseNeedsReference { name: function.name.clone() });
        }
        Ok(told)
    }

    /// Checks one argument; gives the number of parameters that it took.
    fn check_kfunc_argument(&mut self, function: &Function, index: usize, told: &mut Told) -> Check<usize> {
        let parameter = &function.parameters[index];
        let Some(register) = Register::argument(index) else { return Ok(1) };
        if has_suffix(parameter, "__ign") {
            return Ok(1);
        }
        let btf = self.profile.btf.clone();
        let ty = btf.resolve(parameter.type_id);
        match btf.ty(ty) {
            Type::Int { .. } | Type::Enum { .. } => {
                self.check_scalar_argument(register, parameter, told)?;
                Ok(1)
            }
            Type::Pointer { target } => self.check_pointer_argument(function, index, register, *target, told),
            other => reject(Rule::KfuncArgumentUnrecognised { index, kind: kind_name(other) }),
        }
    }

    fn check_scalar_argument(&mut self, register: Register, parameter: &Parameter, told: &mut Told) -> Check {
        let Value::Scalar(number) = self.value(register) else { return reject(Rule::NotScalar { register }) };
        if has_suffix(parameter, "__k") {
            told.constant = Some(self.constant_argument(register, &number)?);
            return Ok(());
        }
        let read_only = match &*parameter.name {
            "rdonly_buf_size" => true,
            "rdwr_buf_size" => false,
            _ => return Ok(()),
        };
        let Some(size) = Self::known(&number.bounds) else { return reject(Rule::NotConst { register }) };
        let Ok(size) = u32::try_from(size) else { return reject(Rule::BufferSizeTooLarge { register }) };
        told.buffer_size = Some((size, read_only));
        self.mark_precise(register)
    }

    fn constant_argument(&mut self, register: Register, number: &Number) -> Check<u64> {
        if !number.bounds.is_const() {
            return reject(Rule::MustBeConstant { register });
        }
        self.mark_precise(register)?;
        Ok(number.bounds.var_off.value)
    }

    fn check_pointer_argument(
        &mut self,
        function: &Function,
        index: usize,
        register: Register,
        target: TypeId,
        told: &mut Told,
    ) -> Check<usize> {
        let parameter = &function.parameters[index];
        let value = self.value(register);
        let trusted = function.is(KfuncFlags::TRUSTED_ARGS) || function.is(KfuncFlags::RELEASE);
        let rcu = function.is(KfuncFlags::RCU);
        let may_be_null = value.is_null() || value.may_be_null();
        if (trusted || rcu) && may_be_null && !has_suffix(parameter, "__nullable") {
            return reject(Rule::NullableToTrusted { index });
        }
        let releases = function.is(KfuncFlags::RELEASE);
        if value.reference() != 0 {
            if releases && told.reference != 0 {
                return reject(Rule::TwoReferences { register, this: value.reference(), other: told.reference });
            }
            told.reference = value.reference();
            if releases {
                told.released = Some(register);
            }
        }
        let wanted = self.wanted_pointer(function, index, register, target)?;
        if wanted == Wanted::Map {
            self.note_kfunc_map(register, &value, told)?;
        }
        match wanted {
            Wanted::Null => return Ok(1),
            Wanted::Allocated | Wanted::Object | Wanted::Map if trusted || rcu => {
                self.check_trusted(register, &value, rcu)?;
            }
            _ => {}
        }
        self.check_argument_offset(register, releases && value.reference() != 0, ArgKind::Anything)?;
        self.check_pointer_kind(function, index, register, target, wanted, told)
    }

    /// A map that is passed, and the one that a work queue passed before lies in.
    fn note_kfunc_map(&self, register: Register, value: &Value, told: &mut Told) -> Check {
        if !has_map(value) {
            return reject(Rule::NotAMapPointer { register });
        }
        let map_ref = value.as_pointer().and_then(Pointer::map);
        if let Some(queue) = told.map {
            let Some(map_ref) = map_ref else {
                return unsupported("a pointer that is no map's, passed as one, which the kernel takes for a map here");
            };
            let Some(fields) = &self.map(map_ref)?.fields else {
                return unsupported(
                    "a map without special fields passed after a work queue, which the kernel trips over",
                );
            };
            if fields.find(FieldKind::WorkQueue).is_some() && queue != map_ref {
                return reject(Rule::WorkQueueOfAnotherMap { queue: queue.uid, map: map_ref.uid });
            }
        }
        told.map = map_ref.or(told.map);
        Ok(())
    }

    fn check_trusted(&self, register: Register, value: &Value, rcu: bool) -> Check {
        let pointer = value.as_pointer();
        if pointer.is_some_and(Pointer::is_trusted) {
            return Ok(());
        }
        if !rcu {
            return reject(Rule::MustBeTrusted { register });
        }
        if !pointer.is_some_and(Pointer::is_rcu) {
            return reject(Rule::MustBeRcu { register });
        }
        Ok(())
    }

    /// `get_kfunc_ptr_arg_type`.
    fn wanted_pointer(&self, function: &Function, index: usize, register: Register, target: TypeId) -> Check<Wanted> {
        let btf = &self.profile.btf;
        let parameter = &function.parameters[index];
        let pointee = btf.resolve(target);
        let name = btf.ty(pointee).name();
        let value = self.value(register);
        let is_struct = btf.ty(pointee).composite().is_some();
        if function.special == Some(Special::CastToKernelContext) || self.is_context_type(btf, target) {
            return Ok(Wanted::Context);
        }
        if has_suffix(parameter, "__nullable") && value.is_null() {
            return Ok(Wanted::Null);
        }
        let by_suffix = [("__alloc", Wanted::Allocated), ("__refcounted_kptr", Wanted::RefcountedKptr)];
        if let Some(&(_, wanted)) = by_suffix.iter().find(|(suffix, _)| has_suffix(parameter, suffix)) {
            return Ok(wanted);
        }
        if is_struct && name == "bpf_dynptr" {
            return Ok(Wanted::Dynptr);
        }
        if self.is_iterator_parameter(function, index) {
            return Ok(Wanted::Iterator);
        }
        let by_name = [
            ("bpf_list_head", Wanted::Root(Graph::List)),
            ("bpf_list_node", Wanted::Node(Graph::List)),
            ("bpf_rb_root", Wanted::Root(Graph::Tree)),
            ("bpf_rb_node", Wanted::Node(Graph::Tree)),
        ];
        if let Some(&(_, wanted)) = by_name.iter().find(|(graph, _)| is_struct && *graph == name) {
            return Ok(wanted);
        }
        if has_suffix(parameter, "__str") {
            return Ok(Wanted::ConstString);
        }
        if has_suffix(parameter, "__map") {
            return Ok(Wanted::Map);
        }
        if name == "bpf_wq" {
            return Ok(Wanted::WorkQueue);
        }
        if value.as_pointer().is_some_and(is_object_like) {
            if !is_struct {
                return reject(Rule::KfuncPointerUnsupported {
                    name: function.name.clone(),
                    index,
                    kind: kind_name(btf.ty(pointee)),
                    target: name.to_owned(),
                });
            }
            return Ok(Wanted::Object);
        }
        if matches!(btf.ty(pointee), Type::FunctionPrototype { .. }) {
            return Ok(Wanted::Callback);
        }
        self.wanted_memory(function, index, register, pointee)
    }

    fn wanted_memory(&self, function: &Function, index: usize, register: Register, pointee: TypeId) -> Check<Wanted> {
        let btf = &self.profile.btf;
        let next_is_scalar = Register::argument(index + 1).is_some_and(|next| self.value(next).is_scalar());
        let sized = next_is_scalar
            && function.parameters.get(index + 1).is_some_and(|next| {
                matches!(btf.ty(btf.resolve(next.type_id)), Type::Int { .. } | Type::Enum { .. })
                    && (has_suffix(next, "__sz") || has_suffix(next, "__szk"))
            });
        let _ = register;
        let is_scalar = matches!(btf.ty(pointee), Type::Int { .. } | Type::Enum { .. });
        let scalars = is_scalar || btf.is_struct_of_scalars(pointee);
        let void_allowed = sized && btf.ty(pointee) == &Type::Void;
        if !scalars && !void_allowed {
            return reject(Rule::MustPointToScalar {
                index,
                kind: kind_name(btf.ty(pointee)),
                name: btf.ty(pointee).name().to_owned(),
                or_void: if sized { "void, " } else { "" },
            });
        }
        Ok(if sized { Wanted::MemoryAndSize } else { Wanted::Memory })
    }

    fn is_iterator_parameter(&self, function: &Function, index: usize) -> bool {
        let is_iterator_kfunc =
            function.flags.intersects(KfuncFlags::ITER_NEW | KfuncFlags::ITER_NEXT | KfuncFlags::ITER_DESTROY);
        if is_iterator_kfunc { index == 0 } else { has_suffix(&function.parameters[index], "__iter") }
    }

    fn check_pointer_kind(
        &mut self,
        function: &Function,
        index: usize,
        register: Register,
        target: TypeId,
        wanted: Wanted,
        told: &mut Told,
    ) -> Check<usize> {
        match wanted {
            Wanted::Context => {
                if self.target(register) != Some(Target::Context) {
                    return reject(Rule::ExpectedContext { index, found: self.value(register).kernel_name() });
                }
                if function.special == Some(Special::CastToKernelContext) {
                    told.object = Some(self.kernel_context()?.map_err(super::env::Stop::from)?);
                }
            }
            Wanted::Allocated => self.check_allocated(function, index, register, told)?,
            Wanted::RefcountedKptr => self.check_refcounted(index, register, told)?,
            Wanted::Dynptr => self.check_dynptr_parameter(function, index, register, told)?,
            Wanted::Iterator => {
                if function.special == Some(Special::CssTaskIterNew) && !self.may_iterate_css_tasks() {
                    return reject(Rule::CssTaskIterNotAllowed);
                }
                told.iterator = Some(self.check_iterator(function, register, target)?);
            }
            Wanted::ConstString => {
                if !matches!(self.target(register), Some(Target::MapValue(_))) {
                    return reject(Rule::NotConstString { index });
                }
                self.check_constant_string(register, &mut Call::default())?;
            }
            Wanted::Map => {
                let Some(map) = self.profile.btf.find_struct("bpf_map") else {
                    return unsupported("struct bpf_map, which is not known without the kernel's BTF");
                };
                self.check_object_parameter(function, index, register, map, told)?;
            }
            Wanted::WorkQueue => told.map = Some(self.check_work_queue_argument(index, register)?),
            Wanted::Object => self.check_object_parameter(function, index, register, target, told)?,
            Wanted::Memory => self.check_memory_parameter(index, register, target)?,
            Wanted::MemoryAndSize => {
                self.check_memory_and_size(function, index, register, told)?;
                return Ok(2);
            }
            Wanted::Callback => {
                let Some(Target::Function { subprogram }) = self.target(register) else {
                    return reject(Rule::ExpectedFunction { index });
                };
                told.callback = Some(subprogram as usize);
            }
            Wanted::Root(graph) => self.check_root_argument(function, index, register, graph, told)?,
            Wanted::Node(graph) => self.check_node_argument(function, index, register, graph, told)?,
            Wanted::Null => {}
        }
        Ok(1)
    }

    fn check_allocated(&mut self, function: &Function, index: usize, register: Register, told: &mut Told) -> Check {
        let not_allocated = || reject(Rule::ExpectedAllocated { index });
        let Value::Pointer(pointer) = self.value(register) else { return not_allocated() };
        let Some(ty) = pointer.object() else { return not_allocated() };
        let plain = Attributes { allocated: true, ..Attributes::default() };
        if pointer.attributes == plain {
            if function.special != Some(Special::ObjDrop) {
                return reject(Rule::ExpectedForObjDrop { index });
            }
        } else if pointer.attributes == (Attributes { percpu: true, ..plain }) {
            if function.special != Some(Special::PercpuObjDrop) {
                return reject(Rule::ExpectedForPercpuObjDrop { index });
            }
        } else {
            return not_allocated();
        }
        if pointer.reference == 0 {
            return reject(Rule::AllocatedNotReferenced);
        }
        told.object = Some(ty);
        Ok(())
    }

    fn check_refcounted(&mut self, index: usize, register: Register, told: &mut Told) -> Check {
        let neither = || reject(Rule::NeitherOwningNorNonOwning { index });
        let Value::Pointer(pointer) = self.value(register) else { return neither() };
        let (true, Some(ty)) = (pointer.is_allocated_object(), pointer.object()) else { return neither() };
        told.owning = !pointer.attributes.non_owning && pointer.reference != 0;
        let Some(fields) = self.local_fields(ty) else { return reject(Rule::NoRecord) };
        if fields.find(FieldKind::Refcount).is_none() {
            return reject(Rule::NoRefcount { index });
        }
        told.object = Some(ty);
        Ok(())
    }

    fn check_dynptr_parameter(
        &mut self,
        function: &Function,
        index: usize,
        register: Register,
        told: &mut Told,
    ) -> Check {
        if !has_suffix(&function.parameters[index], "__uninit") {
            let usage = DynptrUse::Use { wanted: None, changes: false };
            told.dynptr = Some(self.check_dynptr(register, usage)?);
            return Ok(());
        }
        if matches!(self.target(register), Some(Target::ConstDynptr(_))) {
            return reject(Rule::MisconfiguredDynptr);
        }
        let (kind, shared) = match (function.special, told.dynptr) {
            (Some(Special::DynptrFromSkb), _) => (DynptrKind::Skb, 0),
            (Some(Special::DynptrFromXdp), _) => (DynptrKind::Xdp, 0),
            (Some(Special::DynptrClone), Some(of)) => (of.kind, of.reference),
            _ => return unsupported(format!("the kind of dynptr that kfunc {} makes", function.name)),
        };
        self.check_dynptr(register, DynptrUse::Make { kind, shared }).map(|_| ())
    }

    fn may_iterate_css_tasks(&self) -> bool {
        matches!(self.program_type(), Some(ProgramType::Lsm))
            || self.attach_type() == Some(crate::kernel::AttachType::TraceIter)
            || self.in_sleepable()
    }

    fn check_object_parameter(
        &mut self,
        function: &Function,
        index: usize,
        register: Register,
        target: TypeId,
        told: &mut Told,
    ) -> Check {
        let btf = self.profile.btf.clone();
        let wanted_id = btf.resolve(target);
        let pointer = self.pointer(register)?;
        let unsafe_object = pointer.has_unsafe_attributes() && !pointer.is_rcu();
        if !is_object_like(&pointer) || (pointer.object().is_some() && unsafe_object) {
            let trusted = Attributes {
                allocated: pointer.attributes.allocated,
                non_owning: pointer.attributes.non_owning,
                trust: if pointer.attributes.trust == Trust::Trusted { Trust::Trusted } else { Trust::Plain },
                ..Attributes::default()
            };
            return reject(Rule::KfuncArgumentIs {
                index,
                found: pointer.kernel_name(),
                expected: super::type_name::pointer_name(pointer.target.class(), trusted),
            });
        }
        let found = match pointer.object() {
            Some(ty) => ty,
            None => self.struct_of_pointer(&pointer)?,
        };
        let found = TypeRef { id: self.types(found.space)?.resolve(found.id), ..found };
        let wanted = TypeRef { space: TypeSpace::Kernel, id: wanted_id };
        let (found_name, wanted_name) = (self.type_name(found), self.type_name(wanted));
        let strict = (function.is(KfuncFlags::RELEASE) && pointer.reference != 0)
            || are_nocast_aliases(&found_name, &wanted_name);
        let same = self.types_match(found, pointer.offset, wanted, strict, !pointer.attributes.allocated);
        if !same && !is_projection(&wanted_name, &found_name) {
            return reject(Rule::KfuncStructMismatch {
                name: function.name.clone(),
                index,
                wanted_kind: kind_name(self.type_of(wanted)),
                wanted: wanted_name,
                register,
                found_kind: kind_name(self.type_of(found)),
                found: found_name,
            });
        }
        told.object = Some(found);
        Ok(())
    }

    /// The kernel's struct behind a socket or map pointer (`reg2btf_ids`).
    fn struct_of_pointer(&self, pointer: &Pointer) -> Check<TypeRef> {
        use super::value::SocketKind;
        let name = match pointer.target {
            Target::Socket(SocketKind::Full { .. }) => "sock",
            Target::Socket(SocketKind::Common) => "sock_common",
            Target::Socket(SocketKind::Tcp) => "tcp_sock",
            Target::ConstMap(_) => "bpf_map",
            _ => return unsupported("a kfunc argument that is no object"),
        };
        match self.profile.btf.find_struct(name) {
            Some(id) => Ok(TypeRef { space: TypeSpace::Kernel, id }),
            None => unsupported(format!("struct {name}, which is not known without the kernel's BTF")),
        }
    }

    fn check_memory_parameter(&mut self, index: usize, register: Register, target: TypeId) -> Check {
        let btf = self.profile.btf.clone();
        let pointee = btf.resolve(target);
        let Some(size) = btf.size_of(pointee) else {
            return reject(Rule::ArgumentSizeUnknown {
                index,
                kind: kind_name(btf.ty(pointee)),
                name: btf.ty(pointee).name().to_owned(),
            });
        };
        self.check_memory_argument(register, size)
    }

    fn check_memory_and_size(
        &mut self,
        function: &Function,
        index: usize,
        register: Register,
        told: &mut Told,
    ) -> Check {
        let (Some(size_register), Some(size_parameter)) =
            (Register::argument(index + 1), function.parameters.get(index + 1))
        else {
            return unsupported("memory without its size");
        };
        let optional = has_suffix(&function.parameters[index], "__opt");
        if !(optional && self.value(register).is_null()) {
            self.check_sized_memory(index, register, size_register)?;
        }
        if has_suffix(size_parameter, "__szk") {
            let number = self.number(size_register)?;
            let Some(value) = Self::known(&number.bounds) else {
                return reject(Rule::MustBeConstant { register: size_register });
            };
            told.constant = Some(value as u64);
        }
        Ok(())
    }

    /// `check_kfunc_mem_size_reg`.
    fn check_sized_memory(&mut self, index: usize, register: Register, size: Register) -> Check {
        let value = self.value(register);
        if let Value::Pointer(pointer) = value
            && pointer.attributes.nullable
        {
            let checked = self.not_null(pointer);
            self.state.set(register, Value::Pointer(checked));
        }
        let mut call = Call::default();
        let read = self.check_size(size, Mode::Read, true, Fill::Read, &mut call);
        let result = read.and_then(|()| self.check_size(size, Mode::Write, true, Fill::Read, &mut call));
        if value.may_be_null() {
            self.state.set(register, value);
        }
        match result {
            Err(Stop::Reject(rule)) => {
                self.say(&rule);
                reject(Rule::MemoryAndSize { index, next: index + 1, errno: rule.errno() })
            }
            other => other,
        }
    }
}

/// Does a parameter's name end so (`btf_param_match_suffix`)?
fn has_suffix(parameter: &Parameter, suffix: &str) -> bool {
    parameter.name.ends_with(suffix)
}

/// Is there anything where the kernel keeps a register's map? It keeps an object's table of types, a memory's size and a
/// packet's range there as well.
fn has_map(value: &Value) -> bool {
    value.as_pointer().is_some_and(|pointer| match pointer.target {
        Target::ConstMap(_) | Target::MapValue(_) | Target::MapKey(_) | Target::Object(_) => true,
        Target::Memory { size, dynptr } => size != 0 || dynptr != 0,
        Target::Packet { range, .. } => range != 0,
        _ => false,
    })
}

fn is_object_like(pointer: &Pointer) -> bool {
    use super::value::SocketKind;
    pointer.object().is_some()
        || matches!(
            pointer.target,
            Target::ConstMap(_) | Target::Socket(SocketKind::Full { .. } | SocketKind::Common | SocketKind::Tcp)
        )
}

/// `struct nf_conn` and `struct nf_conn___init` must not be taken for each other (`btf_type_ids_nocast_alias`).
fn are_nocast_aliases(one: &str, other: &str) -> bool {
    let init = |long: &str, short: &str| long.strip_suffix("___init") == Some(short);
    init(one, other) || init(other, one)
}
