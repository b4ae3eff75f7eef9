//! The arguments of a traced function, tracepoint or iterator, which BTF describes (`btf_ctx_access`,
//! `kernel/bpf/btf.c`, Linux 6.12).
//!
//! [`AttachPrototype`] is what the program is attached to; an argument is the number, pointer or buffer that its type,
//! and for tracepoints and iterators a table of exceptions, says.

use crate::btf::{Btf, Member, Parameter, Type, TypeId};
use crate::kernel::{AttachType, ProgramType};
use crate::verifier::env::{Check, Verifier, reject, unsupported};
use crate::verifier::memory::{Access, Mode};
use crate::verifier::rule::Rule;
use crate::verifier::struct_walk::shown;
use crate::verifier::subprogram::kind_name;
use crate::verifier::value::{Attributes, Pointer, Target, Trust, TypeRef, TypeSpace, Value};

/// Arguments that a trampoline hands over at most (`MAX_BPF_FUNC_ARGS`).
const MAX_TRACED_ARGUMENTS: i32 = 12;

/// Prefix of the typedefs that describe tracepoints.
const TRACEPOINT_PREFIX: &str = "btf_trace_";
/// Prefix of the functions that describe iterators' contexts.
const ITERATOR_PREFIX: &str = "bpf_iter_";
/// Suffix of parameters that may be NULL.
const NULLABLE_SUFFIX: &str = "__nullable";

/// What the program is attached to: its name for messages, and its prototype in the kernel's BTF.
struct AttachPrototype {
    name: String,
    returns: TypeId,
    parameters: Vec<Parameter>,
    /// Parameters in front that programs do not see: a tracepoint's private data.
    hidden: usize,
}

impl AttachPrototype {
    fn of(btf: &Btf, name: String, prototype: TypeId, hidden: usize) -> Option<AttachPrototype> {
        let Type::FunctionPrototype { returns, parameters } = btf.ty(prototype) else { return None };
        Some(AttachPrototype { name, returns: *returns, parameters: parameters.to_vec(), hidden })
    }
}

/// An argument's number, and what its exceptions say.
#[derive(Clone, Copy, Debug, Default)]
struct Exceptions {
    nullable: bool,
    /// May be an error number in a pointer, and is a number for that.
    may_be_error: bool,
}

impl Verifier<'_> {
    /// What a program reads at that offset of its context.
    pub fn traced_argument(&mut self, access: Access) -> Check<Value> {
        let Access { offset, size, .. } = access;
        let invalid = || reject(Rule::InvalidContextAccess { offset, size });
        // Of LSM programs the kernel does not ask this, so that they may even write to their arguments.
        let is_lsm = self.program_type() == Some(ProgramType::Lsm);
        let in_range = (0..MAX_TRACED_ARGUMENTS * 8).contains(&offset) && offset % size as i32 == 0;
        if offset < 0 || !is_lsm && (!in_range || access.mode == Mode::Write) {
            return invalid();
        }
        let attach = self.attach_type();
        let Some(prototype) = self.attach_prototype() else {
            let name = &self.program.section.target;
            return unsupported(format!(
                "the arguments of {name}; its prototype is not known without the kernel's BTF"
            ));
        };
        if offset % 8 != 0 {
            self.say(&Rule::ContextOffsetNotMultiple { name: prototype.name, offset });
            return invalid();
        }
        let index = argument_at(&self.profile.btf, &prototype, offset as u32);
        let visible = prototype.parameters.get(prototype.hidden..).unwrap_or_default();
        if let Some(parameter) = visible.get(index) {
            let exceptions = self.exceptions(&prototype, index, parameter);
            return self.traced_value(parameter.type_id, index, &prototype.name, exceptions, access);
        }
        let sees_result = matches!(
            attach,
            Some(AttachType::TraceFexit | AttachType::ModifyReturn | AttachType::LsmMac | AttachType::LsmCgroup)
        );
        if index == visible.len() && sees_result {
            return self.traced_result(&prototype, index, access);
        }
        self.say(&Rule::NoSuchArgument { name: prototype.name, number: index + 1 });
        invalid()
    }

    /// The result of the traced function.
    fn traced_result(&mut self, prototype: &AttachPrototype, index: usize, access: Access) -> Check<Value> {
        let btf = self.profile.btf.clone();
        let ty = btf.ty(btf.resolve(prototype.returns));
        if self.attach_type() == Some(AttachType::ModifyReturn) && !is_small_int(ty) {
            self.say(&Rule::ResultNotModifiable { kind: kind_name(ty) });
            return reject(Rule::InvalidContextAccess { offset: access.offset, size: access.size });
        }
        let value = self.traced_value(prototype.returns, index, &prototype.name, Exceptions::default(), access)?;
        if let Value::Scalar(mut number) = value
            && self.attach_type() == Some(AttachType::LsmMac)
            && let Some(range) = self.hook_results()?
        {
            let bounds = &mut number.bounds;
            bounds.smin32 = bounds.smin32.max(range.min);
            bounds.smax32 = bounds.smax32.min(range.max);
            bounds.smin = bounds.smin.max(range.min.into());
            bounds.smax = bounds.smax.min(range.max.into());
            bounds.sync();
            return Ok(Value::Scalar(number));
        }
        Ok(value)
    }

    fn exceptions(&self, prototype: &AttachPrototype, index: usize, parameter: &Parameter) -> Exceptions {
        let mut exceptions = Exceptions { nullable: parameter.name.ends_with(NULLABLE_SUFFIX), may_be_error: false };
        if self.attach_type() == Some(AttachType::TraceRawTp) {
            let special = self.profile.tables().special();
            if let Some(row) = special.raw_tracepoints.iter().find(|row| row.tracepoint == prototype.name) {
                exceptions.nullable |= row.maybe_null.contains(&index);
                exceptions.may_be_error |= row.maybe_error.contains(&index);
            }
        }
        exceptions
    }

    fn traced_value(
        &mut self,
        ty: TypeId,
        index: usize,
        name: &str,
        exceptions: Exceptions,
        access: Access,
    ) -> Check<Value> {
        let btf = self.profile.btf.clone();
        let invalid = || reject(Rule::InvalidContextAccess { offset: access.offset, size: access.size });
        let target = match btf.ty(btf.resolve(ty)) {
            ty if is_small_int(ty) => return Ok(Value::unknown()),
            Type::Enum { .. } | Type::Struct(_) => return Ok(Value::unknown()),
            Type::Pointer { target } => *target,
            other => {
                let (ty, kind) = (shown(other.name()), kind_name(other));
                self.say(&Rule::ArgumentTypeNotAllowed { name: name.to_owned(), index, ty, kind });
                return invalid();
            }
        };
        if access.size != 8 {
            self.say(&Rule::ArgumentSize { name: name.to_owned(), size: access.size });
            return invalid();
        }
        let pointee = btf.resolve(target);
        let listed = self.iterator_argument(access.offset)?.or_else(|| self.nullable_argument(index));
        if let Some(attributes) = listed
            && attributes.is_buffer
        {
            return Ok(self.identified(Pointer::to(Target::Buffer).with(attributes.attributes)));
        }
        if target == TypeId::VOID || matches!(btf.ty(pointee), Type::Int { .. }) {
            return Ok(Value::unknown());
        }
        let object = Pointer::to(Target::Object(TypeRef { space: TypeSpace::Kernel, id: pointee }));
        if let Some(listed) = listed {
            return Ok(self.identified(object.with(listed.attributes)));
        }
        if !matches!(btf.ty(pointee), Type::Struct(_) | Type::Union(_)) {
            let kind = kind_name(btf.ty(pointee));
            self.say(&Rule::ArgumentNotStruct { name: name.to_owned(), index, kind });
            return invalid();
        }
        if self.log.enabled() {
            let (ty, id) = (btf.ty(pointee), pointee.0);
            let line =
                format!("func '{name}' arg{index} has btf_id {id} type {} '{}'", kind_name(ty), shown(ty.name()));
            self.log.line(&line);
        }
        if exceptions.may_be_error {
            return Ok(Value::unknown());
        }
        let tag = match btf.ty(target) {
            Type::TypeTag { name, .. } => &**name,
            _ => "",
        };
        let trusted = self.arguments_are_trusted();
        let attributes = Attributes {
            user: tag == "user",
            percpu: tag == "percpu",
            trust: if trusted { Trust::Trusted } else { Trust::Plain },
            nullable: exceptions.nullable,
            ..Attributes::default()
        };
        let safe = Attributes { trust: Trust::Trusted, ..Attributes::default() };
        let object = if attributes == safe {
            Pointer::to(Target::Object(TypeRef { space: TypeSpace::Kernel, id: self.promoted(pointee)? }))
        } else {
            object
        };
        Ok(self.identified(object.with(attributes)))
    }

    /// Arguments of traced functions may be anything, those of tracepoints, iterators and most hooks are alive
    /// (`prog_args_trusted`).
    fn arguments_are_trusted(&self) -> bool {
        match self.attach_type() {
            Some(AttachType::TraceRawTp | AttachType::TraceIter) => true,
            Some(AttachType::LsmMac | AttachType::LsmCgroup) => !self.hook_is_in("untrusted_lsm_hooks"),
            _ => self.implemented_member().is_some(),
        }
    }

    /// What the function that the program is attached to returns; `None` if its prototype is not known.
    #[must_use]
    pub fn attach_result(&self) -> Option<TypeId> {
        self.attach_prototype().map(|prototype| prototype.returns)
    }

    /// A pointer that may be NULL gets an identity, so that a check of one copy settles all.
    fn identified(&mut self, mut pointer: Pointer) -> Value {
        if pointer.attributes.nullable {
            pointer.id = self.new_id();
        }
        Value::Pointer(pointer)
    }

    /// What the iterator's table says of the argument at that offset (`struct bpf_ctx_arg_aux`).
    fn iterator_argument(&self, offset: i32) -> Check<Option<ListedArgument>> {
        if self.attach_type() != Some(AttachType::TraceIter) {
            return Ok(None);
        }
        let target = &self.program.section.target;
        let special = self.profile.tables().special();
        let Some(iterator) = special.iterators.iter().find(|iterator| iterator.target == *target) else {
            return unsupported(format!("the iterator {target}, which is not in the tables"));
        };
        let btf = &self.profile.btf;
        let Some(context) = btf.find_struct(&iterator.context).and_then(|id| btf.ty(id).composite()) else {
            return unsupported(format!("struct {}, which is not known without the kernel's BTF", iterator.context));
        };
        for argument in &iterator.arguments {
            let member = context.members.iter().find(|member| member_is(btf, member, &argument.field));
            let Some(member) = member else {
                return unsupported(format!("member {} of struct {}", argument.field, iterator.context));
            };
            if i64::from(member.bit_offset) == i64::from(offset) * 8 {
                return listed_argument(&argument.kind).map(Some);
            }
        }
        Ok(None)
    }

    /// An argument that the member's stub in the kernel names as one that may be NULL (`prepare_arg_info`).
    fn nullable_argument(&self, index: usize) -> Option<ListedArgument> {
        let (_, member) = self.implemented_member()?;
        let nullable = self.implemented_struct()?.is_nullable(member, index);
        let attributes = Attributes { nullable: true, trust: Trust::Trusted, ..Attributes::default() };
        nullable.then_some(ListedArgument { is_buffer: false, attributes })
    }

    /// A structure that programs get as something larger that begins with it.
    fn promoted(&self, pointee: TypeId) -> Check<TypeId> {
        let btf = &self.profile.btf;
        let promotion = self.implemented_struct().and_then(|ops| ops.promoted.as_ref());
        let Some(promotion) = promotion.filter(|promotion| btf.find_struct(&promotion.from) == Some(pointee)) else {
            return Ok(pointee);
        };
        match btf.find_struct(&promotion.to) {
            Some(id) => Ok(id),
            None => unsupported(format!("struct {}, which is not known without the kernel's BTF", promotion.to)),
        }
    }

    /// What the program is attached to (`bpf_check_attach_target`).
    fn attach_prototype(&self) -> Option<AttachPrototype> {
        let btf = &self.profile.btf;
        if let Some((_, member)) = self.implemented_member() {
            let prototype = self.implemented_prototype()?;
            return AttachPrototype::of(btf, member.to_owned(), prototype, 0);
        }
        let target = &self.program.section.target;
        let (name, function, hidden) = match self.attach_type()? {
            AttachType::TraceRawTp => {
                // The function has the parameters' names, the typedef only their types.
                let function = btf.find_function(&format!("__bpf_trace_{target}"));
                (target.clone(), function.or_else(|| self.tracepoint(target))?, 1)
            }
            AttachType::TraceIter => {
                let name = format!("{ITERATOR_PREFIX}{target}");
                let function = btf.find_function(&name)?;
                (name, function, 0)
            }
            AttachType::LsmMac | AttachType::LsmCgroup => {
                let name = self.hook_name();
                let function = btf.find_function(&name)?;
                (name, function, 0)
            }
            _ => (target.clone(), btf.find_function(target)?, 0),
        };
        let prototype = match btf.ty(function) {
            Type::Function { prototype, .. } => *prototype,
            Type::Typedef { target, .. } => match btf.ty(*target) {
                Type::Pointer { target } => *target,
                _ => return None,
            },
            _ => return None,
        };
        AttachPrototype::of(btf, name, prototype, hidden)
    }

    /// The typedef of a tracepoint.
    #[must_use]
    pub fn tracepoint(&self, name: &str) -> Option<TypeId> {
        self.profile.btf.find(&format!("{TRACEPOINT_PREFIX}{name}"), |ty| matches!(ty, Type::Typedef { .. }))
    }

    /// The function that describes an iterator's context.
    #[must_use]
    pub fn iterator_function(&self, target: &str) -> Option<TypeId> {
        self.profile.btf.find_function(&format!("{ITERATOR_PREFIX}{target}"))
    }
}

/// What a table says of an argument.
#[derive(Clone, Copy, Debug)]
struct ListedArgument {
    /// A buffer, rather than an object.
    is_buffer: bool,
    attributes: Attributes,
}

/// Reads the kernel's register type, such as `ptr_to_btf_id|ptr_maybe_null`.
fn listed_argument(kind: &str) -> Check<ListedArgument> {
    let mut parts = kind.split('|');
    let is_buffer = match parts.next() {
        Some("ptr_to_buf") => true,
        Some("ptr_to_btf_id") => false,
        _ => return unsupported(format!("an iterator's argument of kind {kind}")),
    };
    let mut attributes = Attributes::default();
    for part in parts {
        match part {
            "ptr_maybe_null" => attributes.nullable = true,
            "ptr_trusted" => attributes.trust = Trust::Trusted,
            "mem_rcu" => attributes.trust = Trust::Rcu,
            "mem_rdonly" => attributes.read_only = true,
            _ => return unsupported(format!("an iterator's argument of kind {kind}")),
        }
    }
    Ok(ListedArgument { is_buffer, attributes })
}

/// Is that member the field, by name or as the only member of a union without a name?
fn member_is(btf: &Btf, member: &Member, field: &str) -> bool {
    if !member.name.is_empty() {
        return &*member.name == field;
    }
    let inner = btf.ty(btf.resolve(member.type_id)).composite();
    inner.is_some_and(|inner| inner.members.iter().any(|inner| &*inner.name == field))
}

/// `btf_type_is_small_int`.
fn is_small_int(ty: &Type) -> bool {
    matches!(ty, Type::Int { size: 1 | 2 | 4 | 8, .. })
}

/// Which argument lies at that offset: each takes a multiple of eight bytes; behind them lies the result
/// (`get_ctx_arg_idx`).
fn argument_at(btf: &Btf, prototype: &AttachPrototype, offset: u32) -> usize {
    let bytes = |ty: TypeId| match btf.ty(btf.resolve(ty)) {
        Type::Pointer { .. } => 8,
        Type::Void => 0,
        _ => btf.size_of(ty).unwrap_or(8).next_multiple_of(8),
    };
    let types = prototype.parameters.iter().map(|parameter| parameter.type_id).chain([prototype.returns]);
    let mut end = 0u32;
    for (index, ty) in types.enumerate() {
        end = end.saturating_add(bytes(ty));
        if offset < end {
            return index;
        }
    }
    prototype.parameters.len() + 1
}
